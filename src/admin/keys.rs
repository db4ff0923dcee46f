//! Signing keys, rotated.

use super::{Act, AdminError};
use crate::audit::{Action, Deed};
use crate::keys::provision;
use crate::store::changes::Change;
use crate::store::signing_keys::StoredKey;

/// Stores a freshly made key as the successor of the one that signs now.
///
/// The key is an argument because making one can take seconds, which must not pass
/// within a transaction.
pub fn rotate(db: &mut Change<'_>, act: &Act, fresh: StoredKey) -> Result<StoredKey, AdminError> {
    let key =
        provision::introduce(db, fresh, act.now).map_err(crate::keys::error::KeyError::from)?;
    let deed = Deed::new(Action::KeyRotated, &key.kid)
        .realm(key.realm)
        .detail("alg", key.alg.as_str())
        .detail("signs_from", key.signs_from.to_string());
    act.record(db, deed)?;
    Ok(key)
}
