//! The one writer: takes what waits, writes it in one transaction, tells who waited.

use std::time::Instant as Stopwatch;

use prometheus::Histogram;

use super::queue::Queue;
use super::{Append, Row};
use crate::store::{Store, StoreError};
use crate::telemetry::{observe, telemetry};

/// The most rows in one transaction.
const BATCH: usize = 256;

/// Writes until the queue is closed and empty.
///
/// It blocks for the first row and then takes what is there without waiting for more:
/// while one transaction commits, the next batch gathers by itself.
pub(super) fn run<R: Row>(store: &Store, rows: &Queue<Append<R>>) {
    let _leaving = Leaving(rows);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return log::error!("the journal has no runtime: {error}"),
    };
    let [size, length] = measured::<R>();
    let mut batch = Vec::with_capacity(BATCH);
    while rows.take(&mut batch, BATCH) {
        size.observe(batch.len() as f64);
        let started = Stopwatch::now();
        runtime.block_on(write(store, &mut batch));
        observe(&length, started.elapsed());
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

async fn write<R: Row>(store: &Store, batch: &mut Vec<Append<R>>) {
    let rows: Vec<&R> = batch.iter().map(|append| &*append.row).collect();
    match store.write_in_place(|db| R::write_all(db, &rows)).await {
        Ok(()) => batch.drain(..).for_each(|append| answer(append, Ok(()))),
        // The database refused something: each row alone, so that a bad one costs one caller.
        Err(
            error @ (StoreError::Failed(_) | StoreError::Duplicate(_) | StoreError::Dangling(_)),
        ) => {
            log::warn!(
                "a batch of {} rows failed, each is tried alone: {error:?}",
                batch.len()
            );
            for append in batch.drain(..).filter(|append| !append.done.is_closed()) {
                let written = store
                    .write_in_place(|db| R::write_all(db, &[&append.row]))
                    .await;
                answer(append, written);
            }
        }
        // The database is not there: trying again would only let more callers wait.
        Err(error) => {
            let reason = error.to_string();
            batch
                .drain(..)
                .for_each(|append| answer(append, Err(StoreError::Unreachable(reason.clone()))));
        }
    }
}

fn answer<R>(append: Append<R>, written: Result<(), StoreError>) {
    // Who no longer waits has had its answer: none.
    let _ = append.done.send((append.row, written));
}
