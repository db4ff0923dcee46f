//! Partners: applied for, approved or rejected, suspended, resumed, let go.

use super::{Act, AdminError, offboarding};
use crate::audit::{Action, Deed};
use crate::domain::id::PartnerId;
use crate::domain::lifecycle::Step;
use crate::domain::partner::{PartnerState, PartnerStep};
use crate::domain::realm::Realm;
use crate::domain::revocation::Revoked;
use crate::store::Db;
use crate::store::changes::{Change, Subject};
use crate::store::partners::{self, Edit, Partner};

/// An application.
#[derive(Clone, Debug)]
pub struct NewPartner {
    pub name: String,
    pub legal_name: String,
    pub security_contact: String,
}

/// Records an application.
pub fn create(db: &mut Change<'_>, act: &Act, new: NewPartner) -> Result<Partner, AdminError> {
    let partner = Partner {
        id: PartnerId::generate(act.now),
        name: new.name,
        legal_name: new.legal_name,
        security_contact: new.security_contact,
        state: PartnerState::Applied,
        created_by: act.actor.to_string(),
        created_at: act.now,
        updated_at: act.now,
        leaked_secret_grace: false,
        pinned_version: None,
    };
    partners::insert(db, &partner)?;
    act.record(
        db,
        Deed::new(Action::PartnerCreated, &partner.id).partner(&partner.id),
    )?;
    Ok(partner)
}

/// A partner by id.
pub fn get(db: &mut Db, id: &PartnerId) -> Result<Partner, AdminError> {
    partners::find(db, id)?.ok_or(AdminError::NotFound)
}

/// Changes what is said about a partner; what is already so is no change.
pub fn edit(
    db: &mut Change<'_>,
    act: &Act,
    id: &PartnerId,
    wanted: Edit,
) -> Result<Partner, AdminError> {
    let before = get(db, id)?;
    if before.state == PartnerState::Offboarded {
        // What was known of it is gone, for good.
        return Err(AdminError::illegal::<PartnerStep>(
            "the partner",
            before.state,
        ));
    }
    let edit = Edit {
        name: wanted.name.filter(|to| *to != before.name),
        legal_name: wanted.legal_name.filter(|to| *to != before.legal_name),
        security_contact: wanted
            .security_contact
            .filter(|to| *to != before.security_contact),
        leaked_secret_grace: wanted
            .leaked_secret_grace
            .filter(|to| *to != before.leaked_secret_grace),
    };
    if edit == Edit::default() {
        return Ok(before);
    }
    partners::edit(db, id, &edit, act.now)?;
    db.touch(Subject::Partner(id.clone()));
    let mut deed = Deed::new(Action::PartnerChanged, id).partner(id);
    for (member, to) in [
        ("name", edit.name),
        ("legal_name", edit.legal_name),
        ("security_contact", edit.security_contact),
    ] {
        if let Some(to) = to {
            deed = deed.detail(member, to);
        }
    }
    if let Some(grace) = edit.leaked_secret_grace {
        deed = deed.detail("leaked_secret_grace", grace);
    }
    act.record(db, deed)?;
    get(db, id)
}

/// Takes a partner a step on.
pub fn step(
    db: &mut Change<'_>,
    act: &Act,
    id: &PartnerId,
    step: PartnerStep,
    reason: Option<&str>,
) -> Result<Partner, AdminError> {
    let moved = partners::step(db, id, step, act.now)?;
    let partner = get(db, id)?;
    if !moved {
        return Err(AdminError::illegal::<PartnerStep>(
            "the partner",
            partner.state,
        ));
    }
    if step.tokens_die() {
        for realm in [Realm::Sandbox, Realm::Live] {
            act.revoke(
                db,
                realm,
                Revoked::Partner(id.clone()),
                partner.state.as_str(),
            )?;
        }
    }
    db.touch(Subject::Partner(id.clone()));
    let deed = Deed::new(action(step), id)
        .partner(id)
        .detail("reason", reason);
    act.record(db, deed)?;
    if step == PartnerStep::Offboard {
        offboarding::end_all(db, act, id)?;
    }
    Ok(partner)
}

fn action(step: PartnerStep) -> Action {
    match step {
        PartnerStep::Approve => Action::PartnerApproved,
        PartnerStep::Reject => Action::PartnerRejected,
        PartnerStep::Suspend => Action::PartnerSuspended,
        PartnerStep::Resume => Action::PartnerResumed,
        PartnerStep::Offboard => Action::PartnerOffboarded,
    }
}

/// An approved partner: others get no grants and no clients.
pub(super) fn approved(db: &mut Db, id: &PartnerId) -> Result<Partner, AdminError> {
    let partner = get(db, id)?;
    match partner.state {
        PartnerState::Approved => Ok(partner),
        state => {
            let detail = format!("the partner is {state}; it must be approved first");
            Err(AdminError::conflict("partner_not_approved", detail))
        }
    }
}

/// A partner that is not gone for good: nothing is agreed with others any more.
pub(super) fn open(db: &mut Db, id: &PartnerId) -> Result<Partner, AdminError> {
    let partner = get(db, id)?;
    match partner.state {
        state @ (PartnerState::Offboarded | PartnerState::Rejected) => {
            let detail = format!("the partner is {state}, for good");
            Err(AdminError::conflict("partner_closed", detail))
        }
        PartnerState::Applied | PartnerState::Approved | PartnerState::Suspended => Ok(partner),
    }
}
