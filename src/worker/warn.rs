//! Warnings before an end: looked for each minute, given once.

use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::admin::warnings::{self, Warning};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::instant::Instant;
use crate::store::StoreError;
use crate::store::expiry_warnings::Window;

/// How often is looked.
const ROUND: Duration = Duration::from_secs(60);
/// How many of a kind are looked up at once.
const BATCH: i64 = 100;

/// Warns for ever.
pub(super) async fn run(app: Arc<App>) {
    loop {
        if let Err(error) = round(&app).await {
            log::warn!("warnings before an end could not be given, and will be: {error}");
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn round(app: &App) -> Result<(), StoreError> {
    let now = surely_past(app).await?;
    for window in warnings::windows(now) {
        loop {
            let read = app
                .store
                .read(move |db| warnings::due(db, window, BATCH, now));
            let due = read.await?;
            if due.is_empty() {
                break;
            }
            for warning in due {
                give(app, now, window, warning).await?;
            }
        }
    }
    Ok(())
}

/// One warning, one transaction, with the mark that it was given.
async fn give(app: &App, now: Instant, window: Window, warning: Warning) -> Result<(), StoreError> {
    let given = app.carry_out_at(now, Actor::policy(), move |db, act| {
        warnings::give(db, act, window, &warning)
    });
    match given.await {
        // Another node was quicker.
        Ok(_) | Err(StoreError::Duplicate(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
