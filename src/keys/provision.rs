//! How a key comes into the database: generated, imported, or as another's successor.

use super::error::KeyError;
use super::generate;
use super::master::MasterKey;
use super::ring::{PUBLISH_LEAD, PUBLISH_TAIL};
use super::sealed;
use super::signer::SigningKey;
use crate::domain::Algorithm;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::store::changes::{Change, Subject};
use crate::store::signing_keys::{self, StoredKey};
use crate::store::{Db, StoreError};

/// The row for a private key that is published, and signs, from now on.
pub fn stored(
    master: &MasterKey,
    realm: Realm,
    alg: Algorithm,
    pkcs8: &[u8],
    origin: &str,
    now: Instant,
) -> Result<StoredKey, KeyError> {
    let key = SigningKey::from_pkcs8(alg, pkcs8)?;
    Ok(StoredKey {
        kid: key.jwk().kid.clone(),
        realm,
        alg,
        sealed_key: sealed::seal(master, &key.jwk().kid, pkcs8)?,
        public_jwk: serde_json::to_string(key.jwk())?,
        origin: origin.to_owned(),
        published_at: now,
        signs_from: now,
        signs_until: None,
        published_until: None,
        revoked_at: None,
    })
}

/// A new key for a realm and algorithm. Slow for RSA: not for within a transaction.
pub fn fresh(
    master: &MasterKey,
    realm: Realm,
    alg: Algorithm,
    now: Instant,
) -> Result<StoredKey, KeyError> {
    stored(master, realm, alg, &generate::pkcs8(alg)?, "generated", now)
}

/// Stores a key as the successor of the one that signs now; answers it with its times.
///
/// The first key of a realm and algorithm signs at once: there is no other that could. Where the realm had keys of
/// another algorithm, verifiers may hold its key set for a while: whoever changes an algorithm has a key made before
/// ("Another algorithm" in docs/operations.md). A later one is published for [`PUBLISH_LEAD`] first, and the old one
/// stays for [`PUBLISH_TAIL`] after.
pub fn introduce(
    db: &mut Change<'_>,
    key: StoredKey,
    now: Instant,
) -> Result<StoredKey, StoreError> {
    let is_first = !signing_keys::published(db, now)?
        .iter()
        .any(|k| k.stands_beside(&key));
    let signs_from = if is_first {
        now
    } else {
        now.plus(PUBLISH_LEAD)
    };
    let key = insert(db, key, now, signs_from)?;
    signing_keys::supersede(db, &key, key.signs_from.plus(PUBLISH_TAIL))?;
    Ok(key)
}

/// The same where the key that signs now has done so since a moment, or for longer. `None`: it has
/// not, or has a successor already.
pub fn succeed(
    db: &mut Change<'_>,
    mut key: StoredKey,
    since: Instant,
    now: Instant,
) -> Result<Option<StoredKey>, StoreError> {
    key.signs_from = now.plus(PUBLISH_LEAD);
    let stays = key.signs_from.plus(PUBLISH_TAIL);
    // First, since it decides: of several nodes that come with a key each, one finds the old key open.
    if signing_keys::supersede_old(db, &key, since, stays)? == 0 {
        return Ok(None);
    }
    let signs_from = key.signs_from;
    insert(db, key, now, signs_from).map(Some)
}

/// Sees to it that somebody signs in a revoked key's place, which is given as it was before:
/// the key that was to follow it, or a fresh one. `None`: its time was over.
///
/// Where it was signing, its successor signs at once, published or not: verifiers that do not know
/// it ask for it, and what they know is revoked. Where it was only published, nobody need be
/// surprised: the key before it signs on until its successor is known.
pub fn replace(
    db: &mut Change<'_>,
    revoked: &StoredKey,
    fresh: StoredKey,
    now: Instant,
) -> Result<Option<StoredKey>, StoreError> {
    db.touch(Subject::Keys);
    if revoked.has_ended(now) {
        return Ok(None);
    }
    let beside: Vec<_> = signing_keys::published(db, now)?
        .into_iter()
        .filter(|k| k.stands_beside(revoked) && !k.has_ended(now))
        .collect();
    let has_predecessor = beside
        .iter()
        .any(|k| k.signs_until == Some(revoked.signs_from));
    let next = beside
        .into_iter()
        .filter(|k| k.signs_from > revoked.signs_from)
        .min_by_key(|k| k.signs_from);
    let waits = revoked.signs_from > now && has_predecessor;
    let successor = match next {
        Some(next) if waits || next.signs_from <= now => next,
        Some(mut next) => {
            signing_keys::bring_forward(db, &next.kid, now)?;
            next.signs_from = now;
            next
        }
        None if waits => insert(db, fresh, now, now.plus(PUBLISH_LEAD))?,
        None => insert(db, fresh, now, now)?,
    };
    if waits {
        let stays = successor.signs_from.plus(PUBLISH_TAIL);
        signing_keys::prolong(db, revoked, successor.signs_from, stays)?;
    }
    Ok(Some(successor))
}

fn insert(
    db: &mut Change<'_>,
    mut key: StoredKey,
    now: Instant,
    signs_from: Instant,
) -> Result<StoredKey, StoreError> {
    key.published_at = now;
    key.signs_from = signs_from;
    signing_keys::insert(db, &key)?;
    db.touch(Subject::Keys);
    Ok(key)
}

/// Makes sure that a realm has a key of an algorithm.
///
/// May take seconds for RSA: for the start of a process, not for requests.
pub fn ensure(
    db: &mut Change<'_>,
    master: &MasterKey,
    realm: Realm,
    alg: Algorithm,
    now: Instant,
) -> Result<(), KeyError> {
    if !can_sign(db, realm, alg, now)? {
        introduce(db, fresh(master, realm, alg, now)?, now)?;
    }
    Ok(())
}

/// Stores a key unless its realm can sign with its algorithm already.
pub fn introduce_first(
    db: &mut Change<'_>,
    key: StoredKey,
    now: Instant,
) -> Result<(), StoreError> {
    if !can_sign(db, key.realm, key.alg, now)? {
        introduce(db, key, now)?;
    }
    Ok(())
}

fn can_sign(db: &mut Db, realm: Realm, alg: Algorithm, now: Instant) -> Result<bool, StoreError> {
    let can = |k: &StoredKey| {
        k.realm == realm && k.alg == alg && k.signs_until.is_none_or(|end| now < end)
    };
    Ok(signing_keys::published(db, now)?.iter().any(can))
}

#[cfg(test)]
mod tests;
