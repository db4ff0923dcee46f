//! Orders of the sandbox, which nobody fulfils: moved on as their scripts say.
//!
//! Any number of nodes may do so: each step is one conditional UPDATE.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::audit::Actor;
use crate::partner::PartnerError;
use crate::partner::orders::simulate;
use crate::store::orders::to_simulate;

/// How often is looked.
const ROUND: Duration = Duration::from_millis(500);
/// How many are moved on at once.
const BATCH: i64 = 100;

pub(super) async fn run(app: Arc<App>) {
    loop {
        match round(&app).await {
            // There may be more.
            Ok(moved) if moved > 0 => {}
            Ok(_) => tokio::time::sleep(ROUND).await,
            Err(error) => {
                log::warn!("orders of the sandbox could not be moved on, and will be: {error}");
                tokio::time::sleep(ROUND).await;
            }
        }
    }
}

async fn round(app: &App) -> Result<usize, PartnerError> {
    let now = app.clock.now();
    let due = app
        .store
        .read(move |db| to_simulate(db, now, BATCH))
        .await?;
    let mut moved = 0;
    for order in due {
        let act = app.partner_act(Actor::policy());
        let step = app.store.write(move |db| simulate(db, &act, &order));
        moved += usize::from(step.await?);
    }
    Ok(moved)
}
