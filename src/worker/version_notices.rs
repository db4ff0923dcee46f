//! Notices that a version has a successor: looked for each minute, given once.

use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::admin::version_notices::{self, Notice};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::instant::Instant;
use crate::store::StoreError;

/// How often is looked.
const ROUND: Duration = Duration::from_secs(60);
/// How many of a kind are looked up at once.
const BATCH: i64 = 100;

/// Gives notice for ever.
pub(super) async fn run(app: Arc<App>) {
    loop {
        if let Err(error) = round(&app).await {
            log::warn!("notices of versions' ends could not be given, and will be: {error}");
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn round(app: &App) -> Result<(), StoreError> {
    loop {
        let now = surely_past(app).await?;
        let read = app
            .store
            .read(move |db| version_notices::due(db, now, BATCH));
        let due = read.await?;
        if due.is_empty() {
            return Ok(());
        }
        for notice in due {
            give(app, now, notice).await?;
        }
    }
}

/// One notice, one transaction, with the mark that it was given.
async fn give(app: &App, now: Instant, notice: Notice) -> Result<(), StoreError> {
    let given = app.carry_out_at(now, Actor::policy(), move |db, act| {
        version_notices::give(db, act, &notice)
    });
    given.await.map(|_| ())
}
