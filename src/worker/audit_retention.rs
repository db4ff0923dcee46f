//! Drops what the audit trail keeps no longer.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::audit::retain::{self, Step};
use crate::store::StoreError;

/// How often is looked.
const ROUND: Duration = Duration::from_secs(3600);
/// How long a deletion waits for its record to get its place in the tree.
const ANNOUNCED: Duration = Duration::from_secs(2);
/// How long addresses are kept, and how long events.
const ADDRESSES: Duration = Duration::from_secs(30 * 24 * 3600);
const EVENTS: Duration = Duration::from_secs(400 * 24 * 3600);
/// How many rows one transaction changes.
const BATCH: i64 = 1000;

pub(super) async fn follow(app: Arc<App>) {
    loop {
        if let Err(error) = addresses(&app).await {
            log::warn!("old addresses could not be dropped from the audit trail: {error}");
        }
        match events(&app).await {
            Ok(0) => {}
            Ok(deleted) => log::info!("deleted {deleted} old audit events"),
            Err(error) => log::warn!("old audit events could not be deleted: {error}"),
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn addresses(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let before = now.minus(ADDRESSES);
    let mut dropped = 0;
    loop {
        let batch = app
            .store
            .write(move |db| retain::drop_addresses(db, before, BATCH))
            .await?;
        if batch == 0 {
            break;
        }
        dropped += batch;
    }
    if dropped == 0 {
        return Ok(());
    }
    log::info!("dropped the addresses of {dropped} audit events");
    let keys = Arc::clone(app.master.audit());
    app.store
        .write(move |db| retain::record_dropped_addresses(db, &keys, dropped, before, now))
        .await
}

/// Announces, waits, deletes, until nothing is old. Where the record waits for its place for longer,
/// the next round goes on.
async fn events(app: &App) -> Result<usize, StoreError> {
    let mut deleted = 0;
    let mut announced = false;
    loop {
        let now = app.clock.now();
        let keys = Arc::clone(app.master.audit());
        let before = now.minus(EVENTS);
        let step = app
            .store
            .write(move |db| retain::delete_events(db, &keys, before, BATCH, now))
            .await?;
        match step {
            Step::Deleted(rows) => {
                deleted += rows;
                announced = false;
            }
            Step::Announced => {
                announced = true;
                tokio::time::sleep(ANNOUNCED).await;
            }
            // Its record has no place yet: once more, then the next round.
            Step::Nothing if announced => {
                announced = false;
                tokio::time::sleep(ANNOUNCED).await;
            }
            Step::Nothing => return Ok(deleted),
        }
    }
}
