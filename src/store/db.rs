//! One connection type over two engines, and the pool's manager that opens the right one.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant as Stopwatch};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

#[cfg(feature = "postgres")]
use diesel::pg::PgConnection;

use super::error::OpenError;

/// A connection to whichever engine the URL named.
#[cfg(feature = "postgres")]
#[derive(diesel::MultiConnection)]
pub enum Db {
    /// Embedded.
    Sqlite(SqliteConnection),
    /// A server.
    Postgres(PgConnection),
}

/// A connection to the embedded engine; PostgreSQL is not built in.
#[cfg(not(feature = "postgres"))]
#[derive(diesel::MultiConnection)]
pub enum Db {
    /// Embedded.
    Sqlite(SqliteConnection),
}

/// Runs a query on the engine's own connection, where it is built once and then known by its type.
///
/// Through [`Db`] diesel writes the query's text anew each time, which costs several times what the
/// engine's work does: for what every unknown client or every poll asks.
macro_rules! on_engine {
    ($db:expr, $conn:ident => $query:expr) => {
        match $db {
            $crate::store::Db::Sqlite($conn) => $query,
            #[cfg(feature = "postgres")]
            $crate::store::Db::Postgres($conn) => $query,
        }
    };
}
pub(super) use on_engine;

/// Where the database is, as the URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The path of an SQLite file.
    Sqlite(String),
    /// The URL of a PostgreSQL database.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl Target {
    /// Reads `sqlite://PATH` or `postgres://…`.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        if let Some(path) = url
            .strip_prefix("sqlite://")
            .filter(|path| !path.is_empty())
        {
            return Ok(Self::Sqlite(path.to_owned()));
        }
        let postgres = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"));
        if let Some(rest) = postgres {
            refuse_bare(rest)?;
            #[cfg(feature = "postgres")]
            return Ok(Self::Postgres(url.to_owned()));
            #[cfg(not(feature = "postgres"))]
            return Err(OpenError::NoPostgres);
        }
        Err(OpenError::UnknownScheme)
    }
}

/// Refuses a URL whose password has characters that end it: what comes after them would be taken for the host, and told
/// in the error that it is none.
fn refuse_bare(rest: &str) -> Result<(), OpenError> {
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = before_query.split_once('/').unwrap_or((before_query, ""));
    let has_user = authority.contains('@');
    let is_cut = |host: &str| {
        // An address of IPv6 has colons of its own.
        let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
        let port = behind.rsplit_once(':').map_or("", |(_, port)| port);
        !port.bytes().all(|b| b.is_ascii_digit())
    };
    let begins_query = query.split('&').next().unwrap_or_default();
    let name = begins_query
        .split_once('=')
        .map_or(begins_query, |(name, _)| name);
    let is_bare = authority.matches('@').count() > 1
        || path.contains('@')
        || (!has_user && (authority.split(',').any(is_cut) || name.contains('@')));
    if is_bare {
        return Err(OpenError::BarePassword);
    }
    Ok(())
}

/// How a PostgreSQL session behaves: who waits for a lock or a lost answer gives up before
/// its caller does, and what was committed is durable even where the server's default says
/// otherwise (a stronger default is left alone).
#[cfg(feature = "postgres")]
const POSTGRES_SESSION: &str = "SET TIME ZONE 'UTC'; SET application_name = 'onyx-auth'; \
    SET statement_timeout = '8s'; SET lock_timeout = '4s'; SET idle_in_transaction_session_timeout = '5s'; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";

/// Room for the pages that a transaction of many orders changes, on SQLite: one that has none left writes some of
/// them to the log before its end, reads them again, and goes over the log's checksums once more. What is kept
/// between transactions is less than that: tokens only add pages, and go round in what is kept.
const ROOM_TO_WRITE: &str = "PRAGMA cache_size = -4000; PRAGMA cache_spill = 8000";

/// What connections are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Reading,
    Writing,
}

/// Opens connections for r2d2; picks the engine by the URL, so that a failure names its true cause.
#[derive(Debug)]
pub(super) struct Manager {
    target: Target,
    purpose: Purpose,
}

impl Manager {
    pub(super) fn new(target: &Target, purpose: Purpose) -> Self {
        let target = target.clone();
        Self { target, purpose }
    }

    pub(super) fn open(&self) -> Result<Db, diesel::ConnectionError> {
        match &self.target {
            Target::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(path)?;
                // WAL lets readers go on beside the one writer; FULL makes a commit
                // durable before it is answered, through a power cut too. What is deleted, a
                // sealed secret say, is overwritten where that writes no page more. What a savepoint
                // would bring back is kept in memory. The log grows to 16 MB before it is copied into the file: pages
                // that many transactions change are copied once.
                conn.batch_execute(
                    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY; \
                     PRAGMA wal_autocheckpoint = 4000;",
                )
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
                if self.purpose == Purpose::Writing {
                    conn.batch_execute(ROOM_TO_WRITE)
                        .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
                }
                Ok(Db::Sqlite(conn))
            }
            #[cfg(feature = "postgres")]
            Target::Postgres(url) => {
                let mut conn = PgConnection::establish(&with_keepalives(url))?;
                conn.batch_execute(POSTGRES_SESSION)
                    .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
                Ok(Db::Postgres(conn))
            }
        }
    }
}

/// How long after its last use a connection is taken to live: asking it costs a journey to the database.
const FRESH: Duration = Duration::from_secs(1);

/// How long a connection that is in use all the time is taken to lead where it should.
const TRUSTED: Duration = Duration::from_secs(5);

/// A connection of a pool.
pub(super) struct Pooled {
    db: Db,
    /// When it was made, or last given back.
    used: Stopwatch,
    /// When it was made, or last asked.
    asked: Stopwatch,
}

impl Deref for Pooled {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Db {
        &mut self.db
    }
}

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        let db = self.open().map_err(diesel::r2d2::Error::ConnectionError)?;
        let now = Stopwatch::now();
        Ok(Pooled {
            db,
            used: now,
            asked: now,
        })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), Self::Error> {
        if pooled.used.elapsed() < FRESH && pooled.asked.elapsed() < TRUSTED {
            return Ok(());
        }
        pooled.asked = Stopwatch::now();
        // An embedded database cannot hang up; asking it would cost each query a statement.
        match &mut pooled.db {
            Db::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Db::Postgres(conn) => can_write(conn).map_err(diesel::r2d2::Error::QueryError),
        }
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        use diesel::connection::TransactionManager;
        // Asked when it is given back.
        pooled.used = Stopwatch::now();
        std::thread::panicking()
            || <Db as Connection>::TransactionManager::is_broken_transaction_manager(&mut pooled.db)
    }
}

/// An error where a connection leads to a database that takes nothing: one that became a standby, or was made
/// read-only for a while. A session keeps that to its end, long after the database has another writer.
#[cfg(feature = "postgres")]
fn can_write(conn: &mut PgConnection) -> QueryResult<()> {
    use diesel::sql_types::Bool;
    let writes = "current_setting('transaction_read_only') = 'off'";
    let writes: bool = diesel::select(diesel::dsl::sql::<Bool>(writes)).get_result(conn)?;
    writes.then_some(()).ok_or(diesel::result::Error::NotFound)
}

/// The URL with limits on how long a silent network is believed in, where it sets none itself.
#[cfg(feature = "postgres")]
fn with_keepalives(url: &str) -> String {
    let limits = [
        ("keepalives_idle", "10"),
        ("keepalives_interval", "5"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "15000"),
        ("connect_timeout", "5"),
    ];
    let mut url = url.to_owned();
    for (name, value) in limits {
        if !url.contains(name) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={value}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_ends_too_early_is_refused_before_anybody_repeats_it() {
        for good in [
            "onyx:p%40ss%2Fword@db.example.com:5432/onyx",
            "db.example.com/onyx?user=a@b",
            "/onyx?host=/run/postgresql",
            "[::1]:5432/onyx",
            "[::1]/onyx?user=onyx",
            "one:5432,two/onyx?user=onyx",
        ] {
            assert!(refuse_bare(good).is_ok(), "{good}");
        }
        for bad in [
            "onyx:p@ss@db.example.com/onyx",
            "onyx:pa/ss@db.example.com/onyx",
            "onyx:pa?ss@db.example.com/onyx",
            "onyx:12?34@db.example.com/onyx",
        ] {
            assert!(refuse_bare(bad).is_err(), "{bad}");
        }
    }
}
