//! Writes down how often credentials were used: off the requests' path, about every second.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::store::{StoreError, credential_uses};

const ROUND: Duration = Duration::from_secs(1);

/// The most credentials of one transaction: tokens wait for it.
const BATCH: usize = 250;
/// The most transactions of one round. Where more credentials are in use, each has its turn, and its uses
/// are added up meanwhile.
const BATCHES: usize = 4;

pub(super) async fn follow(app: Arc<App>) {
    loop {
        tokio::time::sleep(ROUND).await;
        if let Err(error) = record_round(&app).await {
            log::warn!("uses of credentials could not be written, and will be: {error}");
        }
    }
}

async fn record_round(app: &App) -> Result<(), StoreError> {
    for _ in 0..BATCHES {
        if record_some(app).await? < BATCH {
            break;
        }
    }
    Ok(())
}

/// Writes down all that was used until now. What fails is kept.
pub(super) async fn record(app: &App) -> Result<(), StoreError> {
    while record_some(app).await? > 0 {}
    Ok(())
}

/// Writes down the uses of a batch of credentials; answers of how many.
async fn record_some(app: &App) -> Result<usize, StoreError> {
    let _turn = app.uses.turn().await;
    let batch = Arc::new(app.uses.take(BATCH));
    if batch.is_empty() {
        return Ok(0);
    }
    let written = Arc::clone(&batch);
    let done = app
        .store
        .write(move |db| credential_uses::add(db, &written))
        .await;
    if let Err(error) = done {
        app.uses.give_back((*batch).clone());
        return Err(error);
    }
    Ok(batch.len())
}
