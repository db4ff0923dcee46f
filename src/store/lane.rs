//! Connections, and turns at them.

use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use prometheus::{Histogram, IntCounter, IntGauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::db::{Db, Manager, Purpose, Target};
use super::error::{OpenError, StoreError};
use crate::logging;
use crate::telemetry::{observe, telemetry};

/// How long a request may wait for its turn at the database.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a request may wait for the database's answer: longer than the database itself
/// lets a statement run.
pub(super) const LONGEST: Duration = Duration::from_secs(10);

type Pool = r2d2::Pool<Manager>;

/// Work for a connection, or for why there is none.
type Job = Box<dyn FnOnce(Result<&mut Db, StoreError>) + Send>;

/// The database took longer than [`LONGEST`].
pub(super) fn silent() -> StoreError {
    StoreError::Unreachable("the database does not answer".to_owned())
}

/// A pool, and as many permits as it has connections: who waits, waits without a thread.
#[derive(Clone)]
pub(super) struct Lane {
    name: &'static str,
    size: u32,
    pending: IntGauge,
    waits: Histogram,
    timeouts: IntCounter,
    pool: Pool,
    permits: Arc<Semaphore>,
}

impl Lane {
    pub(super) fn open(
        target: &Target,
        purpose: Purpose,
        name: &'static str,
        size: u32,
    ) -> Result<Self, OpenError> {
        let pool = r2d2::Pool::builder()
            .max_size(size)
            // No spare connections: they would be opened in the background, and a short command
            // could end while libpq is at it.
            .min_idle(Some(0))
            .connection_timeout(PATIENCE)
            // Who asked for the connection is told, and tells.
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build(Manager::new(target, purpose))
            .map_err(|error| OpenError::connect(&error))?;
        let told = &telemetry().pool;
        Ok(Self {
            name,
            size,
            pending: told.pending.with_label_values(&[name]),
            waits: told.waits.with_label_values(&[name]),
            // There from the start: a counter that appears with its first event hides that event.
            timeouts: told.timeouts.with_label_values(&[name]),
            pool,
            permits: Arc::new(Semaphore::new(size as usize)),
        })
    }

    /// A turn at the pool; turns come in the order of asking.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let started = Stopwatch::now();
        let permit = self.turn().await?;
        self.waited(started.elapsed());
        Ok(permit)
    }

    /// Notes how long somebody waited.
    pub(super) fn waited(&self, wait: Duration) {
        observe(&self.waits, wait);
    }

    /// A turn, for who notes the waiting itself.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(&self.pending);
        let waiting = tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned());
        match waiting.await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                self.timeouts.inc();
                Err(StoreError::Unreachable(
                    "all connections are busy".to_owned(),
                ))
            }
        }
    }

    pub(super) fn connection(&self) -> Result<r2d2::PooledConnection<Manager>, StoreError> {
        self.pool
            .get()
            .map_err(|error| StoreError::Unreachable(error.to_string()))
    }

    /// Runs work on a thread that may block.
    pub(super) async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Db) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (done, mut answer) = oneshot::channel();
        let context = logging::context();
        let job = move |db: Result<&mut Db, StoreError>| {
            let result = logging::on_behalf(context, || db.map_err(E::from).and_then(work));
            // Who no longer waits has had its answer.
            let _ = done.send(result);
        };
        self.carry(Box::new(job)).await?;
        answer
            .try_recv()
            .unwrap_or_else(|_| Err(StoreError::Interrupted.into()))
    }

    /// The same of work of any kind: one task for all kinds, where each would make the program larger by its own.
    async fn carry(&self, job: Job) -> Result<(), StoreError> {
        let permit = self.permit().await?;
        let lane = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            // The permit is given back with the connection, even if the caller has gone.
            let _permit = permit;
            match lane.connection() {
                Ok(mut db) => job(Ok(&mut **db)),
                Err(error) => job(Err(error)),
            }
        });
        // A connection whose network is gone can block for ever; its thread keeps the permit, and
        // the caller is told in time. What was asked for may still happen.
        match tokio::time::timeout(LONGEST, task).await {
            Ok(done) => done.map_err(|_| StoreError::Interrupted),
            Err(_) => Err(silent()),
        }
    }

    /// Tells how its connections stand, for who measures.
    pub(super) fn tell(&self) {
        let (told, state) = (&telemetry().pool, self.pool.state());
        let idle = i64::from(state.idle_connections);
        for (word, many) in [
            ("idle", idle),
            ("used", i64::from(state.connections) - idle),
        ] {
            told.connections
                .with_label_values(&[self.name, word])
                .set(many);
        }
        told.limit
            .with_label_values(&[self.name])
            .set(self.size.into());
    }
}

/// Somebody who waits for a turn, and may give up.
struct Waiting<'a>(&'a IntGauge);

impl<'a> Waiting<'a> {
    fn begin(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
