//! The only door to the database, and the only room that names a table.
//!
//! Everything here is a function over `&mut Db`; [`Store`] runs such functions
//! on threads that may block. The store refuses to know HTTP and who is allowed.
//!
//! A state changes in one conditional UPDATE, never by reading and then writing:
//! two writers that read first would both believe that they won.

pub mod agreements;
pub mod allowances;
pub mod audit_events;
pub mod audit_tree;
pub mod backup;
pub mod changes;
pub mod clients;
mod columns;
pub mod credential_uses;
pub mod credentials;
pub mod db;
pub mod error;
pub mod events;
pub mod expiry_warnings;
mod figures;
mod fixed;
pub mod grants;
mod group;
pub mod idempotency;
#[cfg(feature = "postgres")]
mod in_use;
pub mod instance;
pub mod invoices;
pub mod issued_tokens;
mod lane;
pub mod launch_reviews;
pub mod leaks;
pub mod leases;
pub mod ledger;
pub mod limits;
mod migrate;
pub mod nodes;
pub mod offboarding;
pub mod operator_keys;
pub mod orders;
pub mod packages;
pub mod partners;
pub mod plans;
pub mod privacy_notices;
pub mod prohibited_findings;
pub mod recommendations;
pub mod request_log;
pub mod resource_servers;
pub mod reviews;
pub mod revocations;
mod rewound;
pub mod rotations;
pub mod schema;
pub mod scope_usage;
pub mod secret_deliveries;
mod shares;
pub mod signing_keys;
pub mod status_lists;
mod stretch;
pub mod tail;
pub mod together;
pub mod trespasses;
pub mod usage_counters;
pub mod usage_records;
pub mod version_notices;
pub mod version_uses;
mod walls;
pub mod webhook_deliveries;
pub mod webhook_endpoints;
pub mod webhook_lanes;
pub mod webhook_replays;
pub mod webhook_secrets;

use std::sync::{Arc, OnceLock};

use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use diesel::connection::TransactionManager;
use diesel::prelude::*;

pub use db::{Db, Target};
pub use error::{OpenError, StoreError};
pub use walls::Wall;

use changes::{Change, Touched};
use db::{Manager, Purpose};
use group::Group;
use lane::Lane;
use shares::Shares;

/// Connections that are kept unless more are asked for: for reading, and on PostgreSQL for everything.
const CONNECTIONS: u32 = 8;

/// The database, opened and migrated.
#[derive(Clone)]
pub struct Store {
    target: Target,
    readers: Lane,
    /// SQLite has one writer at a time: a lane of one connection lets writers queue
    /// here, in order, instead of sleeping and retrying inside the engine.
    writers: Lane,
    /// Of the readers, for [`Store::read_as`].
    shares: Shares,
    /// On SQLite: who waits for that lane, to be taken along by who has it.
    group: Option<Group>,
    /// Told by [`Store::migrate`].
    wall: Arc<OnceLock<Wall>>,
}

impl Store {
    /// Opens the database; makes the SQLite file where it is missing, readable by its owner alone.
    ///
    /// Does not migrate: see [`Store::migrate`].
    pub fn open(url: &str) -> Result<Self, OpenError> {
        Self::open_with(url, CONNECTIONS)
    }

    /// The same with so many connections: on PostgreSQL for everything, on SQLite for reading.
    pub fn open_with(url: &str, connections: u32) -> Result<Self, OpenError> {
        let target = Target::parse(url)?;
        match &target {
            Target::Sqlite(path) => prepare_file(path)?,
            #[cfg(feature = "postgres")]
            Target::Postgres(_) => {}
        }
        // Tried once by hand: a pool would try for seconds, and keep the cause to itself.
        drop(
            Manager::new(&target, Purpose::Reading)
                .open()
                .map_err(|error| OpenError::connect(&error))?,
        );
        let (readers, writers, group) = match &target {
            Target::Sqlite(_) => {
                let writers = Lane::open(&target, Purpose::Writing, "writers", 1)?;
                let group = Group::new(writers.clone());
                let readers = Lane::open(&target, Purpose::Reading, "readers", connections)?;
                (readers, writers, Some(group))
            }
            #[cfg(feature = "postgres")]
            Target::Postgres(_) => {
                let lane = Lane::open(&target, Purpose::Writing, "all", connections)?;
                (lane.clone(), lane, None)
            }
        };
        Ok(Self {
            target,
            readers,
            writers,
            shares: Shares::of(connections),
            group,
            wall: Arc::default(),
        })
    }

    /// Brings the tables to this program's version, alone among all processes on the database.
    pub fn migrate(&self) -> Result<Vec<String>, OpenError> {
        let mut db = self.writers.connection()?;
        refuse_moved(&mut db)?;
        let ran = migrate::run(&mut db)?;
        let _ = self.wall.set(raise_wall(&mut db));
        Ok(ran)
    }

    /// Migrations that have not run yet, by name.
    pub fn pending(&self) -> Result<Vec<String>, OpenError> {
        let mut db = self.writers.connection()?;
        refuse_moved(&mut db)?;
        migrate::outstanding(&mut db)
    }

    /// Asks whether the database itself keeps tenants apart, and changes nothing.
    pub async fn probe_wall(&self) -> Result<Wall, StoreError> {
        self.write(walls::probe).await
    }

    /// Whether the database itself keeps tenants apart. `None`: not asked yet.
    pub fn wall(&self) -> Option<&Wall> {
        self.wall.get()
    }

    /// Runs a change that must happen alone among all processes on the database: what a start needs.
    ///
    /// Blocks: for the start of a process, not for requests.
    pub fn alone<T, E: From<StoreError>>(
        &self,
        now: Instant,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut db = self.writers.connection()?;
        transaction(&mut db, Begin::Writing(None), |db| {
            migrate::lock(db)?;
            Ok(change(db, now, work)?.0)
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
        match &self.group {
            Some(group) => group.run(work).await,
            None => {
                self.writers
                    .run(move |db| transaction(db, Begin::Writing(None), work))
                    .await
            }
        }
    }

    /// Runs a tenant's queries, all of one moment: on PostgreSQL the database itself shows no rows of others.
    ///
    /// A tenant has a part of the connections at a time: who has more to ask waits for its own.
    pub async fn read_as<T, E, F>(&self, tenant: Tenant, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Db, &Tenant) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let has_wall = self.has_wall();
        let share = self.shares.turn(&tenant).await?;
        self.readers
            .run(move |db| {
                // A query goes on when its caller has gone.
                let _share = share;
                let begin = Begin::Reading(has_wall.then_some(&tenant));
                transaction(db, begin, |db| work(db, &tenant))
            })
            .await
    }

    /// Runs a tenant's changes in one transaction, behind the same wall as its queries.
    pub async fn write_as<T, E, F>(&self, tenant: Tenant, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Db, &Tenant) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let has_wall = self.has_wall();
        match &self.group {
            // Only an engine without walls takes several tenants' work into one transaction.
            Some(group) => group.run(move |db| work(db, &tenant)).await,
            None => {
                let within = move |db: &mut Db| {
                    let begin = Begin::Writing(has_wall.then_some(&tenant));
                    transaction(db, begin, |db| work(db, &tenant))
                };
                self.writers.run(within).await
            }
        }
    }

    fn has_wall(&self) -> bool {
        matches!(self.wall.get(), Some(Wall::Stands))
    }

    /// Runs changes that nodes must hear of, in one transaction; answers what was touched besides.
    pub async fn change<T, E, F>(&self, now: Instant, work: F) -> Result<(T, Touched), E>
    where
        F: FnOnce(&mut Change<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.write(move |db| change(db, now, work)).await
    }

    /// Runs changes in one transaction on the calling thread, once its turn among the writers has come.
    ///
    /// Blocks: for a thread of one's own.
    pub async fn write_in_place<T>(
        &self,
        work: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _permit = self.writers.permit().await?;
        let mut db = self.writers.connection()?;
        transaction(&mut db, Begin::Writing(None), work)
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

    /// Tells how its connections stand, for who measures.
    pub fn tell(&self) {
        self.readers.tell();
        self.writers.tell();
    }

    /// Where the database is.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

/// Has the database itself keep tenants apart, as far as it can.
fn raise_wall(db: &mut Db) -> Wall {
    let raised = transaction(db, Begin::Writing(None), |db| {
        migrate::lock(db)?;
        walls::raise(db)
    });
    let wall = raised.unwrap_or_else(|error: StoreError| Wall::Missing(error.to_string()));
    if let Wall::Missing(why) = &wall {
        log::warn!("no row-level security stands behind the tenants' queries: {why}");
    }
    wall
}

/// Refuses a database from which all has moved: what was revoked since lives on in it.
fn refuse_moved(db: &mut Db) -> Result<(), OpenError> {
    if instance::is_there(db)?
        && let Some(at) = instance::get(db, instance::Fact::MovedAt)?
    {
        return Err(OpenError::Moved(at));
    }
    Ok(())
}

/// How a transaction begins; of a tenant's, behind the wall.
#[derive(Clone, Copy)]
enum Begin<'a> {
    /// IMMEDIATE on SQLite, so that it never fails half-way for want of the write lock; READ COMMITTED on PostgreSQL,
    /// where conditional UPDATEs decide who wins.
    Writing(Option<&'a Tenant>),
    /// Whatever it reads is of one moment.
    Reading(Option<&'a Tenant>),
}

/// One transaction.
fn transaction<T, E: From<StoreError>>(
    db: &mut Db,
    how: Begin<'_>,
    work: impl FnOnce(&mut Db) -> Result<T, E>,
) -> Result<T, E> {
    type Manager = <Db as Connection>::TransactionManager;
    begin(db, how).map_err(StoreError::from)?;
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

/// A change within a transaction: its number first, at the end what it touched.
fn change<T, E: From<StoreError>>(
    db: &mut Db,
    now: Instant,
    work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
) -> Result<(T, Touched), E> {
    let (mut change, seq) = Change::begin(db)?;
    let value = work(&mut change)?;
    Ok((value, change.record(seq, now)?))
}

fn begin(db: &mut Db, how: Begin<'_>) -> QueryResult<()> {
    use diesel::connection::AnsiTransactionManager;
    match db {
        Db::Sqlite(conn) => {
            // Without a wall: this engine has none.
            let (begin, _) = match how {
                Begin::Writing(wall) => ("BEGIN IMMEDIATE", wall),
                Begin::Reading(wall) => ("BEGIN", wall),
            };
            AnsiTransactionManager::begin_transaction_sql(conn, begin)
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            use diesel::connection::SimpleConnection;
            let (begin, wall) = match how {
                Begin::Writing(wall) => ("BEGIN", wall),
                Begin::Reading(wall) => ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", wall),
            };
            let Some(tenant) = wall else {
                return AnsiTransactionManager::begin_transaction_sql(conn, begin);
            };
            let beginning = format!("{begin}; {}", walls::taken(tenant));
            let begun = AnsiTransactionManager::begin_transaction_sql(conn, &beginning);
            if begun.is_err() {
                // It may have begun and stand without its wall, and diesel knows of none.
                if let Err(second) = conn.batch_execute("ROLLBACK") {
                    log::warn!("a rollback failed: {second}");
                }
            }
            begun
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
