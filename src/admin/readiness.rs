//! The gate to live: what a partner must have before it gets a client there.

use super::{AdminError, launch};
use crate::domain::agreement::unbroken_until;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::launch::Requirement;
use crate::store::{Db, StoreError, agreements, privacy_notices};

/// All that an approved partner still lacks for live; empty: it is ready.
pub fn missing(
    db: &mut Db,
    partner: &PartnerId,
    now: Instant,
) -> Result<Vec<Requirement>, StoreError> {
    let mut missing = Vec::new();
    let contracts = agreements::contract_terms(db, partner)?;
    if unbroken_until(&contracts, now).is_none() {
        missing.push(Requirement::Contract);
    }
    if privacy_notices::in_force(db, partner)?.is_none() {
        missing.push(Requirement::PrivacyNotice);
    }
    if !launch::is_approved(db, partner)? {
        missing.push(Requirement::LaunchReview);
    }
    Ok(missing)
}

/// Refuses a partner that lacks anything.
pub(super) fn demand(db: &mut Db, partner: &PartnerId, now: Instant) -> Result<(), AdminError> {
    match missing(db, partner, now)? {
        nothing if nothing.is_empty() => Ok(()),
        missing => Err(AdminError::NotReadyForLive(missing)),
    }
}
