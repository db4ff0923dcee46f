//! Leases indices of status lists before they are needed.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;

/// How often leases are looked after although nothing runs low.
const ROUND: Duration = Duration::from_secs(60);
/// How long to wait before the database is asked again.
const RETRY: Duration = Duration::from_millis(500);

pub(super) async fn lease_ahead(app: Arc<App>) {
    loop {
        let _ = tokio::time::timeout(ROUND, app.indices.run_low()).await;
        while let Err(error) = app.indices.tend(app.clock.now()).await {
            log::warn!("no status list indices could be leased, and will be: {error}");
            tokio::time::sleep(RETRY).await;
        }
    }
}
