//! What a partner has, ended as a whole.

use diesel::prelude::*;

use super::clients::Client;
use super::db::Db;
use super::error::StoreError;
use super::grants::Grant;
use super::schema::{clients, scope_grants};
use crate::domain::client::ClientStep;
use crate::domain::grant::GrantStep;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;

/// Revokes every client of a partner, in both environments; answers those that were not revoked before.
pub fn revoke_clients(
    db: &mut Db,
    partner: &PartnerId,
    now: Instant,
) -> Result<Vec<Client>, StoreError> {
    let step = ClientStep::Revoke;
    let standing = clients::table
        .filter(clients::partner_id.eq(partner))
        .filter(clients::state.eq_any(step.from()));
    Ok(diesel::update(standing)
        .set((clients::state.eq(step.to()), clients::updated_at.eq(now)))
        .returning(clients::all_columns)
        .get_results(db)?)
}

/// Revokes every approved grant of a partner, in both environments; answers them.
pub fn revoke_grants(
    db: &mut Db,
    partner: &PartnerId,
    by: &str,
    reason: &str,
    now: Instant,
) -> Result<Vec<Grant>, StoreError> {
    let step = GrantStep::Revoke;
    let in_force = scope_grants::table
        .filter(scope_grants::partner_id.eq(partner))
        .filter(scope_grants::state.eq_any(step.from()));
    Ok(diesel::update(in_force)
        .set((
            scope_grants::state.eq(step.to()),
            scope_grants::ended_by.eq(by),
            scope_grants::ended_at.eq(now),
            scope_grants::ended_reason.eq(reason),
        ))
        .returning(scope_grants::all_columns)
        .get_results(db)?)
}
