//! What runs beside the server: loops, each of which can miss a turn without harm.

mod agreements;
mod grants;
mod leaks;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::Role;
use crate::store::{StoreError, changes, issued_tokens, revocations};

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
    if app.settings.has_role(Role::Worker) {
        loops.push(tokio::spawn(sweep(Arc::clone(app))));
        loops.push(tokio::spawn(leaks::follow(Arc::clone(app))));
        loops.push(tokio::spawn(leaks::sweep(Arc::clone(app))));
        loops.push(tokio::spawn(agreements::expire(Arc::clone(app))));
        loops.push(tokio::spawn(grants::expire(Arc::clone(app))));
    }
    Loops(loops)
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
        let swept = app.store.write(move |db| {
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
