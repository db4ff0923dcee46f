//! Migrations: embedded, and run by one process at a time.

use diesel::migration::{Migration, MigrationSource};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::db::Db;
use super::error::{OpenError, StoreError};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// "onyx" in ASCII: the advisory lock that starting processes queue at.
#[cfg(feature = "postgres")]
const LOCK: i64 = 0x6f6e_7978;

/// Runs what is pending; answers the names of what ran.
pub(super) fn run(db: &mut Db) -> Result<Vec<String>, OpenError> {
    super::transaction(db, super::Begin::Writing(None), |db| {
        lock(db)?;
        match db {
            Db::Sqlite(conn) => pending(conn, SQLITE),
            #[cfg(feature = "postgres")]
            Db::Postgres(conn) => pending(conn, POSTGRES),
        }
    })
}

/// The names of what has not run yet.
pub(super) fn outstanding(db: &mut Db) -> Result<Vec<String>, OpenError> {
    match db {
        Db::Sqlite(conn) => names_outstanding(conn, SQLITE),
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => names_outstanding(conn, POSTGRES),
    }
}

fn names_outstanding<DB, C>(
    conn: &mut C,
    source: EmbeddedMigrations,
) -> Result<Vec<String>, OpenError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    refuse_unknown(conn, &source)?;
    let pending = conn
        .pending_migrations(source)
        .map_err(OpenError::Migrate)?;
    Ok(pending.iter().map(|m| m.name().to_string()).collect())
}

/// Waits until no other process starts on this database; held to the end of the transaction.
pub(super) fn lock(db: &mut Db) -> Result<(), StoreError> {
    match db {
        // BEGIN IMMEDIATE holds the write lock already.
        Db::Sqlite(_) => Ok(()),
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            use diesel::RunQueryDsl;
            use diesel::connection::SimpleConnection;
            // The one before may take its time, and so may a migration.
            conn.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")?;
            diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
                .bind::<diesel::sql_types::BigInt, _>(LOCK)
                .execute(conn)?;
            Ok(())
        }
    }
}

fn pending<DB, C>(conn: &mut C, source: EmbeddedMigrations) -> Result<Vec<String>, OpenError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    refuse_unknown(conn, &source)?;
    let ran = conn
        .run_pending_migrations(source)
        .map_err(OpenError::Migrate)?;
    Ok(ran.iter().map(ToString::to_string).collect())
}

/// Refuses a database of a newer program.
fn refuse_unknown<DB, C>(conn: &mut C, source: &EmbeddedMigrations) -> Result<(), OpenError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known: Vec<Box<dyn Migration<DB>>> = source.migrations().map_err(OpenError::Migrate)?;
    let known: Vec<String> = known
        .iter()
        .map(|m| m.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations().map_err(OpenError::Migrate)?;
    let mut applied = applied.iter().map(ToString::to_string);
    match applied.find(|version| !known.contains(version)) {
        Some(unknown) => Err(OpenError::Newer(unknown)),
        None => Ok(()),
    }
}
