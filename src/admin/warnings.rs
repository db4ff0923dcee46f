//! Warnings before an end: each once, whoever looks, and the nearest alone.

use std::time::Duration;

use serde_json::json;

use super::Act;
use crate::domain::event::{EventKind, WARNING_DAYS};
use crate::domain::id::{CredentialId, GrantId};
use crate::domain::instant::Instant;
use crate::events::data::{CredentialExpiring, GrantExpiring};
use crate::store::changes::Change;
use crate::store::expiry_warnings::{self as rows, Due, Ending, Window};
use crate::store::grants::Grant;
use crate::store::{Db, StoreError};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A replaced credential ends by design, as its successor is in use by then. Where it is not, its end is told of in
/// these last hours.
const LAST_HOURS: Duration = Duration::from_secs(6 * 3600);
/// How long whoever replaced it has to put the successor to use, before anybody speaks of it.
const PUTTING_TO_USE: Duration = Duration::from_secs(30 * 60);
/// What that warning goes by: it has no days.
const OF_OVERLAPS: i32 = 0;

/// Something whose warning is due.
#[derive(Clone, Debug)]
pub enum Warning {
    Credential(CredentialId),
    Grant(GrantId),
    /// A replaced credential, whose successor nobody uses.
    Overlap(CredentialId),
}

/// The windows before an end, each with the warning that is due in it: up to 30 days before,
/// up to 7, up to 1. So what was missed is not made up for when the next is due already. And the last hours of what
/// is replaced.
pub fn windows(now: Instant) -> impl Iterator<Item = Window> {
    let from = move |days: i32| now.plus(DAY * u32::try_from(days).unwrap_or(0));
    let nearer = WARNING_DAYS.into_iter().skip(1).chain([0]);
    WARNING_DAYS
        .into_iter()
        .zip(nearer)
        .map(move |(days, nearer)| Window {
            after: from(nearer),
            by: from(days),
            days,
        })
        .chain([Window {
            after: now,
            by: now.plus(LAST_HOURS),
            days: OF_OVERLAPS,
        }])
}

/// Some of those whose warning is due in a window, soonest first.
pub fn due(
    db: &mut Db,
    window: Window,
    limit: i64,
    now: Instant,
) -> Result<Vec<Warning>, StoreError> {
    if window.days == OF_OVERLAPS {
        let overlaps = overlaps(db, Due::Next(limit), window, now)?;
        return Ok(overlaps
            .into_iter()
            .map(|(c, _)| Warning::Overlap(c.id))
            .collect());
    }
    let credentials = rows::credentials_due(db, Due::Next(limit), window)?;
    let grants = rows::grants_due(db, Due::Next(limit), window)?;
    let credentials = credentials.into_iter().map(|c| Warning::Credential(c.id));
    let grants = grants.into_iter().map(|g| Warning::Grant(g.id));
    Ok(credentials.chain(grants).collect())
}

fn overlaps(
    db: &mut Db,
    due: Due<'_>,
    window: Window,
    now: Instant,
) -> Result<Vec<(Ending, CredentialId)>, StoreError> {
    rows::overlaps_due(db, due, window, now.minus(PUTTING_TO_USE))
}

/// Gives a warning, unless it was given, or what it is about is no longer so. `false`: not given.
pub fn give(
    db: &mut Change<'_>,
    act: &Act,
    window: Window,
    warning: &Warning,
) -> Result<bool, StoreError> {
    match warning {
        Warning::Credential(id) => {
            let due = Due::This(id.as_str());
            match rows::credentials_due(db, due, window)?.first() {
                Some(ending) => of_credential(db, act, window, ending)?,
                None => return Ok(false),
            }
        }
        Warning::Grant(id) => {
            let due = Due::This(id.as_str());
            match rows::grants_due(db, due, window)?.first() {
                Some(grant) => of_grant(db, act, window, grant)?,
                None => return Ok(false),
            }
        }
        Warning::Overlap(id) => {
            let due = Due::This(id.as_str());
            match overlaps(db, due, window, act.now)?.first() {
                Some((ending, successor)) => of_overlap(db, act, window, ending, successor)?,
                None => return Ok(false),
            }
        }
    }
    Ok(true)
}

/// Tells the partner, and the log as well: the operator who replaced it may have to send the new secret again.
fn of_overlap(
    db: &mut Change<'_>,
    act: &Act,
    window: Window,
    ending: &Ending,
    successor: &CredentialId,
) -> Result<(), StoreError> {
    let seconds = ending.expires_at.epoch_seconds() - act.now.epoch_seconds();
    log::warn!(
        "the credential {} of {} was replaced and ends within {} hours, at {}, and nobody uses its successor: \
         have the new secret put to use, or undo the rotation",
        ending.id,
        ending.client_id,
        (seconds + 3599) / 3600,
        ending.expires_at
    );
    rows::insert(db, successor.as_str(), window.days, act.now)?;
    tell(db, act, ending)
}

fn of_credential(
    db: &mut Change<'_>,
    act: &Act,
    window: Window,
    ending: &Ending,
) -> Result<(), StoreError> {
    if ending.partner_id.is_none() {
        // Nobody subscribes to events of operators and of resource servers: the log must do.
        log::warn!(
            "the credential {} of {} expires in {} days, at {}",
            ending.id,
            ending.client_id,
            act.now.days_until(ending.expires_at),
            ending.expires_at
        );
    }
    rows::insert(db, ending.id.as_str(), window.days, act.now)?;
    tell(db, act, ending)
}

/// Tells the partner, if there is one.
fn tell(db: &mut Change<'_>, act: &Act, ending: &Ending) -> Result<(), StoreError> {
    let Some(partner) = &ending.partner_id else {
        return Ok(());
    };
    let about = json!(CredentialExpiring {
        credential_id: ending.id.clone(),
        client_id: ending.client_id.clone(),
        expires_at: ending.expires_at,
        days_left: Some(act.now.days_until(ending.expires_at)),
        reason: None,
    });
    act.tell(
        db,
        partner,
        ending.realm,
        EventKind::CredentialExpiring,
        &about,
    )
}

fn of_grant(
    db: &mut Change<'_>,
    act: &Act,
    window: Window,
    grant: &Grant,
) -> Result<(), StoreError> {
    rows::insert(db, grant.id.as_str(), window.days, act.now)?;
    let about = json!(GrantExpiring {
        grant_id: grant.id.clone(),
        scope: grant.scope.clone(),
        expires_at: grant.expires_at,
        days_left: act.now.days_until(grant.expires_at),
    });
    let kind = EventKind::ScopeGrantExpiring;
    act.tell(db, &grant.partner_id, grant.realm, kind, &about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_follow_each_other_to_the_end() {
        let now = Instant::from_epoch_seconds(1_800_000_000);
        let told: Vec<_> = windows(now)
            .map(|w| (w.days, now.days_until(w.after), now.days_until(w.by)))
            .collect();
        assert_eq!(told, [(30, 7, 30), (7, 1, 7), (1, 0, 1), (0, 0, 1)]);
    }
}
