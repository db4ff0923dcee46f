//! Puts grants on record as expired once their end has come.
//!
//! Nothing hangs on when: the token endpoint refuses a grant from the moment of its end.

use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::admin::{AdminError, grants};
use crate::app::App;
use crate::audit::Actor;
use crate::store::grants::overdue;

/// How often ends are looked for.
const ROUND: Duration = Duration::from_secs(2);
/// How many grants end in one transaction: every other change waits for it.
const BATCH: i64 = 100;

/// Looks for ends, round after round.
pub(super) async fn expire(app: Arc<App>) {
    loop {
        match round(&app).await {
            Ok(0) => {}
            Ok(expired) => log::info!("{expired} grants have come to their end"),
            Err(error) => log::warn!("grants could not be ended: {error}"),
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// Ends all that is overdue; answers how many. Two nodes that do so at once end each grant once.
async fn round(app: &App) -> Result<usize, AdminError> {
    let mut expired = 0;
    loop {
        let now = surely_past(app).await?;
        // A look first: a change, even an empty one, would hold others up.
        if app
            .store
            .read(move |db| overdue(db, now, 1))
            .await?
            .is_empty()
        {
            return Ok(expired);
        }
        let ended = app.carry_out_at(now, Actor::policy(), |db, act| {
            grants::expire_overdue(db, act, BATCH)
        });
        match ended.await? {
            0 => return Ok(expired),
            some => expired += some,
        }
    }
}
