//! Partners: applied for, and approved or rejected.

use super::{Actor, AdminError};
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::partner::PartnerState;
use crate::store::Db;
use crate::store::changes::{Change, Subject};
use crate::store::partners::{self, Partner};

/// An application.
#[derive(Clone, Debug)]
pub struct NewPartner {
    pub name: String,
    pub legal_name: String,
    pub security_contact: String,
}

/// Records an application.
pub fn create(
    db: &mut Change<'_>,
    actor: &Actor,
    new: NewPartner,
    now: Instant,
) -> Result<Partner, AdminError> {
    let partner = Partner {
        id: PartnerId::generate(now),
        name: new.name,
        legal_name: new.legal_name,
        security_contact: new.security_contact,
        state: PartnerState::Applied,
        created_by: actor.to_string(),
        created_at: now,
        updated_at: now,
    };
    partners::insert(db, &partner)?;
    Ok(partner)
}

/// A partner by id.
pub fn get(db: &mut Db, id: &PartnerId) -> Result<Partner, AdminError> {
    partners::find(db, id)?.ok_or(AdminError::NotFound)
}

/// Decides an application: `Approved` or `Rejected`, from `Applied` alone.
pub fn decide(
    db: &mut Change<'_>,
    actor: &Actor,
    id: &PartnerId,
    to: PartnerState,
    now: Instant,
) -> Result<Partner, AdminError> {
    let moved = partners::transition(db, id, PartnerState::Applied, to, now)?;
    let partner = get(db, id)?;
    if moved {
        db.touch(Subject::Partner(id.clone()));
        log::info!("partner {id} is {to}, by {actor}");
        Ok(partner)
    } else {
        Err(AdminError::illegal(
            "the partner",
            partner.state,
            partner.state.allowed(),
        ))
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
