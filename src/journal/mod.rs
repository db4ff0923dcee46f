//! Many small durable appends become few transactions.
//!
//! Whoever appends waits until its row is durable, and shares the wait with all who
//! append at the same time: one commit serves them all. This room refuses to know
//! what the rows mean.

mod queue;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::store::{Db, Store, StoreError};
use crate::telemetry::telemetry;

use queue::{Queue, Refused};

/// Rows that may wait. More would only wait longer than their callers do.
const QUEUE: usize = 4096;
/// The most rows in one transaction.
const BATCH: usize = 256;
/// Rows that may wait where nobody waits for them: some seconds of all that a machine can serve.
const LONG_QUEUE: usize = 65_536;
/// The most of them in one transaction.
const LONG_BATCH: usize = 1024;
/// How long they gather: one commit for all, and the database is left to others meanwhile.
const GATHERING: Duration = Duration::from_millis(200);
/// How long a failure counts for one that lasts, where no row comes to show better: rows that a full disk does not
/// take, say.
const DOUBTED: Duration = Duration::from_secs(10);
/// How long a caller waits for its row.
const PATIENCE: Duration = Duration::from_secs(10);

/// A row that knows how it and its like are written.
pub trait Row: Sized + Send + 'static {
    /// What its journal is called where it is measured.
    const JOURNAL: &'static str;

    /// Writes the rows within a transaction; the same rows come again where it failed.
    fn write_all(db: &mut Db, rows: &[&Self]) -> Result<(), StoreError>;
}

/// A row could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Too many rows wait already.
    #[error("too many rows wait to be written")]
    Full,
    /// The writer has ended, or did not come round in time.
    #[error("the row was not written in time")]
    Unwritten,
    /// The database refused the row.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row with the one who waits for it.
///
/// The row goes back with the answer: memory is given back quickest where it was taken.
struct Append<R> {
    row: Box<R>,
    /// `None`: nobody waits.
    done: Option<oneshot::Sender<Written<R>>>,
}

type Written<R> = (Box<R>, Result<(), StoreError>);

/// How a writer goes about it.
#[derive(Clone, Copy, Debug)]
struct Habit {
    /// The most rows in one transaction.
    batch: usize,
    /// How long it lets rows gather after each round. `None`: somebody waits for them.
    gathering: Option<Duration>,
}

/// The way in to the writer.
pub struct Journal<R> {
    queue: Arc<Queue<Append<R>>>,
    /// Rows that nobody waited for and that were not written.
    lost: Arc<AtomicU64>,
    /// When writing failed, if it did the last time.
    failed: Arc<Mutex<Option<Instant>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl<R: Row> Journal<R> {
    /// Starts the writer over a database, on a thread of its own.
    pub fn open(store: Store) -> std::io::Result<Self> {
        let habit = Habit {
            batch: BATCH,
            gathering: None,
        };
        Self::with_queue(store, QUEUE, habit)
    }

    /// Starts a writer for rows that nobody waits for: see [`Journal::enqueue`].
    pub fn gathering(store: Store) -> std::io::Result<Self> {
        let habit = Habit {
            batch: LONG_BATCH,
            gathering: Some(GATHERING),
        };
        Self::with_queue(store, LONG_QUEUE, habit)
    }

    fn with_queue(store: Store, length: usize, habit: Habit) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new(length));
        let lost = Arc::new(AtomicU64::new(0));
        let failed = Arc::new(Mutex::new(None));
        let (rows, losses, failures) = (Arc::clone(&queue), Arc::clone(&lost), Arc::clone(&failed));
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer::run(&store, &rows, habit, &losses, &failures))?;
        Ok(Self {
            queue,
            lost,
            failed,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Appends a row; it is durable when this returns.
    ///
    /// # Errors
    /// The row is not known to be durable. After `Unwritten` it may be written yet.
    pub async fn append(&self, row: R) -> Result<(), AppendError> {
        let (done, written) = oneshot::channel();
        let row = Box::new(row);
        self.queue
            .push(Append {
                row,
                done: Some(done),
            })
            .map_err(|refused| match refused {
                Refused::Full => AppendError::Full,
                Refused::Closed => AppendError::Unwritten,
            })?;
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok((_row, written))) => Ok(written?),
            Ok(Err(_)) | Err(_) => Err(AppendError::Unwritten),
        }
    }

    /// Appends a row that nobody waits for: it is written soon, or counted as lost.
    pub fn enqueue(&self, row: R) {
        let row = Box::new(row);
        if self.queue.push(Append { row, done: None }).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many rows were handed over and not written, since nobody waited for them to be told.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether rows can be written: the writer lives.
    pub fn is_running(&self) -> bool {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().is_some_and(|writer| !writer.is_finished())
    }

    /// Whether the last rows could not be written, a moment ago. After that nobody knows, until some are.
    pub fn is_failing(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| at.elapsed() < DOUBTED)
    }

    /// Tells how it stands, for who measures.
    pub fn tell(&self) {
        let told = &telemetry().journals;
        let waiting = i64::try_from(self.queue.len()).unwrap_or(i64::MAX);
        told.waiting.with_label_values(&[R::JOURNAL]).set(waiting);
        let running = told.running.with_label_values(&[R::JOURNAL]);
        running.set((self.is_running() && !self.is_failing()).into());
    }

    /// Takes no more rows, and waits until those that wait are written. Blocks.
    pub fn close(&self) {
        self.queue.close();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            log::error!("the journal's writer ended in a panic");
        }
    }
}

impl<R> Drop for Journal<R> {
    fn drop(&mut self) {
        // The writer ends with the last row; nobody is left to wait for it.
        self.queue.close();
    }
}

impl<R> std::fmt::Debug for Journal<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

#[cfg(test)]
mod tests;
