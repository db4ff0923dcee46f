//! Deletes old audit events: unlike other records, only once it is on record, and in the tree, that they go.

use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::app::App;
use crate::audit::retain::{self, Step};
use crate::store::StoreError;

/// How often is looked.
const ROUND: Duration = Duration::from_secs(3600);
/// How long a deletion waits for its record to get its place in the tree.
const ANNOUNCED: Duration = Duration::from_secs(2);
/// How many rows one transaction changes.
const BATCH: i64 = 1000;

pub(super) async fn follow(app: Arc<App>) {
    loop {
        match events(&app).await {
            Ok(0) => {}
            Ok(deleted) => log::info!("deleted {deleted} old audit events"),
            Err(error) => log::warn!("old audit events could not be deleted: {error}"),
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// Announces, waits, deletes, until nothing is old. Where the record waits for its place for longer,
/// the next round goes on.
async fn events(app: &App) -> Result<usize, StoreError> {
    let days = u64::from(app.settings.kept.audit);
    let kept = Duration::from_secs(days * 24 * 3600);
    let mut deleted = 0;
    let mut announced = false;
    loop {
        let now = surely_past(app).await?;
        let keys = Arc::clone(app.master.audit());
        let before = now.minus(kept);
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
