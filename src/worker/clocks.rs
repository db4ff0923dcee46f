//! What time it surely is: the moment that work for good goes by.

use crate::app::App;
use crate::domain::instant::Instant;
use crate::store::{StoreError, instance};

/// The earlier of two clocks, this machine's and the database's. What a clock that is ahead takes for old may be
/// a revocation whose token lives, and what it takes for over may be a grant that others go by.
pub(super) async fn surely_past(app: &App) -> Result<Instant, StoreError> {
    let there = app.store.read(instance::time).await?;
    let here = app.clock.now();
    Ok(there.map_or(here, |there| there.min(here)))
}
