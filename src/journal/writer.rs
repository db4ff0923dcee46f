//! The one writer: takes what waits, writes it in one transaction, tells who waited.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant as Stopwatch;

use prometheus::Histogram;

use super::queue::Queue;
use super::{Append, Habit, Row};
use crate::causes::Causes;
use crate::store::{Store, StoreError};
use crate::telemetry::{observe, telemetry};

/// Writes until the queue is closed and empty.
///
/// It blocks for the first row and then takes what is there without waiting for more:
/// while one transaction commits, the next batch gathers by itself.
///
/// Where nobody waits it lets rows gather instead.
pub(super) fn run<R: Row>(
    store: &Store,
    rows: &Queue<Append<R>>,
    habit: Habit,
    lost: &AtomicU64,
    failed: &Mutex<Option<Stopwatch>>,
) {
    let _leaving = Leaving(rows);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return log::error!("the journal has no runtime: {error}"),
    };
    let [size, length] = measured::<R>();
    let mut batch = Vec::with_capacity(habit.batch);
    while rows.take(&mut batch, habit.batch) {
        size.observe(batch.len() as f64);
        let is_full = batch.len() >= habit.batch;
        let started = Stopwatch::now();
        let missed = runtime.block_on(write(store, &mut batch, failed));
        observe(&length, started.elapsed());
        if missed > 0 {
            let all = lost.fetch_add(missed, Ordering::Relaxed) + missed;
            let name = R::JOURNAL;
            log::warn!(
                "{missed} rows of the journal {name} could not be written and are lost, {all} since the start"
            );
        }
        if let Some(gathering) = habit.gathering.filter(|_| !is_full) {
            rows.rest(gathering);
        }
    }
}

/// What batches are measured by: how large they are, and how long they take.
fn measured<R: Row>() -> [Histogram; 2] {
    let told = &telemetry().journals;
    [&told.rows, &told.duration].map(|each| each.with_label_values(&[R::JOURNAL]))
}

/// However the writer ends, nobody waits for it afterwards.
struct Leaving<'a, R>(&'a Queue<Append<R>>);

impl<R> Drop for Leaving<'_, R> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Writes a batch; answers how many rows of those that nobody waits for were not written.
///
/// Whether the database took anything is noted before anybody is answered: who then asks how the journal stands
/// is told what it has seen.
async fn write<R: Row>(
    store: &Store,
    batch: &mut Vec<Append<R>>,
    failed: &Mutex<Option<Stopwatch>>,
) -> u64 {
    let note = |is_written: bool| {
        *failed.lock().unwrap_or_else(PoisonError::into_inner) = (!is_written).then(Stopwatch::now);
    };
    let mut missed = 0;
    let rows: Vec<&R> = batch.iter().map(|append| &*append.row).collect();
    match store.write_in_place(|db| R::write_all(db, &rows)).await {
        Ok(()) => {
            note(true);
            for append in batch.drain(..) {
                missed += answer(append, Ok(()));
            }
        }
        // The database refused something: each row alone, so that a bad one costs one caller.
        Err(
            error @ (StoreError::Failed(_) | StoreError::Duplicate(_) | StoreError::Dangling(_)),
        ) => {
            log::warn!(
                "a batch of {} rows of the journal {} failed, each is tried alone: {}",
                batch.len(),
                R::JOURNAL,
                Causes(&error)
            );
            let mut is_written = false;
            for append in batch.drain(..).filter(Append::is_awaited) {
                let written = store
                    .write_in_place(|db| R::write_all(db, &[&append.row]))
                    .await;
                is_written |= written.is_ok();
                note(is_written);
                missed += answer(append, written);
            }
        }
        // The database is not there: trying again would only let more callers wait.
        Err(error) => {
            let reason = error.to_string();
            note(false);
            for append in batch.drain(..) {
                missed += answer(append, Err(StoreError::Unreachable(reason.clone())));
            }
        }
    }
    missed
}

impl<R> Append<R> {
    /// Whether its writing is of use still: who waited for it may have gone.
    fn is_awaited(&self) -> bool {
        self.done.as_ref().is_none_or(|done| !done.is_closed())
    }
}

/// Tells who waits; answers 1 for a row that was not written and that nobody waits for.
fn answer<R>(append: Append<R>, written: Result<(), StoreError>) -> u64 {
    match append.done {
        // Who no longer waits has had its answer: none.
        Some(done) => {
            let _ = done.send((append.row, written));
            0
        }
        None => u64::from(written.is_err()),
    }
}
