//! What runs beside the server: loops, each of which can miss a turn without harm.

mod agreements;
mod deliveries;
mod grants;
mod invoices;
mod leaks;
mod simulate;
mod uses;
mod warn;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::Role;
use crate::domain::day::Day;
use crate::partner::idempotency::KEPT;
use crate::store::{
    StoreError, changes, expiry_warnings, idempotency, issued_tokens, revocations, scope_usage,
};

/// How often keys that other processes made are looked for.
const KEY_ROUND: Duration = Duration::from_secs(5);
/// How often revocations that are over are dropped from memory.
const FORGET_ROUND: Duration = Duration::from_secs(60);
/// How often old rows are swept away.
const SWEEP_ROUND: Duration = Duration::from_secs(3600);
/// How long a token's record outlives the longest token.
const TOKEN_RECORDS: Duration = Duration::from_secs(24 * 3600 + 900);

/// How long changes are kept: a node that was away for longer looks at everything again.
const CHANGES: Duration = Duration::from_secs(3600);

/// How many days scope usage is kept: longer than anybody can ask about.
const USAGE_DAYS: u32 = 400;
/// How long it is kept which warnings were given: longer than the first is given before the end.
const WARNINGS: Duration = Duration::from_secs(90 * 24 * 3600);

/// The loops of a process; they end when this is dropped.
#[derive(Debug)]
pub struct Loops(Vec<JoinHandle<()>>);

impl Drop for Loops {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Starts the loops that the process's roles ask for.
pub fn start(app: &Arc<App>) -> Loops {
    let mut loops = vec![
        tokio::spawn(follow_keys(Arc::clone(app))),
        tokio::spawn(forget_revocations(Arc::clone(app))),
    ];
    if app.settings.has_role(Role::Auth) {
        loops.push(tokio::spawn(uses::follow(Arc::clone(app))));
    }
    if app.settings.has_role(Role::Worker) {
        loops.push(tokio::spawn(sweep(Arc::clone(app))));
        loops.push(tokio::spawn(warn::run(Arc::clone(app))));
        loops.push(tokio::spawn(leaks::follow(Arc::clone(app))));
        loops.push(tokio::spawn(leaks::sweep(Arc::clone(app))));
        loops.push(tokio::spawn(agreements::expire(Arc::clone(app))));
        loops.push(tokio::spawn(grants::expire(Arc::clone(app))));
        loops.push(tokio::spawn(deliveries::settle(Arc::clone(app))));
        loops.push(tokio::spawn(simulate::run(Arc::clone(app))));
        loops.push(tokio::spawn(invoices::run(Arc::clone(app))));
    }
    Loops(loops)
}

/// What is left to do when the last request is answered.
pub async fn finish(app: &App) {
    if let Err(error) = uses::record(app).await {
        log::warn!("uses of credentials could not be written: {error}");
    }
}

async fn follow_keys(app: Arc<App>) {
    loop {
        // Told or not: a key can also come to its time.
        let _ = tokio::time::timeout(KEY_ROUND, app.directory.keys_changed()).await;
        if let Err(error) = app.refresh_keys().await {
            log::warn!("signing keys could not be refreshed: {error}");
        }
    }
}

async fn forget_revocations(app: Arc<App>) {
    loop {
        tokio::time::sleep(FORGET_ROUND).await;
        app.feed.forget_before(app.clock.now());
    }
}

async fn sweep(app: Arc<App>) {
    loop {
        let now = app.clock.now();
        let (tokens, news) = (now.minus(TOKEN_RECORDS), now.minus(CHANGES));
        let (days, warned) = (Day::of(now).minus(USAGE_DAYS), now.minus(WARNINGS));
        let answered = now.minus(KEPT);
        let swept = app.store.write(move |db| {
            let kept = idempotency::purge(db, answered)?;
            if kept > 0 {
                log::info!("forgot {kept} answers that were kept for retries");
            }
            let rest = scope_usage::purge(db, days)? + expiry_warnings::purge(db, warned)?;
            if rest > 0 {
                log::info!("forgot {rest} rows of old usage and of warnings given");
            }
            Ok::<_, StoreError>((issued_tokens::purge(db, tokens)?, changes::purge(db, news)?))
        });
        match swept.await {
            Ok((0, 0)) => {}
            Ok((tokens, changes)) => {
                log::info!("forgot {tokens} records of dead tokens and {changes} of old changes")
            }
            Err(error) => log::warn!("old rows could not be swept away: {error}"),
        }
        // A change, so that nodes hear up to where revocations were forgotten.
        match app.change(now, move |db| revocations::purge(db, now)).await {
            Ok(0) => {}
            Ok(count) => log::info!("forgot {count} revocations that concern no living token"),
            Err(error) => log::warn!("old revocations could not be swept away: {error}"),
        }
        tokio::time::sleep(SWEEP_ROUND).await;
    }
}
