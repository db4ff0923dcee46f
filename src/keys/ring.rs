//! The key ring: which key signs now, and which are published.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use onyx_verifier::JwkSet;

use super::master::MasterKey;
use super::sealed::{self, SealError};
use super::signer::{SignerError, SigningKey};
use crate::domain::Algorithm;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::store::signing_keys::StoredKey;

/// How long a JWKS may be cached, as its `Cache-Control` says.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);
/// How long a key is published before it signs: two rounds of every cache.
pub const PUBLISH_LEAD: Duration = Duration::from_secs(600);
/// How long a key stays published after its last signature: the longest token
/// lifetime, clocks that disagree by a minute, and one more round of every cache.
pub const PUBLISH_TAIL: Duration = Duration::from_secs(900 + 60 + 300);

/// A key with the times in which it signs and is published.
#[derive(Debug)]
pub struct RingKey {
    stored: StoredKey,
    signing: Arc<SigningKey>,
}

impl RingKey {
    /// The private half, for signing only.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Its name.
    pub fn kid(&self) -> &str {
        &self.stored.kid
    }

    fn has_begun(&self, now: Instant) -> bool {
        self.stored.signs_from <= now
    }

    /// What is stored is published: a node whose clock is behind the maker's shows it all the same.
    fn is_published_at(&self, now: Instant) -> bool {
        self.stored.published_until.is_none_or(|end| now < end)
    }
}

/// A stored key cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// It does not open.
    #[error("signing key {kid}: {cause}")]
    Sealed {
        /// Which.
        kid: String,
        /// Why.
        cause: SealError,
    },
    /// It opens, and is no key.
    #[error("signing key {kid}: {cause}")]
    Unusable {
        /// Which.
        kid: String,
        /// Why.
        cause: SignerError,
    },
}

/// All realms' keys, replaced as a whole when the database has others.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: ArcSwap<Vec<Arc<RingKey>>>,
    changing: Mutex<Changing>,
}

/// What whoever changes the ring must know, one at a time.
#[derive(Debug, Default)]
struct Changing {
    /// How often the ring was changed.
    epoch: u64,
    /// Keys that were revoked: what was read before that brings none of them back.
    withdrawn: BTreeSet<String>,
}

/// The state of the ring before a read of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

/// What came of keys that were offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They are held now.
    Over,
    /// They were held already.
    Before,
    /// The ring was changed since they were read: they may be older than what it holds.
    TooLate,
}

impl KeyRing {
    /// Takes over what the database holds. Keys that are held already are not parsed again.
    ///
    /// For whoever reads the database in order; others [`offer`](Self::offer).
    pub fn load(&self, master: &MasterKey, stored: Vec<StoredKey>) -> Result<Taken, RingError> {
        self.take(&mut self.changing(), master, stored)
    }

    /// To be noted before the database is read.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.changing().epoch)
    }

    /// Takes over what was read since an epoch, unless the ring was changed meanwhile.
    pub fn offer(
        &self,
        since: Epoch,
        master: &MasterKey,
        stored: Vec<StoredKey>,
    ) -> Result<Taken, RingError> {
        let mut changing = self.changing();
        if changing.epoch != since.0 {
            return Ok(Taken::TooLate);
        }
        self.take(&mut changing, master, stored)
    }

    /// Drops a revoked key for good: it signs nothing and is not published from here on.
    pub fn withdraw(&self, kid: &str) {
        let mut changing = self.changing();
        if !changing.withdrawn.insert(kid.to_owned()) {
            return;
        }
        changing.epoch += 1;
        let held = self.keys.load();
        let kept = held.iter().filter(|key| key.kid() != kid).cloned();
        self.keys.store(Arc::new(kept.collect()));
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(
        &self,
        changing: &mut Changing,
        master: &MasterKey,
        mut stored: Vec<StoredKey>,
    ) -> Result<Taken, RingError> {
        stored.retain(|row| !changing.withdrawn.contains(&row.kid));
        let held = self.keys.load();
        if held.iter().map(|key| &key.stored).eq(&stored) {
            return Ok(Taken::Before);
        }
        let keys = stored
            .into_iter()
            .map(|row| {
                let known = held.iter().find(|key| key.stored.kid == row.kid);
                match known {
                    Some(known) => Ok(Arc::new(RingKey {
                        signing: Arc::clone(&known.signing),
                        stored: row,
                    })),
                    None => unseal(master, row),
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        changing.epoch += 1;
        self.keys.store(Arc::new(keys));
        Ok(Taken::Over)
    }

    /// The key that signs for a realm and algorithm at a moment: the one that began last.
    ///
    /// Where none has begun, the one that will begin first: another node made it a moment
    /// ago, by a clock that is ahead of this one.
    pub fn signer(&self, realm: Realm, alg: Algorithm, now: Instant) -> Option<Arc<RingKey>> {
        let keys = self.keys.load();
        let fits = |key: &&Arc<RingKey>| {
            key.stored.realm == realm && key.stored.alg == alg && !key.stored.has_ended(now)
        };
        let begun = keys.iter().filter(fits).filter(|key| key.has_begun(now));
        let last = begun.max_by_key(|key| key.stored.signs_from);
        last.or_else(|| {
            keys.iter()
                .filter(fits)
                .min_by_key(|key| key.stored.signs_from)
        })
        .cloned()
    }

    /// A realm's public keys at a moment (RFC 7517 §5).
    pub fn jwks(&self, realm: Realm, now: Instant) -> JwkSet {
        let keys = self.keys.load();
        let published = keys
            .iter()
            .filter(|key| key.stored.realm == realm && key.is_published_at(now));
        JwkSet {
            keys: published.map(|key| key.signing.jwk().clone()).collect(),
        }
    }

    /// Since when the keys that sign at a moment do, for each realm and algorithm.
    pub fn signing(&self, now: Instant) -> Vec<(Realm, Algorithm, Instant)> {
        let kinds = Realm::ALL.iter().flat_map(|realm| {
            let algorithms = self.algorithms(*realm, now).into_iter();
            algorithms.map(|alg| (*realm, alg))
        });
        kinds
            .filter_map(|(realm, alg)| {
                let key = self.signer(realm, alg, now)?;
                Some((realm, alg, key.stored.signs_from))
            })
            .collect()
    }

    /// The algorithms that a realm can sign with at a moment, in order and without doubles.
    pub fn algorithms(&self, realm: Realm, now: Instant) -> Vec<Algorithm> {
        let keys = self.keys.load();
        let mut algs: Vec<_> = keys
            .iter()
            .filter(|k| k.stored.realm == realm && !k.stored.has_ended(now))
            .map(|k| k.stored.alg)
            .collect();
        algs.sort();
        algs.dedup();
        algs
    }
}

fn unseal(master: &MasterKey, stored: StoredKey) -> Result<Arc<RingKey>, RingError> {
    let private = sealed::open(master, &stored.kid, &stored.sealed_key).map_err(|cause| {
        RingError::Sealed {
            kid: stored.kid.clone(),
            cause,
        }
    })?;
    let signing =
        SigningKey::from_pkcs8(stored.alg, &private).map_err(|cause| RingError::Unusable {
            kid: stored.kid.clone(),
            cause,
        })?;
    Ok(Arc::new(RingKey {
        stored,
        signing: Arc::new(signing),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::master::tests::master;
    use super::super::{generate, provision};
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_epoch_seconds(1_800_000_000 + seconds)
    }

    fn key(alg: Algorithm, published_at: Instant, signs_from: Instant) -> StoredKey {
        let private = generate::pkcs8(alg).unwrap();
        let mut key = provision::stored(
            &master(1),
            Realm::Live,
            alg,
            &private,
            "generated",
            published_at,
        )
        .unwrap();
        key.signs_from = signs_from;
        key
    }

    #[test]
    fn a_rotated_key_is_published_before_it_signs_and_after_it_has_signed() {
        let mut old = key(Algorithm::Es256, at(0), at(0));
        let new = key(Algorithm::Es256, at(1000), at(1600));
        old.signs_until = Some(at(1600));
        old.published_until = Some(at(2860));
        let ring = KeyRing::default();
        ring.load(&master(1), vec![old.clone(), new.clone()])
            .unwrap();

        let signer = |s| {
            ring.signer(Realm::Live, Algorithm::Es256, at(s))
                .map(|k| k.kid().to_owned())
        };
        let published = |s| {
            ring.jwks(Realm::Live, at(s))
                .keys
                .into_iter()
                .map(|k| k.kid)
                .collect::<Vec<_>>()
        };
        assert_eq!(signer(999), Some(old.kid.clone()));
        assert_eq!(
            (signer(1599), published(1599)),
            (
                Some(old.kid.clone()),
                vec![old.kid.clone(), new.kid.clone()]
            )
        );
        assert_eq!(
            (signer(1600), published(1600)),
            (
                Some(new.kid.clone()),
                vec![old.kid.clone(), new.kid.clone()]
            )
        );
        assert_eq!(
            (signer(2860), published(2860)),
            (Some(new.kid.clone()), vec![new.kid])
        );
    }

    #[test]
    fn a_key_made_by_a_clock_ahead_of_ours_is_published_and_signs() {
        let made = key(Algorithm::Es256, at(5), at(5));
        let ring = KeyRing::default();
        ring.load(&master(1), vec![made.clone()]).unwrap();
        let signer = ring.signer(Realm::Live, Algorithm::Es256, at(0)).unwrap();
        assert_eq!(
            (signer.kid(), ring.jwks(Realm::Live, at(0)).keys.len()),
            (made.kid.as_str(), 1)
        );
    }

    #[test]
    fn a_realm_never_signs_or_publishes_with_anothers_key() {
        let ring = KeyRing::default();
        ring.load(&master(1), vec![key(Algorithm::EdDsa, at(0), at(0))])
            .unwrap();
        assert!(
            ring.signer(Realm::Sandbox, Algorithm::EdDsa, at(1))
                .is_none()
        );
        assert!(ring.jwks(Realm::Sandbox, at(1)).keys.is_empty());
        assert!(ring.signer(Realm::Live, Algorithm::Es256, at(1)).is_none());
    }

    #[test]
    fn a_key_under_another_master_key_is_an_error_and_the_ring_keeps_what_it_had() {
        let ring = KeyRing::default();
        let first = key(Algorithm::Es256, at(0), at(0));
        ring.load(&master(1), vec![first.clone()]).unwrap();
        assert!(
            ring.load(
                &master(2),
                vec![first.clone(), key(Algorithm::Es256, at(1), at(1))]
            )
            .is_err()
        );
        assert_eq!(ring.jwks(Realm::Live, at(2)).keys.len(), 1);
        let again = ring.load(&master(1), vec![first]).unwrap();
        assert_eq!(again, Taken::Before);
    }

    #[test]
    fn a_withdrawn_key_is_gone_and_no_row_that_was_read_before_brings_it_back() {
        let ring = KeyRing::default();
        let (old, new) = (
            key(Algorithm::Es256, at(0), at(0)),
            key(Algorithm::Es256, at(5), at(5)),
        );
        ring.load(&master(1), vec![old.clone()]).unwrap();
        // Somebody reads the database, and is slow.
        let before = ring.epoch();
        ring.withdraw(&old.kid);
        let signer = |s| ring.signer(Realm::Live, Algorithm::Es256, at(s));
        assert!(signer(1).is_none() && ring.jwks(Realm::Live, at(1)).keys.is_empty());
        let offered = ring.offer(before, &master(1), vec![old.clone()]).unwrap();
        assert_eq!(offered, Taken::TooLate);
        // A node whose clock is far behind reads rows that its clock knows nothing against.
        let both = vec![old.clone(), new.clone()];
        let offered = ring.offer(ring.epoch(), &master(1), both).unwrap();
        assert_eq!(offered, Taken::Over);
        for moment in [-300, 0, 5, 300] {
            assert_eq!(signer(moment).unwrap().kid(), new.kid);
            let published = ring.jwks(Realm::Live, at(moment)).keys;
            assert!(published.iter().all(|jwk| jwk.kid == new.kid));
        }
    }

    #[test]
    fn what_was_read_before_other_keys_came_is_not_taken_over_them() {
        let ring = KeyRing::default();
        let (first, second) = (
            key(Algorithm::Es256, at(0), at(0)),
            key(Algorithm::Es256, at(1), at(1)),
        );
        ring.load(&master(1), vec![first.clone()]).unwrap();
        let before = ring.epoch();
        ring.load(&master(1), vec![first.clone(), second.clone()])
            .unwrap();
        let offered = ring.offer(before, &master(1), vec![first]).unwrap();
        assert_eq!(offered, Taken::TooLate);
        let signer = ring.signer(Realm::Live, Algorithm::Es256, at(2)).unwrap();
        assert_eq!(signer.kid(), second.kid);
    }

    #[test]
    fn every_algorithm_signs_what_the_verifier_accepts() {
        for alg in Algorithm::ALL {
            let ring = KeyRing::default();
            ring.load(&master(1), vec![key(alg, at(0), at(0))]).unwrap();
            let signer = ring.signer(Realm::Live, alg, at(0)).unwrap();
            let claims = serde_json::json!({
                "iss": "https://i", "sub": "c", "client_id": "c", "aud": "https://a", "scope": "s",
                "iat": at(0).epoch_seconds(), "nbf": at(0).epoch_seconds(), "exp": at(60).epoch_seconds(), "jti": "j",
            });
            let token = signer.signing().sign_access_token(&claims).unwrap();
            let verifier = onyx_verifier::Verifier::builder("https://i", "https://a")
                .jwks(ring.jwks(Realm::Live, at(0)))
                .unwrap();
            let caller = verifier.verify_at(&token, at(1).epoch_seconds()).unwrap();
            assert_eq!(caller.client_id(), "c", "{alg}");
        }
    }
}
