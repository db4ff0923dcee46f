//! The one writer: takes what was counted, a little every second.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Counts;
use crate::store::{Store, StoreError, scope_usage, usage_counters};

/// How often counts are written down.
const ROUND: Duration = Duration::from_secs(1);
/// The most rows of one transaction, about: tokens wait for it.
const BATCH: usize = 250;
/// The most transactions of one round that write what clients asked for. Where more are at work, each has its
/// turn, and its counts are added up meanwhile.
const BATCHES: usize = 4;

/// A thread that writes counts down until it is told to end.
pub(super) struct Writer(Mutex<Option<Running>>);

struct Running {
    /// Dropped, it tells the thread to end.
    _stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Writer {
    pub(super) fn start(store: Store, counts: Arc<Counts>) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("usage".to_owned())
            .spawn(move || run(&store, &counts, &stopped))?;
        let running = Running {
            _stop: stop,
            thread,
        };
        Ok(Self(Mutex::new(Some(running))))
    }

    /// Waits until what is left is written. Blocks.
    pub(super) fn close(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { _stop, thread }) = running {
            drop(_stop);
            if thread.join().is_err() {
                log::error!("the writer of usage ended in a panic");
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(store: &Store, counts: &Counts, stopped: &Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return log::error!("usage has no runtime: {error}"),
    };
    let mut is_failing = false;
    loop {
        let is_over = stopped.recv_timeout(ROUND) != Err(RecvTimeoutError::Timeout);
        let written = runtime.block_on(async {
            let mut count = write_some(store, counts).await?;
            while is_over && count > 0 {
                count = write_some(store, counts).await?;
            }
            Ok::<(), StoreError>(())
        });
        // Said once, not by the second.
        match &written {
            Err(error) if is_over => log::warn!("the last counts of usage are lost: {error}"),
            Err(error) if !is_failing => {
                log::warn!("usage cannot be written down, and is counted on: {error}");
            }
            Ok(()) if is_failing => log::info!("usage is written down again"),
            _ => {}
        }
        is_failing = written.is_err();
        if is_over {
            return;
        }
    }
}

/// Writes a round's counts, and answers how many rows it was; what could not be written is taken back.
async fn write_some(store: &Store, counts: &Counts) -> Result<usize, StoreError> {
    // Quotas first: other nodes go by them.
    let mut rows = write_quotas(store, counts).await?;
    for _ in 0..BATCHES {
        let written = write_scopes(store, counts).await?;
        rows += written;
        if written < BATCH {
            break;
        }
    }
    Ok(rows)
}

/// All that waits, since nodes go by each other's counts: in transactions of so many rows at most.
async fn write_quotas(store: &Store, counts: &Counts) -> Result<usize, StoreError> {
    let (mut waiting, latest) = counts.quotas.take();
    let rows = waiting.len();
    while let Some(now) = latest.filter(|_| !waiting.is_empty()) {
        let rest = waiting.split_off(waiting.len().min(BATCH));
        let batch = std::mem::replace(&mut waiting, rest);
        let written = store
            .write_in_place(|db| usage_counters::add(db, &batch, now))
            .await;
        match written {
            Ok(used) => counts.quotas.written(batch, used),
            Err(error) => {
                counts.quotas.put_back(batch);
                counts.quotas.put_back(waiting);
                return Err(error);
            }
        }
    }
    Ok(rows)
}

async fn write_scopes(store: &Store, counts: &Counts) -> Result<usize, StoreError> {
    let batch = counts.scopes.take(BATCH);
    if batch.is_empty() {
        return Ok(0);
    }
    let written = store
        .write_in_place(|db| scope_usage::add(db, &batch))
        .await;
    if let Err(error) = written {
        counts.scopes.put_back(batch);
        return Err(error);
    }
    Ok(batch.len())
}
