//! Issued tokens: one row each, durable before the token is answered.

use diesel::prelude::*;

use super::columns::Stamp;
use super::db::Db;
use super::error::StoreError;
use super::schema::issued_tokens;
use crate::domain::id::{ClientId, CredentialId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::ScopeSet;

/// A row of `issued_tokens`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = issued_tokens, treat_none_as_default_value = false)]
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
}

/// Records tokens.
pub fn insert_all(db: &mut Db, tokens: &[&IssuedToken]) -> Result<(), StoreError> {
    match db {
        // One cached statement, run again and again, is the quickest that SQLite does.
        Db::Sqlite(conn) => {
            for token in tokens {
                diesel::insert_into(issued_tokens::table)
                    .values((
                        issued_tokens::issued_at.eq(Stamp::of(token.issued_at)),
                        issued_tokens::jti.eq(&token.jti),
                        issued_tokens::realm.eq(token.realm),
                        issued_tokens::client_id.eq(&token.client_id),
                        issued_tokens::partner_id.eq(&token.partner_id),
                        issued_tokens::credential_id.eq(&token.credential_id),
                        issued_tokens::scope.eq(&token.scope),
                        issued_tokens::aud.eq(&token.aud),
                        issued_tokens::kid.eq(&token.kid),
                        issued_tokens::expires_at.eq(Stamp::of(token.expires_at)),
                        issued_tokens::source_ip.eq(&token.source_ip),
                    ))
                    .execute(conn)?;
            }
        }
        // One statement for all: each would cost a round trip.
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            diesel::insert_into(issued_tokens::table)
                .values(tokens.to_vec())
                .execute(conn)?;
        }
    }
    Ok(())
}

/// Forgets tokens that were given out before a moment; answers how many.
pub fn purge(db: &mut Db, issued_before: Instant) -> Result<usize, StoreError> {
    Ok(
        diesel::delete(issued_tokens::table.filter(issued_tokens::issued_at.lt(issued_before)))
            .execute(db)?,
    )
}
