//! Issued tokens: one row each, durable before the token is answered.

mod named;
mod statement;

use std::time::Duration;

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::issued_tokens;
use crate::domain::id::{ClientId, CredentialId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::ScopeSet;

pub use named::{Listed, Named, Window, named};

/// A row of `issued_tokens`.
#[derive(Clone, Debug, Queryable)]
pub struct IssuedToken {
    /// To the microsecond; the token's `iat` is its whole second.
    ///
    /// Rows are then written in the order of their key: a key of whole seconds and a random
    /// `jti` would touch a page of its own for each row of the busiest second.
    pub issued_at: Instant,
    pub jti: String,
    pub realm: Realm,
    pub client_id: ClientId,
    pub partner_id: Option<PartnerId>,
    pub credential_id: CredentialId,
    pub scope: ScopeSet,
    /// Space-separated, as in the token.
    pub aud: String,
    pub kid: String,
    pub expires_at: Instant,
    pub source_ip: Option<String>,
    /// The last revocation that had been applied before its client was looked up.
    pub rsn: Option<i64>,
    /// The number of the status list that it is on.
    pub status_list: Option<i64>,
    /// Its index there.
    pub status_index: Option<i64>,
}

/// Records tokens.
pub fn insert_all(db: &mut Db, tokens: &[&IssuedToken]) -> Result<(), StoreError> {
    Ok(match db {
        Db::Sqlite(conn) => statement::on_sqlite(conn, tokens),
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => statement::on_postgres(conn, tokens),
    }?)
}

/// How long after it was given out a token can live: the longest lifetime, and clocks that disagree.
const LIVES_AT_MOST: Duration = Duration::from_secs(900 + 60);

/// Whose a living token is. `None`: none of this name was given out, or its time is over.
pub fn living(
    db: &mut Db,
    realm: Realm,
    jti: &str,
    now: Instant,
) -> Result<Option<(ClientId, Option<PartnerId>)>, StoreError> {
    // The key leads with the time: the bound keeps the look-up to the last minutes' tokens.
    let row = issued_tokens::table
        .filter(
            issued_tokens::issued_at
                .gt(now.minus(LIVES_AT_MOST))
                .and(issued_tokens::jti.eq(jti)),
        )
        .filter(issued_tokens::realm.eq(realm))
        .select((issued_tokens::client_id, issued_tokens::partner_id))
        .first(db);
    Ok(row.optional()?)
}

/// The record of a token that was given out within a second. `None`: there is none, or none any more.
pub fn given(
    db: &mut Db,
    realm: Realm,
    jti: &str,
    second: Instant,
) -> Result<Option<IssuedToken>, StoreError> {
    let within = issued_tokens::issued_at
        .ge(second)
        .and(issued_tokens::issued_at.lt(second.plus(Duration::from_secs(1))));
    let row = issued_tokens::table
        .filter(within)
        .filter(
            issued_tokens::jti
                .eq(jti)
                .and(issued_tokens::realm.eq(realm)),
        )
        .first(db);
    Ok(row.optional()?)
}

/// Forgets tokens that were given out before a moment, the oldest first, about so many at most;
/// answers how many.
pub fn purge(db: &mut Db, issued_before: Instant, most: i64) -> Result<usize, StoreError> {
    let old = issued_tokens::table
        .filter(issued_tokens::issued_at.lt(issued_before))
        .order(issued_tokens::issued_at.asc())
        .select(issued_tokens::issued_at);
    let last: Option<Instant> = old.offset(most - 1).limit(1).first(db).optional()?;
    let gone = match last {
        Some(last) => {
            let those = issued_tokens::table.filter(issued_tokens::issued_at.le(last));
            diesel::delete(those).execute(db)
        }
        None => {
            let those = issued_tokens::table.filter(issued_tokens::issued_at.lt(issued_before));
            diesel::delete(those).execute(db)
        }
    };
    Ok(gone?)
}

/// Takes the addresses out of tokens that were given out before a moment, about so many at most;
/// answers of how many.
pub fn forget_addresses(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let known = issued_tokens::source_ip
        .is_not_null()
        .and(issued_tokens::issued_at.lt(before));
    let moments: Vec<Instant> = issued_tokens::table
        .filter(known)
        .order(issued_tokens::issued_at.asc())
        .select(issued_tokens::issued_at)
        .limit(most)
        .load(db)?;
    let Some(last) = moments.last() else {
        return Ok(0);
    };
    let those = issued_tokens::table
        .filter(issued_tokens::issued_at.le(last))
        .filter(issued_tokens::source_ip.is_not_null());
    Ok(diesel::update(those)
        .set(issued_tokens::source_ip.eq(None::<String>))
        .execute(db)?)
}
