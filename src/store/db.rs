//! One connection type over two engines, and the pool's manager that opens the right one.

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
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            #[cfg(feature = "postgres")]
            return Ok(Self::Postgres(url.to_owned()));
            #[cfg(not(feature = "postgres"))]
            return Err(OpenError::NoPostgres);
        }
        Err(OpenError::UnknownScheme)
    }
}

/// How a PostgreSQL session behaves: who waits for a lock or a lost answer gives up before
/// its caller does, and what was committed is durable even where the server's default says
/// otherwise (a stronger default is left alone).
#[cfg(feature = "postgres")]
const POSTGRES_SESSION: &str = "SET TIME ZONE 'UTC'; SET application_name = 'onyx-auth'; \
    SET statement_timeout = '8s'; SET lock_timeout = '4s'; SET idle_in_transaction_session_timeout = '60s'; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";

/// Opens connections for r2d2; picks the engine by the URL, so that a failure names its true cause.
#[derive(Debug)]
pub(super) struct Manager(pub(super) Target);

impl Manager {
    pub(super) fn open(&self) -> Result<Db, diesel::ConnectionError> {
        match &self.0 {
            Target::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(path)?;
                // WAL lets readers go on beside the one writer; FULL makes a commit
                // durable before it is answered, through a power cut too. What is deleted, a
                // sealed secret say, is overwritten where that writes no page more. What a savepoint
                // would bring back is kept in memory.
                conn.batch_execute(
                    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY;",
                )
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
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

impl r2d2::ManageConnection for Manager {
    type Connection = Db;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Db, Self::Error> {
        self.open().map_err(diesel::r2d2::Error::ConnectionError)
    }

    fn is_valid(&self, db: &mut Db) -> Result<(), Self::Error> {
        // An embedded database cannot hang up; asking it would cost each query a statement.
        match db {
            Db::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Db::Postgres(conn) => conn
                .batch_execute("SELECT 1")
                .map_err(diesel::r2d2::Error::QueryError),
        }
    }

    fn has_broken(&self, db: &mut Db) -> bool {
        use diesel::connection::TransactionManager;
        std::thread::panicking()
            || <Db as Connection>::TransactionManager::is_broken_transaction_manager(db)
    }
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
