//! Secrets on their way: sealed, with a key that the database never sees.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::{clients, credentials, secret_deliveries};
use crate::domain::credential::CredentialState;
use crate::domain::delivery::{DeliveryState, DeliveryStep, ProofHash};
use crate::domain::id::{CredentialId, DeliveryId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::realm::Realm;

/// A row of `secret_deliveries`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = secret_deliveries, treat_none_as_default_value = false)]
pub struct SecretDelivery {
    pub id: DeliveryId,
    pub credential_id: CredentialId,
    pub state: DeliveryState,
    pub proof_hash: ProofHash,
    /// While it is pending.
    pub ciphertext: Option<String>,
    /// How often its page was asked for.
    pub lookups: i64,
    pub created_at: Instant,
    pub expires_at: Instant,
    pub opened_at: Option<Instant>,
    pub opened_ip: Option<String>,
}

/// Writes a new delivery.
pub fn insert(db: &mut Db, delivery: &SecretDelivery) -> Result<(), StoreError> {
    diesel::insert_into(secret_deliveries::table)
        .values(delivery)
        .execute(db)?;
    Ok(())
}

/// A delivery of one of these realms. `None`: unknown, or another realm's.
pub fn find(
    db: &mut Db,
    realms: &[Realm],
    id: &DeliveryId,
) -> Result<Option<(SecretDelivery, Realm)>, StoreError> {
    let row = secret_deliveries::table
        .inner_join(credentials::table.inner_join(clients::table))
        .filter(secret_deliveries::id.eq(id))
        .filter(clients::realm.eq_any(realms))
        .select((secret_deliveries::all_columns, clients::realm))
        .first(db);
    Ok(row.optional()?)
}

/// The delivery of each of these credentials, the newest where there are more.
pub fn newest_of(
    db: &mut Db,
    credentials: &[CredentialId],
) -> Result<BTreeMap<CredentialId, SecretDelivery>, StoreError> {
    let rows: Vec<SecretDelivery> = secret_deliveries::table
        .filter(secret_deliveries::credential_id.eq_any(credentials))
        .order(secret_deliveries::created_at.asc())
        .load(db)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.credential_id.clone(), row))
        .collect())
}

/// The delivery of a credential, the newest where there are more. `None`: it went by no link.
pub fn of(db: &mut Db, credential: &CredentialId) -> Result<Option<SecretDelivery>, StoreError> {
    Ok(newest_of(db, std::slice::from_ref(credential))?.remove(credential))
}

/// Counts that the page was asked for.
pub fn count_lookup(db: &mut Db, id: &DeliveryId) -> Result<(), StoreError> {
    diesel::update(secret_deliveries::table.find(id))
        .set(secret_deliveries::lookups.eq(secret_deliveries::lookups + 1))
        .execute(db)?;
    Ok(())
}

/// Marks a delivery as opened and deletes its ciphertext. `false`: it is not pending any more,
/// its end has come, or its credential is accepted no more.
pub fn open(
    db: &mut Db,
    id: &DeliveryId,
    from: Option<&str>,
    now: Instant,
) -> Result<bool, StoreError> {
    let step = DeliveryStep::Open;
    let unrevoked = credentials::table
        .filter(credentials::state.ne(CredentialState::Revoked))
        .filter(
            credentials::accepts_until
                .is_null()
                .or(credentials::accepts_until.gt(now)),
        )
        .select(credentials::id);
    let pending = secret_deliveries::table
        .find(id)
        .filter(secret_deliveries::state.eq_any(step.from()))
        .filter(secret_deliveries::expires_at.gt(now))
        .filter(secret_deliveries::credential_id.eq_any(unrevoked));
    let changed = diesel::update(pending)
        .set((
            secret_deliveries::state.eq(step.to()),
            secret_deliveries::ciphertext.eq(None::<String>),
            secret_deliveries::opened_at.eq(now),
            secret_deliveries::opened_ip.eq(from),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Ends a delivery whose time has come, and deletes its ciphertext. `false`: it is not pending,
/// or has time left.
pub fn expire(db: &mut Db, id: &DeliveryId, now: Instant) -> Result<bool, StoreError> {
    let step = DeliveryStep::Expire;
    let due = secret_deliveries::table
        .find(id)
        .filter(secret_deliveries::state.eq_any(step.from()))
        .filter(secret_deliveries::expires_at.le(now));
    let changed = diesel::update(due)
        .set((
            secret_deliveries::state.eq(step.to()),
            secret_deliveries::ciphertext.eq(None::<String>),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Cancels what is on its way for a revoked credential; answers how many deliveries there were.
pub fn cancel(db: &mut Db, credential: &CredentialId) -> Result<usize, StoreError> {
    let step = DeliveryStep::Cancel;
    let pending = secret_deliveries::table
        .filter(secret_deliveries::credential_id.eq(credential))
        .filter(secret_deliveries::state.eq_any(step.from()));
    Ok(diesel::update(pending)
        .set((
            secret_deliveries::state.eq(step.to()),
            secret_deliveries::ciphertext.eq(None::<String>),
        ))
        .execute(db)?)
}

/// Deliveries that are pending past their end, the oldest first, at most `most`.
pub fn due(db: &mut Db, now: Instant, most: i64) -> Result<Vec<DeliveryId>, StoreError> {
    let rows = secret_deliveries::table
        .filter(
            secret_deliveries::state
                .eq(DeliveryState::Pending)
                .and(secret_deliveries::expires_at.le(now)),
        )
        .order(secret_deliveries::expires_at.asc())
        .limit(most)
        .select(secret_deliveries::id)
        .load(db)?;
    Ok(rows)
}

/// Credentials that were revoked while their secret is still on its way, at most `most`.
pub fn revoked_on_the_way(db: &mut Db, most: i64) -> Result<Vec<CredentialId>, StoreError> {
    let rows = secret_deliveries::table
        .inner_join(credentials::table)
        .filter(secret_deliveries::state.eq(DeliveryState::Pending))
        .filter(credentials::state.eq(CredentialState::Revoked))
        .limit(most)
        .select(credentials::id)
        .load(db)?;
    Ok(rows)
}

/// Takes the addresses out of deliveries that were opened before a moment, at most so many; answers
/// of how many.
pub fn forget_addresses(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let old = secret_deliveries::table
        .filter(secret_deliveries::opened_ip.is_not_null())
        .filter(secret_deliveries::opened_at.lt(before))
        .select(secret_deliveries::id)
        .limit(most);
    let old: Vec<DeliveryId> = old.load(db)?;
    let those = secret_deliveries::table.filter(secret_deliveries::id.eq_any(&old));
    Ok(diesel::update(those)
        .set(secret_deliveries::opened_ip.eq(None::<String>))
        .execute(db)?)
}
