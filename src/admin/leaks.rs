//! Leaked secrets: reports taken in from anybody, looked for in every realm, acted on.
//!
//! Whoever reports learns nothing: what is taken in is a list of hashes, and what they
//! match is found out later, in the worker.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::reviews::{self, Case};
use super::{Act, AdminError, clients, credentials};
use crate::audit::{Action, Deed};
use crate::domain::credential::{CredentialState, RevocationReason};
use crate::domain::event::{EventKind, LAST_WARNING};
use crate::domain::id::{CredentialId, LeakReportId};
use crate::domain::instant::Instant;
use crate::domain::leak::{GRACE, LeakAction, LeakReportState};
use crate::domain::limits::Rate;
use crate::domain::realm::Realm;
use crate::domain::review::ReviewKind;
use crate::domain::secret::{PlainSecret, SecretHash};
use crate::events::data::{CredentialExpiring, CredentialRevoked};
use crate::keys::MasterKey;
use crate::limits::addresses::Addresses;
use crate::store::changes::{Change, Subject};
use crate::store::clients::Client;
use crate::store::credentials::{self as credential_rows, Credential};
use crate::store::leaks::{self, LeakReport};
use crate::store::{Db, StoreError, expiry_warnings, partners};

/// At most so many candidates wait to be looked for: fifty full reports.
pub const MAX_WAITING: i64 = 50_000;
/// At most so many reports wait in a process for their turn to be written.
const MAX_QUEUE: usize = 32;

/// How many reports an address may send a minute, and at once.
const FROM_ONE_ADDRESS: (u32, u32) = (60, 300);

/// Where reports come in: one at a time is written, so that a flood of them cannot
/// crowd everybody else out of the database.
#[derive(Debug)]
pub struct Intake {
    addresses: Addresses,
    places: Semaphore,
    turns: Semaphore,
    arrived: Notify,
}

/// A turn to write a report; given back when dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    _place: SemaphorePermit<'a>,
    _turn: SemaphorePermit<'a>,
}

impl Default for Intake {
    fn default() -> Self {
        let (per_minute, burst) = FROM_ONE_ADDRESS;
        Self {
            addresses: Addresses::new(Rate::new(per_minute, burst)),
            places: Semaphore::new(MAX_QUEUE),
            turns: Semaphore::new(1),
            arrived: Notify::new(),
        }
    }
}

impl Intake {
    /// Charges a report to where it comes from. The error says how long to wait.
    pub fn charge(&self, from: Option<IpAddr>) -> Result<(), Duration> {
        self.addresses.charge(from)
    }

    /// Waits for a turn. `None`: too many wait already.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        let _place = self.places.try_acquire().ok()?;
        let _turn = self.turns.acquire().await.ok()?;
        Some(Turn { _place, _turn })
    }

    /// Says that a report was written; the worker of this process need not wait for its round.
    pub fn announce(&self) {
        self.arrived.notify_one();
    }

    /// Waits until a report was written in this process.
    pub async fn announced(&self) {
        self.arrived.notified().await;
    }
}

/// The hashes of what has the form of a secret, without doubles. The work does not depend on
/// whose they are: one HMAC each.
pub fn hashes(master: &MasterKey, candidates: &[PlainSecret]) -> Vec<SecretHash> {
    let distinct: BTreeSet<&str> = candidates.iter().map(PlainSecret::expose).collect();
    distinct
        .into_iter()
        .map(|secret| master.hash_secret(secret.as_bytes()))
        .collect()
}

/// Why a report is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Too many candidates wait to be looked for.
    #[error("too many candidates wait to be looked for")]
    Full,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes a report in. What it matches is not asked here.
pub fn receive(
    db: &mut Db,
    hashes: &[SecretHash],
    source_ip: Option<String>,
    now: Instant,
) -> Result<(), Refused> {
    if hashes.is_empty() {
        // Nothing in it has the form of a secret: whoever sends such fills no disk.
        return Ok(());
    }
    let more = i64::try_from(hashes.len()).unwrap_or(i64::MAX);
    if leaks::waiting(db)?.saturating_add(more) > MAX_WAITING {
        return Err(Refused::Full);
    }
    let report = LeakReport {
        id: LeakReportId::generate(now),
        state: LeakReportState::Received,
        received_at: now,
        done_at: None,
        candidates: i32::try_from(hashes.len()).unwrap_or(i32::MAX),
        matches: 0,
        source_ip,
    };
    Ok(leaks::insert(db, &report, hashes)?)
}

/// Acts on a candidate that is somebody's secret. A node that comes second does nothing.
pub fn settle(
    db: &mut Change<'_>,
    act: &Act,
    report: &LeakReportId,
    hash: &SecretHash,
) -> Result<(), AdminError> {
    let mut found = Vec::new();
    for credential in credential_rows::with_hash(db, hash)? {
        let client = clients::get(db, &credential.client_id)?;
        let action = action(db, &credential, &client, act.now)?;
        found.push((credential, client, action));
    }
    let Some((first, _, taken)) = found.first() else {
        return Ok(());
    };
    if !leaks::claim(db, (report, hash), &first.id, *taken)? {
        return Ok(());
    }
    for (credential, client, action) in found {
        carry_out(db, act, report, (&credential, &client, action))?;
    }
    Ok(())
}

/// What is to be done about a leaked secret.
fn action(
    db: &mut Db,
    credential: &Credential,
    client: &Client,
    now: Instant,
) -> Result<LeakAction, StoreError> {
    if credential.state == CredentialState::Revoked {
        return Ok(LeakAction::AlreadyRevoked);
    }
    let chose_grace = match &client.partner_id {
        Some(id) if client.realm == Realm::Live => {
            partners::find(db, id)?.is_some_and(|partner| partner.leaked_secret_grace)
        }
        _ => false,
    };
    Ok(if chose_grace && credential.validity().is_usable(now) {
        LeakAction::Grace
    } else {
        LeakAction::Revoked
    })
}

fn carry_out(
    db: &mut Change<'_>,
    act: &Act,
    report: &LeakReportId,
    (credential, client, action): (&Credential, &Client, LeakAction),
) -> Result<(), AdminError> {
    let partner = client.partner_id.as_ref();
    let case = Case {
        kind: ReviewKind::Leak,
        partner,
        realm: client.realm,
        pointer: credential.id.as_str(),
    };
    let review = reviews::open(db, act, &case)?;
    let mut deed = Deed::new(Action::LeakReported, &credential.id)
        .partner_if(partner)
        .realm(client.realm)
        .detail("client_id", client.id.as_str())
        .detail("report_id", report.as_str())
        .detail("review_id", review.id.as_str())
        .detail("action", action.as_str());
    match action {
        LeakAction::Grace => {
            let end = end_within_the_hour(db, act, credential, client)?;
            deed = deed.detail("expires_at", end.to_string());
        }
        LeakAction::Revoked | LeakAction::RevokedAfterGrace => {
            let note = format!("reported as leaked in {report}");
            if credential.validity().is_usable(act.now) {
                let reason = RevocationReason::Compromised;
                credentials::revoke(db, act, &credential.id, reason, Some(note))?;
            } else {
                // Old secrets lie about, and anybody may report one: that must not end the one in use. Operators see
                // the case, and decide.
                credentials::revoke_alone(db, act, client, &credential.id, note)?;
            }
        }
        // Told once for each case: anybody can report the same secret again and again.
        LeakAction::AlreadyRevoked if review.is_new => {
            if let Some(partner) = partner {
                let about = json!(CredentialRevoked {
                    credential_id: credential.id.clone(),
                    client_id: client.id.clone(),
                    reason: credential.revoked_reason.unwrap_or(RevocationReason::Other),
                    revoked_at: credential.revoked_at,
                    leaked: Some(true),
                });
                let kind = EventKind::CredentialRevoked;
                act.tell(db, partner, client.realm, kind, &about)?;
            }
        }
        LeakAction::AlreadyRevoked => {}
    }
    Ok(act.record(db, deed)?)
}

/// Lets a secret end within the hour, never later than it would; answers when.
///
/// Tokens never outlive their credential, and the longest of those that it has got is shorter
/// than the hour, so none needs a revocation of its own.
fn end_within_the_hour(
    db: &mut Change<'_>,
    act: &Act,
    credential: &Credential,
    client: &Client,
) -> Result<Instant, AdminError> {
    let within = act.now.plus(GRACE);
    let end = credential
        .validity()
        .ends_at()
        .map_or(within, |end| end.min(within));
    let is_news = credential_rows::end_by(db, &credential.id, end)?;
    db.touch(Subject::Client(client.id.clone()));
    if let Some(partner) = client.partner_id.as_ref().filter(|_| is_news) {
        let about = json!(CredentialExpiring {
            credential_id: credential.id.clone(),
            client_id: client.id.clone(),
            expires_at: end,
            days_left: None,
            reason: Some(RevocationReason::Compromised),
        });
        let kind = EventKind::CredentialExpiring;
        act.tell(db, partner, client.realm, kind, &about)?;
        // The last warning, which would not say why.
        expiry_warnings::note(db, credential.id.as_str(), LAST_WARNING, act.now)?;
    }
    Ok(end)
}

/// Revokes a leaked secret whose hour is over: what was rotated out of it may be a thief's.
pub fn end_grace(db: &mut Change<'_>, act: &Act, id: &CredentialId) -> Result<(), AdminError> {
    let credential = credential_rows::find(db, id)?.ok_or(AdminError::NotFound)?;
    let action = if credential.state == CredentialState::Revoked {
        // Somebody was quicker, and perhaps for another reason: what a thief put in its place
        // by itself must go all the same.
        credentials::revoke_heirs(db, act, &credential)?;
        LeakAction::Revoked
    } else {
        let note = Some("the hour after it was reported as leaked is over".to_owned());
        credentials::revoke(db, act, id, RevocationReason::Compromised, note)?;
        LeakAction::RevokedAfterGrace
    };
    Ok(leaks::end_grace(db, id, action)?)
}
