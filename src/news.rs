//! What this process hears from the database, taken in in the one order that is safe.
//!
//! A token carries the number of the last revocation that was counted in before its request was
//! looked at. So what was revoked, a signing key also, must be out of use here before its revocation
//! is counted in: else a token that ought to be dead would carry a number that lets it live.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use onyx_verifier::Verifier;

use crate::clock::Clock;
use crate::directory::Hears;
use crate::domain::realm::Realm;
use crate::domain::revocation::RevocationKind;
use crate::keys::error::KeyError;
use crate::keys::ring::{Epoch, Taken};
use crate::keys::{KeyRing, MasterKey};
use crate::revocation::feed::Feed;
use crate::store::revocations::Numbered;
use crate::store::signing_keys::StoredKey;

/// Keys and revocations, and the process's own verifiers that go by them.
pub struct News {
    master: Arc<MasterKey>,
    ring: Arc<KeyRing>,
    feed: Arc<Feed>,
    verifiers: BTreeMap<Realm, Verifier>,
    clock: Clock,
    /// Held from a change of the ring until the verifiers have followed.
    following: Mutex<()>,
}

impl News {
    /// For a ring that holds keys already, and the verifiers that go by it.
    pub fn new(
        master: Arc<MasterKey>,
        ring: Arc<KeyRing>,
        feed: Arc<Feed>,
        verifiers: BTreeMap<Realm, Verifier>,
        clock: Clock,
    ) -> Self {
        Self {
            master,
            ring,
            feed,
            verifiers,
            clock,
            following: Mutex::new(()),
        }
    }

    /// What verifies tokens for a realm's own API.
    pub fn verifier(&self, realm: Realm) -> Option<&Verifier> {
        self.verifiers.get(&realm)
    }

    /// Takes over keys that were read since an epoch of the ring. `false`: the ring was changed
    /// meanwhile, and they must be read again.
    pub fn offer_keys(&self, since: Epoch, published: Vec<StoredKey>) -> Result<bool, KeyError> {
        let taken = self.change_ring(|ring| ring.offer(since, &self.master, published));
        Ok(taken? != Taken::TooLate)
    }

    fn change_ring<T>(&self, change: impl FnOnce(&KeyRing) -> T) -> T {
        let _one_at_a_time = self
            .following
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.ring.epoch();
        let done = change(&self.ring);
        if self.ring.epoch() != before {
            self.follow();
        }
        done
    }

    /// Has the process's own verifiers accept what the ring publishes.
    fn follow(&self) {
        let now = self.clock.now();
        for (realm, verifier) in &self.verifiers {
            // A realm without any key is between two: what was revoked is refused by name.
            if let Err(error) = verifier.replace_jwks(self.ring.jwks(*realm, now)) {
                log::warn!("the keys of {realm} cannot be taken over: {error}");
            }
        }
    }
}

impl Hears for News {
    fn hear_keys(&self, published: Vec<StoredKey>) {
        let taken = self.change_ring(|ring| ring.load(&self.master, published));
        if let Err(error) = taken {
            log::error!("signing keys could not be taken over: {error}");
        }
    }

    fn hear(&self, revoked: Vec<Numbered>, upto: i64, purged: i64) {
        // Also where the keys could not be taken over, or were read by a clock that is behind.
        for key in revoked.iter().filter(|one| one.kind == RevocationKind::Key) {
            self.change_ring(|ring| ring.withdraw(&key.id));
        }
        self.feed.hear(revoked, upto, purged);
    }

    fn held(&self) -> Vec<Numbered> {
        self.feed.held()
    }
}
