//! How credentials are used: the first time, and how often since.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};
use diesel::sqlite::{Sqlite, SqliteConnection};

use super::columns::Stamp;
use super::db::Db;
use super::error::StoreError;
use super::schema::{clients, credentials, partners};
use crate::domain::id::CredentialId;
use crate::domain::instant::Instant;
use crate::domain::partner::PartnerState;

/// Uses of a credential that are not on record yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uses {
    pub count: i64,
    /// The last of them.
    pub last_at: Instant,
    /// From where the last came.
    pub last_ip: Option<String>,
}

/// Notes first uses; a credential that has one keeps it.
///
/// Rows are taken in the order of their ids: others who write several do so too.
pub fn mark_first(db: &mut Db, first: &BTreeMap<&CredentialId, Instant>) -> Result<(), StoreError> {
    match db {
        Db::Sqlite(conn) => {
            for (id, at) in first {
                let at = Stamp::of(*at);
                FirstUse { id, at }.execute(conn)?;
            }
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) if !first.is_empty() => {
            use diesel::sql_types::Array;
            let ids: Vec<&CredentialId> = first.keys().copied().collect();
            diesel::sql_query(HOLD)
                .bind::<Array<Text>, _>(&ids)
                .execute(conn)?;
            diesel::sql_query(POSTGRES_FIRST)
                .bind::<Array<Text>, _>(&ids)
                .bind::<Array<Timestamp>, _>(first.values().collect::<Vec<_>>())
                .execute(conn)?;
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(_) => {}
    }
    Ok(())
}

/// A first use on SQLite. As text, since diesel prepares its own UPDATEs anew each time, and tokens wait meanwhile.
struct FirstUse<'a> {
    id: &'a CredentialId,
    at: Stamp,
}

impl QueryId for FirstUse<'_> {
    type QueryId = FirstUse<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for FirstUse<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE credentials SET first_used_at = ");
        out.push_bind_param::<Timestamp, _>(&self.at)?;
        out.push_sql(" WHERE first_used_at IS NULL AND id = ");
        out.push_bind_param::<Text, _>(self.id)?;
        Ok(())
    }
}

impl RunQueryDsl<SqliteConnection> for FirstUse<'_> {}

/// Adds uses to what is on record. What another process has written of later ones stays.
pub fn add(db: &mut Db, uses: &BTreeMap<CredentialId, Uses>) -> Result<(), StoreError> {
    match db {
        // One statement, prepared once and run again and again, is the quickest that SQLite does.
        Db::Sqlite(conn) => {
            for (id, uses) in uses {
                let last_at = Stamp::of(uses.last_at);
                Addition { id, uses, last_at }.execute(conn)?;
            }
            Ok(())
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            use diesel::sql_types::Array;
            let ids: Vec<&CredentialId> = uses.keys().collect();
            diesel::sql_query(HOLD)
                .bind::<Array<Text>, _>(&ids)
                .execute(conn)?;
            diesel::sql_query(POSTGRES)
                .bind::<Array<Text>, _>(&ids)
                .bind::<Array<BigInt>, _>(uses.values().map(|u| u.count).collect::<Vec<_>>())
                .bind::<Array<Timestamp>, _>(uses.values().map(|u| u.last_at).collect::<Vec<_>>())
                .bind::<Array<Nullable<Text>>, _>(
                    uses.values()
                        .map(|u| u.last_ip.as_deref())
                        .collect::<Vec<_>>(),
                )
                .execute(conn)?;
            Ok(())
        }
    }
}

/// The uses of one credential on SQLite, as text like [`FirstUse`].
struct Addition<'a> {
    id: &'a CredentialId,
    uses: &'a Uses,
    last_at: Stamp,
}

impl QueryId for Addition<'_> {
    type QueryId = Addition<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for Addition<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Self { id, uses, last_at } = self;
        out.push_sql("UPDATE credentials SET use_count = use_count + ");
        out.push_bind_param::<BigInt, _>(&uses.count)?;
        out.push_sql(", last_used_ip = CASE WHEN last_used_at > ");
        out.push_bind_param::<Timestamp, _>(last_at)?;
        out.push_sql(" THEN last_used_ip ELSE ");
        out.push_bind_param::<Nullable<Text>, _>(&uses.last_ip)?;
        out.push_sql(" END, last_used_at = MAX(COALESCE(last_used_at, ");
        out.push_bind_param::<Timestamp, _>(last_at)?;
        out.push_sql("), ");
        out.push_bind_param::<Timestamp, _>(last_at)?;
        out.push_sql("), first_used_at = COALESCE(first_used_at, ");
        out.push_bind_param::<Timestamp, _>(last_at)?;
        out.push_sql(") WHERE id = ");
        out.push_bind_param::<Text, _>(*id)?;
        Ok(())
    }
}

impl RunQueryDsl<SqliteConnection> for Addition<'_> {}

/// Takes the address out of credentials that were last used before a moment, at most so many;
/// answers of how many.
pub fn forget_addresses(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let old = credentials::last_used_ip
        .is_not_null()
        .and(credentials::last_used_at.lt(before));
    let ids: Vec<CredentialId> = credentials::table
        .filter(old)
        .order(credentials::id.asc())
        .select(credentials::id)
        .limit(most)
        .load(db)?;
    // Asked again: one that was used meanwhile keeps its new address.
    let those = credentials::table
        .filter(credentials::id.eq_any(&ids))
        .filter(old);
    Ok(diesel::update(those)
        .set(credentials::last_used_ip.eq(None::<String>))
        .execute(db)?)
}

/// Takes the address out of credentials of partners that were let go, at most so many; answers of
/// how many. Uses of the last second before are written down after the partner was let go.
pub fn forget_addresses_of_the_gone(db: &mut Db, most: i64) -> Result<usize, StoreError> {
    let theirs = clients::partner_id.eq_any(
        partners::table
            .filter(partners::state.eq(PartnerState::Offboarded))
            .select(partners::id.nullable()),
    );
    let ids: Vec<CredentialId> = credentials::table
        .inner_join(clients::table)
        .filter(credentials::last_used_ip.is_not_null())
        .filter(theirs)
        .order(credentials::id.asc())
        .select(credentials::id)
        .limit(most)
        .load(db)?;
    let those = credentials::table.filter(credentials::id.eq_any(&ids));
    Ok(diesel::update(those)
        .set(credentials::last_used_ip.eq(None::<String>))
        .execute(db)?)
}

/// One statement would take the rows in an order of its own.
#[cfg(feature = "postgres")]
const HOLD: &str = "SELECT 1 FROM credentials WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";

/// One statement for all: each would cost a round trip.
#[cfg(feature = "postgres")]
const POSTGRES_FIRST: &str = "UPDATE credentials c SET first_used_at = u.at \
    FROM unnest($1, $2) AS u (id, at) WHERE c.id = u.id AND c.first_used_at IS NULL";

/// One statement for all: each would cost a round trip. Of two that were written the later
/// stays: nodes write when it suits them.
#[cfg(feature = "postgres")]
const POSTGRES: &str = "UPDATE credentials c SET use_count = c.use_count + u.count, \
    last_used_ip = CASE WHEN c.last_used_at > u.at THEN c.last_used_ip ELSE u.ip END, \
    last_used_at = CASE WHEN c.last_used_at > u.at THEN c.last_used_at ELSE u.at END, \
    first_used_at = COALESCE(c.first_used_at, u.at) \
    FROM unnest($1, $2, $3, $4) AS u (id, count, at, ip) WHERE c.id = u.id";
