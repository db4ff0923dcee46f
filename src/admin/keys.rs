//! Signing keys, rotated.

use super::{Actor, AdminError};
use crate::domain::instant::Instant;
use crate::keys::provision;
use crate::store::changes::Change;
use crate::store::signing_keys::StoredKey;

/// Stores a freshly made key as the successor of the one that signs now.
///
/// The key is an argument because making one can take seconds, which must not pass
/// within a transaction.
pub fn rotate(
    db: &mut Change<'_>,
    actor: &Actor,
    fresh: StoredKey,
    now: Instant,
) -> Result<StoredKey, AdminError> {
    let key = provision::introduce(db, fresh, now).map_err(crate::keys::error::KeyError::from)?;
    log::info!(
        "{} key {} made for {}, signs from {}, by {actor}",
        key.alg,
        key.kid,
        key.realm,
        key.signs_from
    );
    Ok(key)
}
