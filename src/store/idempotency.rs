//! Answers that were given under a key. A request that is still running has no row.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::idempotency_keys;
use super::together::Together;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// A row of `idempotency_keys`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = idempotency_keys, treat_none_as_default_value = false)]
pub struct StoredAnswer {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub operation: String,
    pub key_hash: String,
    pub fingerprint: String,
    pub status: i32,
    /// JSON: pairs of names and values.
    pub headers: String,
    pub body: String,
    pub resource: Option<String>,
    pub created_at: Instant,
}

#[cfg(feature = "postgres")]
super::fixed::fixed! {
    Lock<'a> -> diesel::sql_types::Bool {
        "SELECT pg_try_advisory_xact_lock(" [number: diesel::sql_types::BigInt = &'a i64]
        ")"
    }
}

/// Takes a number for the rest of the transaction, among all nodes. `false`: another has it.
///
/// On SQLite there is one write transaction at a time, and this is it.
pub fn try_lock(db: &mut Db, number: i64) -> Result<bool, StoreError> {
    match db {
        Db::Sqlite(_) => {
            let _ = number;
            Ok(true)
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            let lock = Lock { number: &number };
            Ok(lock.get_result(conn)?)
        }
    }
}

/// What a tenant was answered under a key. `None`: nothing that is still kept.
pub fn find(
    db: &mut Db,
    tenant: &Tenant,
    operation: &str,
    key_hash: &str,
) -> Result<Option<StoredAnswer>, StoreError> {
    let key = (tenant.partner_id(), tenant.realm(), operation, key_hash);
    let row = idempotency_keys::table.find(key);
    let row = on_engine!(db, conn => row.first(conn));
    Ok(row.optional()?)
}

/// Keeps an answer, at the end of the transaction that did what it says.
pub fn keep_with(rows: &mut Together, tenant: &Tenant, answer: StoredAnswer) {
    debug_assert_eq!(&answer.partner_id, tenant.partner_id());
    rows.add(diesel::insert_into(idempotency_keys::table).values(answer));
}

/// Forgets what a tenant was answered under a key.
pub fn forget(
    db: &mut Db,
    tenant: &Tenant,
    operation: &str,
    key_hash: &str,
) -> Result<(), StoreError> {
    let key = (tenant.partner_id(), tenant.realm(), operation, key_hash);
    diesel::delete(idempotency_keys::table.find(key)).execute(db)?;
    Ok(())
}

/// Forgets answers from before a moment, the oldest first, about so many at most; answers how many.
pub fn purge(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let old = idempotency_keys::table
        .filter(idempotency_keys::created_at.lt(before))
        .order(idempotency_keys::created_at.asc())
        .select(idempotency_keys::created_at);
    let last: Option<Instant> = old.offset(most - 1).limit(1).first(db).optional()?;
    let gone = match last {
        Some(last) => {
            let those = idempotency_keys::table.filter(idempotency_keys::created_at.le(last));
            diesel::delete(those).execute(db)
        }
        None => {
            let those = idempotency_keys::table.filter(idempotency_keys::created_at.lt(before));
            diesel::delete(those).execute(db)
        }
    };
    Ok(gone?)
}
