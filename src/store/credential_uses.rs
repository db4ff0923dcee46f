//! How credentials are used: the first time, and how often since.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use super::columns::Stamp;
use super::db::Db;
use super::error::StoreError;
use super::fixed::fixed;
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

fixed! {
    /// A first use, on SQLite.
    FirstUse<'a> {
        "UPDATE credentials SET first_used_at = " [at: Timestamp = Stamp]
        " WHERE first_used_at IS NULL AND id = " [id: Text = &'a CredentialId]
    }
}

/// Adds uses to what is on record. What another process has written of later ones stays.
pub fn add(db: &mut Db, uses: &BTreeMap<CredentialId, Uses>) -> Result<(), StoreError> {
    match db {
        // One statement, prepared once and run again and again, is the quickest that SQLite does.
        Db::Sqlite(conn) => {
            for (id, uses) in uses {
                let at = &Stamp::of(uses.last_at);
                let addition = Addition {
                    count: uses.count,
                    before: at,
                    ip: uses.last_ip.as_deref(),
                    last: at,
                    at,
                    first: at,
                    id,
                };
                addition.execute(conn)?;
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

fixed! {
    /// The uses of one credential, on SQLite.
    Addition<'a> {
        "UPDATE credentials SET use_count = use_count + " [count: BigInt = i64]
        ", last_used_ip = CASE WHEN last_used_at > " [before: Timestamp = &'a Stamp]
        " THEN last_used_ip ELSE " [ip: Nullable<Text> = Option<&'a str>]
        " END, last_used_at = MAX(COALESCE(last_used_at, " [last: Timestamp = &'a Stamp]
        "), " [at: Timestamp = &'a Stamp]
        "), first_used_at = COALESCE(first_used_at, " [first: Timestamp = &'a Stamp]
        ") WHERE id = " [id: Text = &'a CredentialId]
    }
}

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
