//! Writes down how often credentials were used: off the requests' path, about every second. And at the start tells who
//! waits for failures where clients were right, as that is on record from before.

use std::sync::Arc;
use std::time::Duration;

use super::write_to_the_end;
use crate::app::App;
use crate::store::{StoreError, credential_uses, credentials};

const ROUND: Duration = Duration::from_secs(1);

/// When it is read again from where credentials were used, where that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// The most credentials of one transaction: tokens wait for it.
const BATCH: usize = 250;
/// The most transactions of one round. Where more credentials are in use, each has its turn, and its uses
/// are added up meanwhile.
const BATCHES: usize = 4;

pub(super) async fn follow(app: Arc<App>) {
    tokio::join!(recall(&app), record_by_the_second(&app));
}

/// Beside the requests: with a million credentials it takes the database seconds, which no start waits for.
async fn recall(app: &Arc<App>) {
    while let Err(error) = recall_places(app).await {
        log::warn!(
            "where clients were right before could not be read, and will be; until then others' failures there \
             can keep them waiting: {error}"
        );
        tokio::time::sleep(AGAIN).await;
    }
}

/// Reads from where credentials were used before this process: of as many as clients may be held, those used last.
async fn recall_places(app: &Arc<App>) -> Result<(), StoreError> {
    let (now, most) = (app.clock.now(), app.settings.client_cache);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (app, store) = (Arc::clone(app), &app.store);
    // Taken in where it is read: so many would hold up what else runs here.
    let read = store.read(move |db| {
        // The last used at the end: what is taken in last is kept longest.
        for (client, address) in credentials::last_used_from(db, now, most)?
            .into_iter()
            .rev()
        {
            if let Ok(address) = address.parse() {
                app.failures
                    .worked_before(client.realm(), client.as_str(), address);
            }
        }
        Ok::<_, StoreError>(())
    });
    read.await
}

async fn record_by_the_second(app: &App) {
    loop {
        tokio::time::sleep(ROUND).await;
        if let Err(error) = record_round(app).await {
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
    let done = write_to_the_end(app, move |db| credential_uses::add(db, &written)).await;
    if let Err(error) = done {
        app.uses.give_back((*batch).clone());
        return Err(error);
    }
    Ok(batch.len())
}
