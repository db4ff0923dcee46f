//! Agreements with partners: recorded, brought into force, ended; and what of live ends with them.

use std::time::Duration;

use super::{Act, AdminError, partners};
use crate::audit::{Action, Deed};
use crate::domain::agreement::{
    AgreementKind, AgreementState, AgreementStep, DocumentHash, is_in_force, unbroken_until,
};
use crate::domain::id::{AgreementId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation::Revoked;
use crate::store::agreements::{self, Agreement};
use crate::store::changes::{Change, Subject};
use crate::store::{Db, StoreError};

/// How long a token can live.
const LONGEST_TOKEN: Duration = Duration::from_secs(900);

/// At most so many agreements expire in one change.
const BATCH: i64 = 100;

/// Something that was agreed.
#[derive(Clone, Debug)]
pub struct NewAgreement {
    pub kind: AgreementKind,
    pub reference: String,
    pub document: DocumentHash,
    pub lawful_basis: Option<String>,
    pub in_force_from: Instant,
    pub expires_at: Instant,
}

/// Records an agreement as a draft: it counts for nothing yet.
pub fn record(
    db: &mut Change<'_>,
    act: &Act,
    partner: &PartnerId,
    new: NewAgreement,
) -> Result<Agreement, AdminError> {
    partners::open(db, partner)?;
    if new.expires_at <= new.in_force_from {
        let detail = "must lie after in_force_from";
        return Err(AdminError::invalid("/expires_at", detail));
    }
    if new.expires_at <= act.now {
        return Err(AdminError::invalid("/expires_at", "must lie in the future"));
    }
    let agreement = Agreement {
        id: AgreementId::generate(act.now),
        partner_id: partner.clone(),
        kind: new.kind,
        reference: new.reference,
        document_sha256: new.document.to_string(),
        lawful_basis: new.lawful_basis,
        state: AgreementState::Draft,
        in_force_from: new.in_force_from,
        expires_at: new.expires_at,
        created_by: act.actor.to_string(),
        created_at: act.now,
        decided_by: None,
        decided_at: None,
        ended_by: None,
        ended_at: None,
        ended_reason: None,
    };
    agreements::insert(db, &agreement)?;
    db.touch(Subject::Partner(partner.clone()));
    act.record(db, deed(Action::AgreementRecorded, &agreement, None))?;
    Ok(agreement)
}

/// Brings a draft into force; its dates decide from when until when it counts.
pub fn bring_into_force(
    db: &mut Change<'_>,
    act: &Act,
    id: &AgreementId,
    reason: Option<&str>,
) -> Result<Agreement, AdminError> {
    let draft = get(db, id)?;
    if draft.state == AgreementState::Draft {
        partners::open(db, &draft.partner_id)?;
        if draft.expires_at <= act.now {
            let detail = "its expires_at has passed: record a new agreement";
            return Err(AdminError::conflict("agreement_over", detail));
        }
    }
    let moved = agreements::bring_into_force(db, id, act.actor.as_str(), act.now)?;
    let agreement = get(db, id)?;
    if !moved {
        return Err(illegal(&agreement));
    }
    db.touch(Subject::Partner(agreement.partner_id.clone()));
    let action = Action::AgreementBroughtIntoForce;
    act.record(db, deed(action, &agreement, reason))?;
    Ok(agreement)
}

/// Ends an agreement before its time.
pub fn terminate(
    db: &mut Change<'_>,
    act: &Act,
    id: &AgreementId,
    reason: &str,
) -> Result<Agreement, AdminError> {
    if end(db, act, id, AgreementStep::Terminate, reason)? {
        get(db, id)
    } else {
        Err(illegal(&get(db, id)?))
    }
}

/// Lets what is past its end expire; answers how many did.
pub fn expire_overdue(db: &mut Change<'_>, act: &Act) -> Result<usize, AdminError> {
    let mut expired = 0;
    for id in agreements::overdue(db, act.now, BATCH)? {
        // Who was quicker, another worker or an operator, has done all that follows.
        if end(db, act, &id, AgreementStep::Expire, "its end has come")? {
            expired += 1;
        }
    }
    Ok(expired)
}

/// Whether anything is past its end.
pub fn any_overdue(db: &mut Db, now: Instant) -> Result<bool, StoreError> {
    Ok(!agreements::overdue(db, now, 1)?.is_empty())
}

/// Whether an agreement counts now.
pub fn counts(agreement: &Agreement, now: Instant) -> bool {
    is_in_force(
        agreement.state,
        agreement.in_force_from,
        agreement.expires_at,
        now,
    )
}

/// `false`: it is not in force.
fn end(
    db: &mut Change<'_>,
    act: &Act,
    id: &AgreementId,
    step: AgreementStep,
    reason: &str,
) -> Result<bool, AdminError> {
    let agreement = get(db, id)?;
    let partner = &agreement.partner_id;
    let before = live_until(db, partner, act.now)?;
    if !agreements::end(db, id, step, act.actor.as_str(), reason, act.now)? {
        return Ok(false);
    }
    db.touch(Subject::Partner(partner.clone()));
    let action = match step {
        AgreementStep::Expire => Action::AgreementExpired,
        _ => Action::AgreementTerminated,
    };
    act.record(db, deed(action, &agreement, Some(reason)))?;
    if agreement.kind == AgreementKind::Contract {
        end_live_access(db, act, (&agreement, step), before, reason)?;
    }
    Ok(true)
}

/// Refuses the partner's live tokens where contracts carry them to their end no more.
fn end_live_access(
    db: &mut Change<'_>,
    act: &Act,
    (ended, step): (&Agreement, AgreementStep),
    before: Option<Instant>,
    reason: &str,
) -> Result<(), AdminError> {
    let partner = &ended.partner_id;
    let left = live_until(db, partner, act.now)?;
    // Tokens were given as far as contracts reached before; no token reaches further than its life.
    let longest = act.now.plus(LONGEST_TOKEN);
    let outlived = left.is_some_and(|left| before.is_some_and(|end| left < end.min(longest)));
    let is_over = left.is_none() && ended.in_force_from <= act.now;
    // Of several that end together, the last puts it on record. Tokens do not wait for that.
    let is_last = !agreements::contract_terms(db, partner)?
        .iter()
        .any(|term| term.until <= act.now);
    let suspended = is_over && is_last;
    if outlived || suspended || is_over && step == AgreementStep::Terminate {
        let revoked = Revoked::Partner(partner.clone());
        act.revoke(db, Realm::Live, revoked, "contract_ended")?;
    }
    if suspended {
        let deed = Deed::new(Action::LiveAccessSuspended, partner)
            .partner(partner)
            .realm(Realm::Live)
            .detail("agreement_id", ended.id.as_str())
            .detail("reason", reason);
        act.by_policy().record(db, deed)?;
    }
    Ok(())
}

/// Until when contracts give live access without a gap. `None`: they give none now.
fn live_until(
    db: &mut Db,
    partner: &PartnerId,
    now: Instant,
) -> Result<Option<Instant>, StoreError> {
    Ok(unbroken_until(
        &agreements::contract_terms(db, partner)?,
        now,
    ))
}

/// An agreement by id.
fn get(db: &mut Db, id: &AgreementId) -> Result<Agreement, AdminError> {
    agreements::find(db, id)?.ok_or(AdminError::NotFound)
}

fn illegal(agreement: &Agreement) -> AdminError {
    AdminError::illegal::<AgreementStep>("the agreement", agreement.state)
}

fn deed(action: Action, agreement: &Agreement, reason: Option<&str>) -> Deed {
    Deed::new(action, &agreement.id)
        .partner(&agreement.partner_id)
        .detail("kind", agreement.kind.as_str())
        .detail("reference", agreement.reference.as_str())
        .detail("expires_at", agreement.expires_at.to_string())
        .detail("reason", reason)
}
