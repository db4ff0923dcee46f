//! Signing keys, rotated and revoked.

use std::time::Duration;

use super::{Act, AdminError};
use crate::audit::{Action, Deed};
use crate::domain::instant::Instant;
use crate::domain::key::{KeyState, KeyStep};
use crate::domain::page::{Page, PageRequest};
use crate::domain::revocation::Revoked;
use crate::keys::error::KeyError;
use crate::keys::provision;
use crate::store::changes::Change;
use crate::store::signing_keys::{self, StoredKey};
use crate::store::{Db, StoreError};

/// A page of the keys that are published now, oldest first. `None`: there never was the key that it starts after.
///
/// Whoever walks may stand at a key that was revoked since, or is published no more: its place is known still.
pub fn page(
    db: &mut Db,
    asked: &PageRequest,
    now: Instant,
) -> Result<Option<Page<StoredKey>>, StoreError> {
    let mut keys = signing_keys::published(db, now)?;
    if let Some(kid) = &asked.after {
        let Some(last) = signing_keys::find(db, kid)? else {
            return Ok(None);
        };
        keys.retain(|key| place(key) > place(&last));
    }
    Ok(Some(asked.page(keys, |key| key.kid.as_str())))
}

/// Where a key stands in the list.
fn place(key: &StoredKey) -> (Instant, &str) {
    (key.published_at, key.kid.as_str())
}

/// Stores a freshly made key as the successor of the one that signs now.
///
/// The key is an argument because making one can take seconds, which must not pass
/// within a transaction.
pub fn rotate(db: &mut Change<'_>, act: &Act, fresh: StoredKey) -> Result<StoredKey, AdminError> {
    let key = provision::introduce(db, fresh, act.now).map_err(KeyError::from)?;
    record_rotation(db, act, &key)?;
    Ok(key)
}

/// The keys that have signed for so long, or longer, and have no successor yet.
pub fn due(db: &mut Db, age: Duration, now: Instant) -> Result<Vec<StoredKey>, StoreError> {
    signing_keys::signing_since(db, now.minus(age))
}

/// The same as [`rotate`] where the key that signs now is so old, and nobody came first. `None`:
/// somebody did.
pub fn rotate_due(
    db: &mut Change<'_>,
    act: &Act,
    fresh: StoredKey,
    age: Duration,
) -> Result<Option<StoredKey>, AdminError> {
    let key = provision::succeed(db, fresh, act.now.minus(age), act.now)?;
    if let Some(key) = &key {
        record_rotation(db, act, key)?;
    }
    Ok(key)
}

fn record_rotation(db: &mut Change<'_>, act: &Act, key: &StoredKey) -> Result<(), StoreError> {
    act.record(db, succeeded(key))
}

/// What is put on record of a key that succeeds another.
pub fn succeeded(key: &StoredKey) -> Deed {
    Deed::new(Action::KeyRotated, &key.kid)
        .realm(key.realm)
        .detail("alg", key.alg.as_str())
        .detail("signs_from", key.signs_from.to_string())
}

/// Ends a key at once: it signs nothing more, is published no more, and what it signed is refused.
///
/// `fresh` is a key of the same realm and algorithm, which signs in its place unless another was
/// to follow it anyway.
pub fn revoke(
    db: &mut Change<'_>,
    act: &Act,
    kid: &str,
    reason: &str,
    fresh: StoredKey,
) -> Result<StoredKey, AdminError> {
    let before = signing_keys::find(db, kid)?.ok_or(AdminError::NotFound)?;
    if !signing_keys::revoke(db, kid, act.now)? {
        return Err(AdminError::illegal::<KeyStep>("the key", KeyState::Revoked));
    }
    let successor = provision::replace(db, &before, fresh, act.now)?;
    act.revoke(db, before.realm, Revoked::Key(kid.to_owned()), "revoked")?;
    let deed = Deed::new(Action::KeyRevoked, kid)
        .realm(before.realm)
        .detail("alg", before.alg.as_str())
        .detail("reason", reason)
        .detail("replaced_by", successor.map(|key| key.kid));
    act.record(db, deed)?;
    signing_keys::find(db, kid)?.ok_or(AdminError::NotFound)
}
