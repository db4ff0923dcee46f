//! Credentials in rotation: one supersedes another, for a while both are accepted.
//!
//! Each function is one conditional UPDATE. Where a transaction changes a credential and
//! its successor, the older goes first: whoever else writes several goes by id as well.

use diesel::prelude::*;

use super::credentials::Revocation;
use super::db::Db;
use super::error::StoreError;
use super::schema::credentials;
use crate::domain::credential::{CredentialState, CredentialStep};
use crate::domain::id::CredentialId;
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;

/// Supersedes a credential by one that is on record already. `false`: unknown, or not active.
pub fn supersede(
    db: &mut Db,
    id: &CredentialId,
    successor: &CredentialId,
    accepts_until: Instant,
) -> Result<bool, StoreError> {
    let ready = credentials::table
        .find(id)
        .filter(credentials::state.eq_any(CredentialStep::Rotate.from()));
    let changed = diesel::update(ready)
        .set((
            credentials::state.eq(CredentialStep::Rotate.to()),
            credentials::accepts_until.eq(accepts_until),
            credentials::replaced_by.eq(successor),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Puts another successor in the place of one. `false`: it is not the credential's successor any more.
pub fn exchange_successor(
    db: &mut Db,
    id: &CredentialId,
    (from, to): (&CredentialId, &CredentialId),
) -> Result<bool, StoreError> {
    let ready = credentials::table
        .find(id)
        .filter(credentials::state.eq(CredentialState::Rotated))
        .filter(credentials::replaced_by.eq(from));
    let changed = diesel::update(ready)
        .set(credentials::replaced_by.eq(to))
        .execute(db)?;
    Ok(changed == 1)
}

/// Ends an overlap early: the superseded credential is revoked. `false`: unknown, or not superseded.
pub fn finish(db: &mut Db, id: &CredentialId, revocation: &Revocation) -> Result<bool, StoreError> {
    let ready = credentials::table
        .find(id)
        .filter(credentials::state.eq_any(CredentialStep::FinishRotation.from()));
    let changed = diesel::update(ready).set(revocation.values()).execute(db)?;
    Ok(changed == 1)
}

/// Makes a superseded credential active again. `false`: unknown, not superseded, or its overlap is over.
pub fn undo(db: &mut Db, id: &CredentialId, now: Instant) -> Result<bool, StoreError> {
    let ready = credentials::table
        .find(id)
        .filter(credentials::state.eq_any(CredentialStep::UndoRotation.from()))
        .filter(credentials::accepts_until.gt(now));
    let changed = diesel::update(ready)
        .set((
            credentials::state.eq(CredentialStep::UndoRotation.to()),
            credentials::accepts_until.eq(None::<Instant>),
            credentials::replaced_by.eq(None::<CredentialId>),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Revokes a credential that nobody has used. `false`: unknown, used, or already revoked.
pub fn revoke_unused(
    db: &mut Db,
    id: &CredentialId,
    revocation: &Revocation,
) -> Result<bool, StoreError> {
    let ready = credentials::table
        .find(id)
        .filter(credentials::state.eq_any(CredentialStep::Revoke.from()))
        .filter(credentials::first_used_at.is_null());
    let changed = diesel::update(ready).set(revocation.values()).execute(db)?;
    Ok(changed == 1)
}
