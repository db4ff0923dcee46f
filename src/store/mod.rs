//! The only door to the database, and the only room that names a table.
//!
//! Everything here is a function over `&mut Db`; [`Store`] runs such functions
//! on threads that may block. The store refuses to know HTTP and who is allowed.
//!
//! A state changes in one conditional UPDATE, never by reading and then writing:
//! two writers that read first would both believe that they won.

pub mod clients;
mod columns;
pub mod credentials;
pub mod db;
pub mod error;
pub mod grants;
pub mod instance;
pub mod issued_tokens;
mod migrate;
pub mod partners;
pub mod resource_servers;
pub mod schema;
pub mod signing_keys;

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::TransactionManager;
use diesel::prelude::*;
use tokio::sync::Semaphore;

pub use db::{Db, Target};
pub use error::{OpenError, StoreError};

use db::Manager;

/// Connections kept for reading, and for everything on PostgreSQL.
const READERS: u32 = 8;
/// How long a request may wait for its turn at the database.
const PATIENCE: Duration = Duration::from_secs(5);

type Pool = r2d2::Pool<Manager>;

/// The database, opened and migrated.
#[derive(Clone)]
pub struct Store {
    target: Target,
    readers: Lane,
    /// SQLite has one writer at a time: a lane of one connection lets writers queue
    /// here, in order, instead of sleeping and retrying inside the engine.
    writers: Lane,
}

/// A pool, and as many permits as it has connections: who waits, waits without a thread.
#[derive(Clone)]
struct Lane {
    pool: Pool,
    permits: Arc<Semaphore>,
}

impl Store {
    /// Opens the database; makes the SQLite file where it is missing, readable by its owner alone.
    ///
    /// Does not migrate: see [`Store::migrate`].
    pub fn open(url: &str) -> Result<Self, OpenError> {
        let target = Target::parse(url)?;
        let (readers, writers) = match &target {
            Target::Sqlite(path) => {
                prepare_file(path)?;
                // The writer first: it is the one that turns the journal to WAL.
                let writers = Lane::open(&target, 1)?;
                (Lane::open(&target, READERS)?, writers)
            }
            #[cfg(feature = "postgres")]
            Target::Postgres(_) => {
                let lane = Lane::open(&target, READERS)?;
                (lane.clone(), lane)
            }
        };
        Ok(Self {
            target,
            readers,
            writers,
        })
    }

    /// Brings the tables to this program's version, alone among all processes on the database.
    pub fn migrate(&self) -> Result<Vec<String>, OpenError> {
        let mut db = self
            .writers
            .pool
            .get()
            .map_err(|e| OpenError::Connect(e.to_string()))?;
        migrate::run(&mut db)
    }

    /// Runs what must happen once at a start, alone among all processes on the database.
    ///
    /// Blocks: for the start of a process, not for requests.
    pub fn alone<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Db) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut db = self
            .writers
            .pool
            .get()
            .map_err(|e| StoreError::Unreachable(e.to_string()))?;
        transaction(&mut db, |db| {
            migrate::lock(db)?;
            work(db)
        })
    }

    /// Runs queries that change nothing.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Db) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.readers.run(work).await
    }

    /// Runs changes in one transaction: all of it is durable when this returns, or none of it happened.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Db) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writers.run(move |db| transaction(db, work)).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read(|db| {
            Ok(
                diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("1"))
                    .execute(db)
                    .map(|_| ())?,
            )
        })
        .await
    }

    /// Where the database is.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

impl Lane {
    fn open(target: &Target, size: u32) -> Result<Self, OpenError> {
        let pool = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .connection_timeout(PATIENCE)
            .build(Manager(target.clone()))
            .map_err(|e| OpenError::Connect(e.to_string()))?;
        Ok(Self {
            pool,
            permits: Arc::new(Semaphore::new(size as usize)),
        })
    }

    async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Db) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let waiting = tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned());
        let permit = match waiting.await {
            Ok(Ok(permit)) => permit,
            _ => return Err(StoreError::Unreachable("all connections are busy".to_owned()).into()),
        };
        let pool = self.pool.clone();
        let task = tokio::task::spawn_blocking(move || {
            // The permit is given back with the connection, even if the caller has gone.
            let _permit = permit;
            let mut db = pool
                .get()
                .map_err(|e| StoreError::Unreachable(e.to_string()))?;
            work(&mut db)
        });
        task.await
            .unwrap_or_else(|_| Err(StoreError::Interrupted.into()))
    }
}

/// One transaction: IMMEDIATE on SQLite, so that it never fails half-way for want of the
/// write lock; READ COMMITTED on PostgreSQL, where conditional UPDATEs decide who wins.
fn transaction<T, E: From<StoreError>>(
    db: &mut Db,
    work: impl FnOnce(&mut Db) -> Result<T, E>,
) -> Result<T, E> {
    type Manager = <Db as Connection>::TransactionManager;
    begin(db).map_err(StoreError::from)?;
    match work(db) {
        Ok(value) => match Manager::commit_transaction(db) {
            Ok(()) => Ok(value),
            Err(error) => Err(StoreError::from(error).into()),
        },
        Err(error) => {
            if let Err(second) = Manager::rollback_transaction(db) {
                log::warn!("a rollback failed: {second}");
            }
            Err(error)
        }
    }
}

fn begin(db: &mut Db) -> QueryResult<()> {
    match db {
        Db::Sqlite(conn) => {
            use diesel::connection::AnsiTransactionManager;
            AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            <diesel::pg::PgConnection as Connection>::TransactionManager::begin_transaction(conn)
        }
    }
}

/// Makes the database file and its folder where missing. It holds sealed keys and hashes: owner only.
fn prepare_file(path: &str) -> Result<(), OpenError> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::path::Path::new(path);
    let fail = |cause| OpenError::File {
        path: path.to_owned(),
        cause,
    };
    if file.exists() {
        return Ok(());
    }
    if let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(file)
        .map_err(fail)?;
    Ok(())
}

/// Reads an algorithm's name from a column whose check constraint allows no other.
fn algorithm(name: &str) -> Result<crate::domain::Algorithm, StoreError> {
    name.parse().map_err(|_| {
        StoreError::Failed(diesel::result::Error::DeserializationError(
            format!("unknown algorithm {name}").into(),
        ))
    })
}
