//! Writes down how often credentials were used: off the requests' path, about every second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::store::{StoreError, credential_uses};

const ROUND: Duration = Duration::from_secs(1);

/// The most credentials of one transaction: tokens wait for it.
const BATCH: usize = 1000;

pub(super) async fn follow(app: Arc<App>) {
    loop {
        tokio::time::sleep(ROUND).await;
        if let Err(error) = record(&app).await {
            log::warn!("uses of credentials could not be written, and will be: {error}");
        }
    }
}

/// Writes down what was used until now. What fails is kept for the next time.
pub(super) async fn record(app: &App) -> Result<(), StoreError> {
    let _turn = app.uses.turn().await;
    let mut uses = app.uses.take();
    while !uses.is_empty() {
        let rest = match uses.keys().nth(BATCH).cloned() {
            Some(next) => uses.split_off(&next),
            None => BTreeMap::new(),
        };
        let batch = Arc::new(uses);
        let written = Arc::clone(&batch);
        let done = app
            .store
            .write(move |db| credential_uses::add(db, &written))
            .await;
        if let Err(error) = done {
            app.uses.give_back(rest);
            app.uses.give_back((*batch).clone());
            return Err(error);
        }
        uses = rest;
    }
    Ok(())
}
