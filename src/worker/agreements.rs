//! Agreements whose end has come: their state says so, and what hangs on them ends.

use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::admin::{AdminError, agreements};
use crate::app::App;
use crate::audit::Actor;

/// How often agreements past their end are looked for. Nobody waits for it: dates decide at each
/// token request, so this is for the record and for tokens that verifiers hold.
const ROUND: Duration = Duration::from_secs(1);

/// Lets agreements expire, for ever.
pub(super) async fn expire(app: Arc<App>) {
    loop {
        match round(&app).await {
            Ok(0) => tokio::time::sleep(ROUND).await,
            Ok(expired) => log::info!("{expired} agreements have expired"),
            Err(error) => {
                log::warn!("agreements past their end could not be ended: {error}");
                tokio::time::sleep(ROUND).await;
            }
        }
    }
}

/// One look; a change is made only where something is past its end.
async fn round(app: &App) -> Result<usize, AdminError> {
    let now = surely_past(app).await?;
    if !app
        .store
        .read(move |db| agreements::any_overdue(db, now))
        .await?
    {
        return Ok(0);
    }
    app.carry_out_at(now, Actor::policy(), agreements::expire_overdue)
        .await
}
