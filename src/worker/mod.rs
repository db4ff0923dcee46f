//! What runs beside the server: loops, each of which can miss a turn without harm.

mod agreements;
mod audit_retention;
mod clocks;
mod deliveries;
mod grants;
mod indices;
mod invoices;
mod keys;
mod leaks;
mod nodes;
mod retention;
mod sequencer;
mod simulate;
mod tally;
mod trespasses;
mod uses;
mod version_notices;
mod warn;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use crate::app::App;
use crate::clock::WRONG_CLOCKS;
use crate::config::Role;
use crate::store::{Db, StoreError};

/// How often keys that other processes made are looked for.
const KEY_ROUND: Duration = Duration::from_secs(5);
/// How often revocations that are over are dropped from memory.
const FORGET_ROUND: Duration = Duration::from_secs(60);

/// How long deliveries that are on their way are waited for when all requests are answered.
const LAST_DELIVERIES: Duration = Duration::from_secs(5);

/// The loops of a process; they end when this is dropped.
#[derive(Debug)]
pub struct Loops {
    endless: JoinSet<()>,
    /// What delivers events; it ends by itself when the process stops.
    courier: Option<Courier>,
}

#[derive(Debug)]
struct Courier {
    node: String,
    work: JoinSet<()>,
}

impl Loops {
    /// Waits until one of them has failed, which none of them should: without it the process does half its work, and
    /// says nothing of it.
    pub async fn failed(&mut self) {
        let courier = async {
            match &mut self.courier {
                Some(courier) => failure(&mut courier.work).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = failure(&mut self.endless) => {
                log::error!("work beside the server has failed, so the process ends: {error}");
            }
            error = courier => {
                log::error!("the delivery of events has failed, so the process ends: {error}");
            }
        }
    }

    /// Gives webhook endpoints back, also where some do not answer: others need not wait for claims to end.
    async fn leave_endpoints(&mut self, app: &App) {
        let Some(Courier { node, mut work }) = self.courier.take() else {
            return;
        };
        let ended = tokio::time::timeout(LAST_DELIVERIES, work.join_next()).await;
        if !matches!(ended, Ok(Some(Ok(())))) {
            work.shutdown().await;
            webhooks::leave(app, node).await;
        }
    }
}

/// Starts the loops that the process's roles ask for.
pub fn start(app: &Arc<App>) -> Loops {
    let mut loops = JoinSet::new();
    let mut courier = None;
    loops.spawn(follow_keys(Arc::clone(app)));
    loops.spawn(forget_revocations(Arc::clone(app)));
    loops.spawn(tally::follow(Arc::clone(app)));
    loops.spawn(nodes::beat(Arc::clone(app)));
    loops.spawn(nodes::compare_clocks(Arc::clone(app)));
    if let Some(shared) = &app.shared {
        loops.spawn(Arc::clone(shared).watch());
    }
    if app.settings.has_role(Role::Auth) {
        loops.spawn(uses::follow(Arc::clone(app)));
        loops.spawn(indices::lease_ahead(Arc::clone(app)));
    }
    if app.settings.has_role(Role::Worker) {
        loops.spawn(retention::run(Arc::clone(app)));
        loops.spawn(trespasses::run(Arc::clone(app)));
        loops.spawn(sequencer::follow(Arc::clone(app)));
        loops.spawn(audit_retention::follow(Arc::clone(app)));
        loops.spawn(warn::run(Arc::clone(app)));
        loops.spawn(version_notices::run(Arc::clone(app)));
        loops.spawn(leaks::follow(Arc::clone(app)));
        loops.spawn(agreements::expire(Arc::clone(app)));
        loops.spawn(grants::expire(Arc::clone(app)));
        loops.spawn(deliveries::settle(Arc::clone(app)));
        loops.spawn(simulate::run(Arc::clone(app)));
        let days = u64::from(app.settings.key_rotation_days);
        if days > 0 {
            let age = Duration::from_secs(days * 24 * 3600);
            loops.spawn(keys::rotate(Arc::clone(app), age));
        }
        loops.spawn(invoices::run(Arc::clone(app)));
        let node = webhooks::new_node();
        let mut work = JoinSet::new();
        work.spawn(webhooks::run(Arc::clone(app), node.clone()));
        courier = Some(Courier { node, work });
    }
    Loops {
        endless: loops,
        courier,
    }
}

/// Waits until one has failed; whoever ends otherwise has nothing left to do.
async fn failure(work: &mut JoinSet<()>) -> JoinError {
    loop {
        match work.join_next().await {
            Some(Err(error)) => return error,
            Some(Ok(())) => {}
            None => std::future::pending().await,
        }
    }
}

/// What is left to do when the last request is answered.
pub async fn finish(app: &App, mut loops: Loops) {
    loops.leave_endpoints(app).await;
    if let Err(error) = uses::record(app).await {
        log::warn!("uses of credentials could not be written: {error}");
    }
    if let Err(error) = tally::record(app).await {
        log::warn!("what was added up in the last minute is lost: {error}");
    }
    if let Err(error) = nodes::leave(app).await {
        log::warn!("other nodes take this one for living a while longer: {error}");
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
        // Where the database does not say what time it is, nothing is forgotten.
        if let Ok(now) = clocks::surely_past(&app).await {
            app.feed.forget_before(now.minus(WRONG_CLOCKS));
        }
    }
}

/// Runs changes in one transaction, and waits for what becomes of them as long as the database takes.
///
/// `Store::write` gives up on a database that is silent, though what was asked for may still happen. Whoever then asks
/// for the same again, as those do who add something up, has it counted twice. That the end of a process does not
/// wait for ever is seen to where it begins (`http/server`).
async fn write_to_the_end<F>(app: &App, work: F) -> Result<(), StoreError>
where
    F: FnOnce(&mut Db) -> Result<(), StoreError> + Send + 'static,
{
    let store = app.store.clone();
    let writing = tokio::task::spawn_blocking(move || {
        // One of its own, as the journal has: it works on where the process's own is ending.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| StoreError::Unreachable(error.to_string()))?;
        runtime.block_on(store.write_in_place(work))
    });
    writing.await.unwrap_or(Err(StoreError::Interrupted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_fails_is_told_and_what_ends_is_not() {
        let mut work = JoinSet::new();
        work.spawn(async {});
        work.spawn(std::future::pending());
        let quiet = tokio::time::timeout(Duration::from_millis(50), failure(&mut work)).await;
        assert!(quiet.is_err());
        work.spawn(async { panic!("a fault") });
        assert!(failure(&mut work).await.is_panic());
    }
}
