//! Stored answers to requests with an idempotency key.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::idempotency_keys;
use crate::domain::instant::Instant;

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
