//! Group commit: who waits for a turn at SQLite's one writer is taken along by whoever has it.
//!
//! Making a transaction durable costs more than most transactions do. So whoever gets the turn runs the
//! work of all who wait, each behind a savepoint of its own, and commits once; nobody is answered before.
//! Work that fails is undone alone. Where the whole cannot be kept, nothing of it happened, and all are told.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use diesel::connection::TransactionManager;
use diesel::prelude::*;
use futures_util::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::db::Db;
use super::error::StoreError;
use super::lane::{LONGEST, Lane, silent};
use crate::logging;

/// The most that one transaction takes along.
const MOST: usize = 64;
/// How long a transaction takes others along: who has waited longest has waited long enough.
const LONG: Duration = Duration::from_millis(20);

type Manager = <Db as Connection>::TransactionManager;

/// What waits for a turn at a lane of one connection.
#[derive(Clone)]
pub(super) struct Group {
    lane: Lane,
    waiting: Arc<Mutex<VecDeque<Box<dyn Job>>>>,
}

/// Work that waits, of whatever answer.
trait Job: Send {
    /// Whether anybody waits for it still.
    fn is_awaited(&self) -> bool;
    /// Since when it waits.
    fn queued(&self) -> Stopwatch;
    /// Does it; answers whether it succeeded.
    fn work(&mut self, db: &mut Db) -> bool;
    /// Tells who waits: what came of it, or why nothing of it was kept.
    fn answer(self: Box<Self>, kept: Result<(), StoreError>);
}

struct Task<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
    told: Told,
}

/// A task's side of who waits for it.
struct Told {
    queued: Stopwatch,
    begun: Arc<AtomicBool>,
    /// Told, or dropped, when all is said.
    done: oneshot::Sender<()>,
}

/// Who waits for a task.
struct Waiter {
    begun: Arc<AtomicBool>,
    done: oneshot::Receiver<()>,
}

fn waiter() -> (Told, Waiter) {
    let (done, waits) = oneshot::channel();
    let begun = Arc::new(AtomicBool::new(false));
    let told = Told {
        queued: Stopwatch::now(),
        begun: Arc::clone(&begun),
        done,
    };
    (told, Waiter { begun, done: waits })
}

impl<F, T, E> Job for Task<F, T, E>
where
    F: FnOnce(&mut Db) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn is_awaited(&self) -> bool {
        !self.told.done.is_closed()
    }

    fn queued(&self) -> Stopwatch {
        self.told.queued
    }

    fn work(&mut self, db: &mut Db) -> bool {
        self.told.begun.store(true, Ordering::Release);
        let result = self.work.take().map(|work| work(db));
        let is_good = matches!(result, Some(Ok(_)));
        self.result = result;
        is_good
    }

    fn answer(self: Box<Self>, kept: Result<(), StoreError>) {
        let result = match (kept, self.result) {
            // What failed of itself says why, whatever became of the rest.
            (_, Some(Err(error))) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(StoreError::Interrupted.into()),
            (Err(error), _) => Err(error.into()),
        };
        // Who no longer waits has had its answer.
        let _ = self.answer.send(result);
        let _ = self.told.done.send(());
    }
}

impl Group {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            waiting: Arc::default(),
        }
    }

    /// Runs work in a transaction, with others who wait; it is durable when this returns `Ok`.
    pub(super) async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Db) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (sender, mut answer) = oneshot::channel();
        let (told, waiter) = waiter();
        // Whoever has the turn does it: its lines are of this request all the same.
        let context = logging::context();
        let work = move |db: &mut Db| logging::on_behalf(context, || work(db));
        let task = Task {
            work: Some(work),
            result: None,
            answer: sender,
            told,
        };
        self.queue().push_back(Box::new(task));
        self.wait(waiter).await?;
        answer
            .try_recv()
            .unwrap_or_else(|_| Err(StoreError::Interrupted.into()))
    }

    /// Waits until a task in the queue has its answer, and leads if its turn comes first. Of tasks of any kind: one
    /// future for all kinds, where each would make the program larger by its own.
    async fn wait(&self, waiter: Waiter) -> Result<(), StoreError> {
        let Waiter { begun, done } = waiter;
        let mut done = pin!(done);
        let turn = match select(done.as_mut(), pin!(self.lane.turn())).await {
            // Answered, or ended early: there is no answer then.
            Either::Left(_) => return Ok(()),
            Either::Right((turn, _)) => turn,
        };
        match turn {
            Ok(permit) => self.lead(permit),
            // Who has the turn is at it: that takes as long as the database may.
            Err(_) if begun.load(Ordering::Acquire) => {}
            Err(error) => return Err(error),
        }
        match tokio::time::timeout(LONGEST, done).await {
            Ok(_) => Ok(()),
            Err(_) => Err(silent()),
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Box<dyn Job>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what waits, on a thread that may block.
    ///
    /// It goes on even if the caller goes: it serves others, too. If it panics, the connection is
    /// thrown away with its transaction, and everyone in it hears that it ended early.
    fn lead(&self, permit: OwnedSemaphorePermit) {
        let group = self.clone();
        tokio::task::spawn_blocking(move || {
            // The permit is given back with the connection.
            let _permit = permit;
            match group.lane.connection() {
                Ok(mut db) => group.commit(&mut db),
                Err(error) => {
                    let all: Vec<_> = group.queue().drain(..).collect();
                    refuse(all, &error);
                }
            }
        });
    }

    /// The next who waits still.
    fn next(&self) -> Option<Box<dyn Job>> {
        let mut queue = self.queue();
        loop {
            let job = queue.pop_front()?;
            if job.is_awaited() {
                self.lane.waited(job.queued().elapsed());
                return Some(job);
            }
        }
    }

    /// One transaction over what waits.
    fn commit(&self, db: &mut Db) {
        // Somebody else's turn may have done it all.
        let Some(first) = self.next() else { return };
        // On its list before anything can fail: whoever waits is told why.
        let mut done = vec![first];
        let kept = super::begin(db, super::Begin::Writing(None))
            .map_err(StoreError::from)
            .and_then(|()| self.work(db, &mut done));
        match kept {
            Ok(()) => {
                for job in done {
                    job.answer(Ok(()));
                }
            }
            Err(error) => {
                // Savepoints too may be open still.
                while is_open(db) && Manager::rollback_transaction(db).is_ok() {}
                refuse(done, &error);
            }
        }
    }

    /// Does the last on the list and who else waits, and commits.
    fn work(&self, db: &mut Db, done: &mut Vec<Box<dyn Job>>) -> Result<(), StoreError> {
        let started = Stopwatch::now();
        let mut has_kept = false;
        while let Some(job) = done.last_mut() {
            Manager::begin_transaction(db)?;
            if job.work(db) {
                Manager::commit_transaction(db)?;
                has_kept = true;
            } else {
                Manager::rollback_transaction(db)?;
            }
            let goes_on = done.len() < MOST && started.elapsed() < LONG;
            match goes_on.then(|| self.next()).flatten() {
                Some(next) => done.push(next),
                None => break,
            }
        }
        if has_kept {
            Manager::commit_transaction(db)?;
        } else {
            Manager::rollback_transaction(db)?;
        }
        Ok(())
    }
}

fn is_open(db: &mut Db) -> bool {
    use diesel::connection::TransactionManagerStatus;
    match Manager::transaction_manager_status_mut(db) {
        TransactionManagerStatus::Valid(status) => status.transaction_depth().is_some(),
        TransactionManagerStatus::InError => false,
    }
}

/// Tells everyone that nothing was kept.
fn refuse(jobs: Vec<Box<dyn Job>>, error: &StoreError) {
    for job in jobs {
        job.answer(Err(again(error)));
    }
}

/// The same failure, for one more who asked.
fn again(error: &StoreError) -> StoreError {
    use diesel::result::{DatabaseErrorKind, Error as Diesel};
    match error {
        StoreError::Duplicate(what) => StoreError::Duplicate(what.clone()),
        StoreError::Dangling(what) => StoreError::Dangling(what.clone()),
        StoreError::Unreachable(why) => StoreError::Unreachable(why.clone()),
        StoreError::Rewound => StoreError::Rewound,
        StoreError::Crowded => StoreError::Crowded,
        StoreError::Interrupted => StoreError::Interrupted,
        StoreError::Failed(cause) => StoreError::Failed(Diesel::DatabaseError(
            DatabaseErrorKind::Unknown,
            Box::new(cause.to_string()),
        )),
    }
}

#[cfg(test)]
mod tests;
