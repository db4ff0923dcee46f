//! Gives committed audit events their places in the tree, and signs its new head.
//!
//! No request waits for it. Every worker looks; a lease lets one at a time work.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::audit::sequence::{self, Batch, Tree, TreeError};
use crate::domain::instant::Instant;
use crate::store::StoreError;
use crate::store::audit_events::pending;
use crate::telemetry::telemetry;

/// How often events without a place are looked for.
const ROUND: Duration = Duration::from_millis(200);
/// How long is waited after a failure, which is told each time.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How many get their places in one transaction: on SQLite others' writes wait for it.
const BATCH: i64 = 1000;

pub(super) async fn follow(app: Arc<App>) {
    let holder = crate::keys::hex(&rand::random::<[u8; 8]>());
    let mut tree = None;
    loop {
        match round(&app, &holder, &mut tree).await {
            Ok(Done::Full) => {}
            Ok(Done::Some) => tokio::time::sleep(ROUND).await,
            // The database was away for a moment: the next round sees.
            Err(TreeError::Store(error)) if !matches!(error, StoreError::Duplicate(_)) => {
                log::warn!("audit events could not be given their places, and will be: {error}");
                tokio::time::sleep(ROUND * 5).await;
            }
            Err(error) => {
                log::error!("no audit event gets a place until this is looked into: {error}");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// What a round came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// A full batch: there may be more.
    Full,
    /// Less, or another node's turn.
    Some,
}

async fn round(app: &App, holder: &str, known: &mut Option<Tree>) -> Result<Done, TreeError> {
    let keys = Arc::clone(app.master.audit());
    let judged = Arc::clone(&keys);
    let (batch, is_full, oldest) = app
        .store
        .read(move |db| {
            let events = pending(db, "", BATCH)?;
            let is_full = i64::try_from(events.len()).is_ok_and(|read| read >= BATCH);
            let oldest = events.first().and_then(|event| event.at.get());
            Ok::<_, TreeError>((Batch::of(&judged, &events), is_full, oldest))
        })
        .await?;
    let waits = oldest.map_or(0.0, |at| seconds_since(at, app.clock.now()));
    telemetry().sequencer_lag.set(waits);
    // Read once at the start also where nothing waits: what was changed meanwhile is told at once, and what waits behind
    // it is measured all the same.
    if known.is_none() {
        let keys = Arc::clone(&keys);
        let read = app.store.read(move |db| Tree::read(db, &keys));
        *known = Some(read.await?);
    }
    if batch.is_empty() {
        return Ok(Done::Some);
    }
    let now = app.clock.now();
    if batch.has_forged() {
        let (keys, batch) = (Arc::clone(&keys), batch.clone());
        app.store
            .write(move |db| sequence::set_aside(db, &keys, &batch, now))
            .await?;
    }
    if batch.has_no_leaf() {
        return Ok(Done::Some);
    }
    let (holder, tree) = (holder.to_owned(), known.clone().unwrap_or_default());
    let signer = Arc::clone(&keys);
    let extended = app
        .store
        .write(move |db| sequence::extend(db, &signer, &holder, &tree, &batch, now))
        .await?;
    match extended {
        Some(tree) => {
            *known = Some(tree);
            Ok(if is_full { Done::Full } else { Done::Some })
        }
        None => {
            // Another node has been at work: what it did must have grown from what is known here.
            let tree = known.clone().unwrap_or_default();
            let read = app.store.read(move |db| tree.read_again(db, &keys));
            *known = Some(read.await?);
            Ok(Done::Some)
        }
    }
}

/// For the gauge: a clock that runs behind another node's says none.
#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn seconds_since(then: Instant, now: Instant) -> f64 {
    (now.epoch_micros() - then.epoch_micros()).max(0) as f64 / 1e6
}
