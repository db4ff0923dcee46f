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
/// The first key of a realm and algorithm signs at once: no verifier can hold a
/// token or a key set that it would surprise. A later one is published for
/// [`PUBLISH_LEAD`] first, and the old one stays for [`PUBLISH_TAIL`] after.
pub fn introduce(
    db: &mut Change<'_>,
    mut key: StoredKey,
    now: Instant,
) -> Result<StoredKey, StoreError> {
    let is_first = !signing_keys::published(db, now)?
        .iter()
        .any(|k| k.realm == key.realm && k.alg == key.alg);
    key.published_at = now;
    key.signs_from = if is_first {
        now
    } else {
        now.plus(PUBLISH_LEAD)
    };
    signing_keys::insert(db, &key)?;
    db.touch(Subject::Keys);
    signing_keys::supersede(db, &key, key.signs_from.plus(PUBLISH_TAIL))?;
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
