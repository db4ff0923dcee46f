//! Puts on record what was added up, once a minute.

use std::sync::Arc;
use std::time::Duration;

use super::write_to_the_end;
use crate::app::App;
use crate::audit::tally;
use crate::store::StoreError;

const ROUND: Duration = Duration::from_secs(60);

pub(super) async fn follow(app: Arc<App>) {
    loop {
        tokio::time::sleep(ROUND).await;
        if let Err(error) = record(&app).await {
            log::warn!("what was added up could not be put on record, and will be: {error}");
        }
    }
}

/// Puts on record what was added up until now. What fails is counted on.
pub(super) async fn record(app: &App) -> Result<(), StoreError> {
    // Whoever is at it may fail, and gives back what it took: the end of a process waits for that.
    let _turn = app.tally.turn().await;
    let counts = app.tally.take();
    if counts.is_empty() {
        return Ok(());
    }
    let (now, taken) = (app.clock.now(), counts.clone());
    let keys = Arc::clone(app.master.audit());
    let written = write_to_the_end(app, move |db| tally::write(db, &keys, taken, now)).await;
    if written.is_err() {
        app.tally.put_back(counts);
    }
    written
}
