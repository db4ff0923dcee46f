//! What the database remembers about the installation itself.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::instance;
use crate::domain::instant::Instant;

/// Names of what is remembered.
#[derive(Clone, Copy, Debug)]
pub enum Fact {
    /// A fingerprint of the master key under which keys and hashes were made.
    MasterKeyFingerprint,
    /// The partner that `quickstart` made.
    QuickstartPartner,
    /// That audit events from before there were MACs have theirs.
    AuditTrailAdopted,
    /// When all of an SQLite database moved to PostgreSQL: what is here is history.
    MovedAt,
}

impl Fact {
    fn name(self) -> &'static str {
        match self {
            Fact::MasterKeyFingerprint => "master_key_fingerprint",
            Fact::QuickstartPartner => "quickstart_partner",
            Fact::AuditTrailAdopted => "audit_trail_adopted",
            Fact::MovedAt => "moved_at",
        }
    }
}

/// Whether there is anything to remember it in: the tables were made, by whichever version.
pub fn is_there(db: &mut Db) -> Result<bool, StoreError> {
    let found = match db {
        Db::Sqlite(conn) => {
            let table =
                "EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'instance')";
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>(table)).get_result(conn)
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            let table = "to_regclass(format('%I.instance', current_schema())) IS NOT NULL";
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>(table)).get_result(conn)
        }
    };
    Ok(found?)
}

/// What is remembered. `None`: nothing yet.
pub fn get(db: &mut Db, fact: Fact) -> Result<Option<String>, StoreError> {
    let row = instance::table
        .find(fact.name())
        .select(instance::value)
        .first(db);
    Ok(row.optional()?)
}

/// Remembers something for the first time; a second time is a `Duplicate`.
pub fn remember(db: &mut Db, fact: Fact, value: &str) -> Result<(), StoreError> {
    diesel::insert_into(instance::table)
        .values((instance::name.eq(fact.name()), instance::value.eq(value)))
        .execute(db)?;
    Ok(())
}

/// Remembers something, whatever was remembered before.
#[cfg(feature = "postgres")]
pub fn put(db: &mut Db, fact: Fact, value: &str) -> Result<(), StoreError> {
    // Never without: a process may end between two statements.
    let known = diesel::update(instance::table.find(fact.name()));
    match known.set(instance::value.eq(value)).execute(db)? {
        0 => remember(db, fact, value),
        _ => Ok(()),
    }
}

/// Forgets something.
#[cfg(feature = "postgres")]
pub fn forget(db: &mut Db, fact: Fact) -> Result<(), StoreError> {
    diesel::delete(instance::table.find(fact.name())).execute(db)?;
    Ok(())
}

/// Writes what is there already: shows that the database takes writes.
pub fn touch(db: &mut Db) -> Result<(), StoreError> {
    diesel::update(instance::table)
        .set(instance::value.eq(instance::value))
        .execute(db)?;
    Ok(())
}

/// What time it is where the database runs. `None`: it runs in this process.
pub fn time(db: &mut Db) -> Result<Option<Instant>, StoreError> {
    match db {
        Db::Sqlite(_) => Ok(None),
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => Ok(Some(
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Timestamp>(
                "LOCALTIMESTAMP",
            ))
            .get_result(conn)?,
        )),
    }
}
