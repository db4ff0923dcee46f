//! Looks for reported secrets, and acts on those that are somebody's.
//!
//! Several nodes may do so at once: each match is claimed in the transaction that acts on it.

use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::admin::leaks;
use crate::app::App;
use crate::audit::Actor;
use crate::store::{StoreError, leaks as rows};

/// How often reports that other processes took in are looked for.
const ROUND: Duration = Duration::from_millis(250);
/// How many reports, or ended hours, are taken on at a time.
const BATCH: i64 = 100;

/// Follows reports until it is stopped.
pub(super) async fn follow(app: Arc<App>) {
    loop {
        let round = async {
            let done = settle_reports(&app).await?;
            end_graces(&app).await?;
            Ok::<_, StoreError>(done)
        };
        match round.await {
            Ok(Done::Some) => continue,
            Ok(Done::Nothing) => {}
            Err(error) => log::warn!("reported secrets could not be looked for: {error}"),
        }
        let _ = tokio::time::timeout(ROUND, app.leaks.announced()).await;
    }
}

/// What a round came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// Reports, all of them settled: there may be more.
    Some,
    /// None, or such as could not all be settled.
    Nothing,
}

async fn settle_reports(app: &App) -> Result<Done, StoreError> {
    let reports = app.store.read(|db| rows::received(db, BATCH)).await?;
    if reports.is_empty() {
        return Ok(Done::Nothing);
    }
    let asked = reports.clone();
    let hits = app.store.read(move |db| rows::hits(db, &asked)).await?;
    let mut done = Done::Some;
    for (report, hash) in hits {
        // One transaction each: nobody waits for long behind a report that matches a lot, and
        // one that fails keeps no other from being settled.
        let name = report.clone();
        let settled = app.carry_out(Actor::policy(), move |db, act| {
            leaks::settle(db, act, &report, &hash)
        });
        if let Err(error) = settled.await {
            log::warn!("a match of {name} could not be settled, and will be tried again: {error}");
            done = Done::Nothing;
        }
    }
    let now = app.clock.now();
    app.store
        .write(move |db| rows::finish(db, &reports, now))
        .await?;
    Ok(done)
}

async fn end_graces(app: &App) -> Result<(), StoreError> {
    let now = surely_past(app).await?;
    let over = app
        .store
        .read(move |db| rows::graces_over(db, now, BATCH))
        .await?;
    for credential in over {
        let name = credential.clone();
        let ended = app.carry_out_at(now, Actor::policy(), move |db, act| {
            leaks::end_grace(db, act, &credential)
        });
        if let Err(error) = ended.await {
            log::warn!(
                "{name} was leaked and could not be revoked, which will be tried again: {error}"
            );
        }
    }
    Ok(())
}
