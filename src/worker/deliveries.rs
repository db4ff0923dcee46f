//! Links to secrets that nobody opened: ended when their time has come, their credentials revoked.

use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::admin::{AdminError, delivery};
use crate::app::App;
use crate::audit::Actor;
use crate::store::secret_deliveries::{due, revoked_on_the_way};

/// How often links are looked after. A link past its end opens for nobody, whether looked after or not.
const ROUND: Duration = Duration::from_secs(5);
/// How many are settled a round.
const MOST: i64 = 100;

pub(super) async fn settle(app: Arc<App>) {
    loop {
        if let Err(error) = round(&app).await {
            log::warn!("links to secrets could not be looked after: {error}");
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn round(app: &App) -> Result<(), AdminError> {
    let now = surely_past(app).await?;
    for id in app.store.read(move |db| due(db, now, MOST)).await? {
        app.carry_out_at(now, Actor::policy(), move |db, act| {
            delivery::expire(db, act, &id)
        })
        .await?;
    }
    // Whatever revoked the credential, nothing of its secret stays behind.
    let revoked = app.store.read(|db| revoked_on_the_way(db, MOST)).await?;
    for credential in revoked {
        let cancel = app.carry_out(Actor::policy(), move |db, act| {
            delivery::cancel(db, act, &credential)
        });
        cancel.await?;
    }
    Ok(())
}
