//! What runs beside the server: loops, each of which can miss a turn without harm.

mod agreements;
mod audit_retention;
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

use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::Role;

/// How often keys that other processes made are looked for.
const KEY_ROUND: Duration = Duration::from_secs(5);
/// How long revocations are kept beyond their time: by how much clocks may be wrong, those of the nodes that
/// revoke, that give tokens out and that forget together. Whatever is forgotten too soon lets a token live again.
const WRONG_CLOCKS: Duration = Duration::from_secs(900);
/// How often revocations that are over are dropped from memory.
const FORGET_ROUND: Duration = Duration::from_secs(60);

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
        tokio::spawn(tally::follow(Arc::clone(app))),
        tokio::spawn(nodes::beat(Arc::clone(app))),
        tokio::spawn(nodes::compare_clocks(Arc::clone(app))),
    ];
    if let Some(shared) = &app.shared {
        loops.push(tokio::spawn(Arc::clone(shared).watch()));
    }
    if app.settings.has_role(Role::Auth) {
        loops.push(tokio::spawn(uses::follow(Arc::clone(app))));
        loops.push(tokio::spawn(indices::lease_ahead(Arc::clone(app))));
    }
    if app.settings.has_role(Role::Worker) {
        loops.push(tokio::spawn(retention::run(Arc::clone(app))));
        loops.push(tokio::spawn(trespasses::run(Arc::clone(app))));
        loops.push(tokio::spawn(sequencer::follow(Arc::clone(app))));
        loops.push(tokio::spawn(audit_retention::follow(Arc::clone(app))));
        loops.push(tokio::spawn(warn::run(Arc::clone(app))));
        loops.push(tokio::spawn(version_notices::run(Arc::clone(app))));
        loops.push(tokio::spawn(leaks::follow(Arc::clone(app))));
        loops.push(tokio::spawn(agreements::expire(Arc::clone(app))));
        loops.push(tokio::spawn(grants::expire(Arc::clone(app))));
        loops.push(tokio::spawn(deliveries::settle(Arc::clone(app))));
        loops.push(tokio::spawn(simulate::run(Arc::clone(app))));
        let days = u64::from(app.settings.key_rotation_days);
        if days > 0 {
            let age = Duration::from_secs(days * 24 * 3600);
            loops.push(tokio::spawn(keys::rotate(Arc::clone(app), age)));
        }
        loops.push(tokio::spawn(invoices::run(Arc::clone(app))));
        loops.push(tokio::spawn(webhooks::run(Arc::clone(app))));
    }
    Loops(loops)
}

/// What is left to do when the last request is answered.
pub async fn finish(app: &App) {
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
        if let Ok(now) = retention::surely_past(&app).await {
            app.feed.forget_before(now.minus(WRONG_CLOCKS));
        }
    }
}
