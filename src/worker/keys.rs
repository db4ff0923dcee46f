//! Successors for signing keys that have signed for long enough.

use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::admin::{AdminError, keys};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::Algorithm;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::keys::provision;
use crate::store::StoreError;
use crate::store::signing_keys::StoredKey;

/// How often old keys are looked for.
const ROUND: Duration = Duration::from_secs(60);

/// Rotates keys of this age, for ever. Several nodes may do so at once: one of their keys is stored.
pub(super) async fn rotate(app: Arc<App>, age: Duration) {
    loop {
        if let Err(error) = round(&app, age).await {
            log::warn!("old signing keys could not be rotated: {error}");
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn round(app: &Arc<App>, age: Duration) -> Result<(), AdminError> {
    let now = surely_past(app).await?;
    let due = app.store.read(move |db| keys::due(db, age, now)).await?;
    for key in due {
        let fresh = fresh(app, key.realm, key.alg, now).await?;
        let rotated = app
            .carry_out(Actor::policy(), move |db, act| {
                keys::rotate_due(db, act, fresh, age)
            })
            .await?;
        if let Some(key) = rotated {
            log::info!(
                "{} key {} signs from {}",
                key.realm,
                key.kid,
                key.signs_from
            );
        }
    }
    Ok(())
}

/// Makes a key on a thread that may take its time.
async fn fresh(
    app: &Arc<App>,
    realm: Realm,
    alg: Algorithm,
    now: Instant,
) -> Result<StoredKey, AdminError> {
    let app = Arc::clone(app);
    let made = tokio::task::spawn_blocking(move || provision::fresh(&app.master, realm, alg, now));
    // A task that panicked or was aborted: the next round makes another.
    let made = made.await.map_err(|_| StoreError::Interrupted)?;
    Ok(made?)
}
