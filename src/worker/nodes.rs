//! Says that this process lives, and counts who else does.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::config::Role;
use crate::store::nodes::{self, Node};
use crate::store::{Db, StoreError, instance};
use crate::telemetry::telemetry;

/// How often: a few beats may fail before others count a node as dead (`store::nodes::SILENCE`).
const ROUND: Duration = Duration::from_secs(2);

pub(super) async fn beat(app: Arc<App>) {
    let node = Arc::new(Node {
        id: app.nodes.id.clone(),
        version: env!("CARGO_PKG_VERSION"),
        serves: app.settings.has_role(Role::Auth) || app.settings.has_role(Role::Api),
        started_at: app.clock.now(),
    });
    let mut is_failing = false;
    loop {
        let (now, row) = (app.clock.now(), Arc::clone(&node));
        let counted = app.store.write(move |db| nodes::beat(db, &row, now)).await;
        let has_failed = counted.is_err();
        match counted {
            Ok(live) => {
                app.nodes.count(u32::try_from(live).unwrap_or(1));
                telemetry().rates.nodes.set(app.nodes.live().into());
            }
            // Shares stay as they are: the others count this one for a while.
            Err(error) if !is_failing => log::warn!("other nodes do not hear of this one: {error}"),
            Err(_) => {}
        }
        is_failing = has_failed;
        tokio::time::sleep(ROUND).await;
    }
}

/// By how many seconds this machine's clock may differ from the database's before it is told.
const APART: u64 = 30;

/// How often they are compared.
const COMPARED: Duration = Duration::from_secs(60);

/// Tells where this machine's clock is wrong, once, and when it is right again.
pub(super) async fn compare_clocks(app: Arc<App>) {
    let mut is_apart = false;
    loop {
        let there = app.store.read(instance::time).await;
        let here = app.clock.now();
        if let Ok(Some(there)) = there {
            let apart = (here.epoch_seconds() - there.epoch_seconds()).unsigned_abs();
            if apart > APART && !is_apart {
                let way = if here > there { "ahead of" } else { "behind" };
                log::error!(
                    "this machine's clock is {} s {way} the database's: tokens, credentials and grants begin and end at \
                     the wrong time here; set it right",
                    apart
                );
            } else if apart <= APART && is_apart {
                log::info!("this machine's clock agrees with the database's again");
            }
            is_apart = apart > APART;
        }
        tokio::time::sleep(COMPARED).await;
    }
}

/// Says that this process ends.
pub(super) async fn leave(app: &App) -> Result<(), StoreError> {
    let id = app.nodes.id.clone();
    app.store
        .write(move |db: &mut Db| nodes::leave(db, &id))
        .await
}
