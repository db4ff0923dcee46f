//! Answers that operators were given under a key. A request that is still running has no row.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::operator_keys;
use super::together::Together;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;

/// A row of `operator_keys`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = operator_keys, treat_none_as_default_value = false)]
pub struct OperatorAnswer {
    pub client_id: ClientId,
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

/// What an operator was answered under a key. `None`: nothing that is still kept.
pub fn find(
    db: &mut Db,
    client: &ClientId,
    operation: &str,
    key_hash: &str,
) -> Result<Option<OperatorAnswer>, StoreError> {
    let row = operator_keys::table.find((client, operation, key_hash));
    let row = on_engine!(db, conn => row.first(conn));
    Ok(row.optional()?)
}

/// Keeps an answer, at the end of the transaction that did what it says.
pub fn keep_with(rows: &mut Together, answer: OperatorAnswer) {
    rows.add(diesel::insert_into(operator_keys::table).values(answer));
}

/// Forgets what an operator was answered under a key.
pub fn forget(
    db: &mut Db,
    client: &ClientId,
    operation: &str,
    key_hash: &str,
) -> Result<(), StoreError> {
    diesel::delete(operator_keys::table.find((client, operation, key_hash))).execute(db)?;
    Ok(())
}

/// Forgets answers from before a moment, the oldest first, about so many at most; answers how many.
pub fn purge(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let old = operator_keys::table
        .filter(operator_keys::created_at.lt(before))
        .order(operator_keys::created_at.asc())
        .select(operator_keys::created_at);
    let last: Option<Instant> = old.offset(most - 1).limit(1).first(db).optional()?;
    let gone = match last {
        Some(last) => {
            let those = operator_keys::table.filter(operator_keys::created_at.le(last));
            diesel::delete(those).execute(db)
        }
        None => {
            let those = operator_keys::table.filter(operator_keys::created_at.lt(before));
            diesel::delete(those).execute(db)
        }
    };
    Ok(gone?)
}
