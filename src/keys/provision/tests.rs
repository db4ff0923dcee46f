//! Keys rotated and revoked at random moments, by nodes and verifiers whose clocks and caches differ.

use std::collections::BTreeSet;
use std::time::Duration;

use onyx_verifier::{Rejection, TokenFault, Verifier};
use proptest::prelude::*;

use super::super::master::tests::master;
use super::super::ring::{JWKS_MAX_AGE, KeyRing};
use super::*;
use crate::store::Store;

/// The longest that a token lives, in seconds.
const TOKEN: i64 = 900;
/// How far a node's clock may be off, in seconds.
const SKEW: i64 = 60;
/// How much time passes in a story, in seconds.
const STORY: i64 = 8_000;

fn at(seconds: i64) -> Instant {
    Instant::from_epoch_seconds(1_800_000_000 + seconds)
}

fn made(now: Instant) -> StoredKey {
    fresh(&master(1), Realm::Live, Algorithm::Es256, now).unwrap()
}

/// What an operator, or the schedule, does with keys.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Rotate,
    /// Rotates if the key that signs is so old, in seconds.
    RotateIfDue(u64),
    /// Revokes the key that signs.
    RevokeSigner,
    /// Revokes a key that is published and does not sign yet.
    RevokeWaiting,
}

/// The keys of a realm, with all that they were.
struct History {
    _folder: tempfile::TempDir,
    store: Store,
    /// What nodes held from a moment on.
    held: Vec<(i64, KeyRing)>,
    revoked: BTreeSet<String>,
    /// When a key was revoked that had signed.
    emergencies: Vec<i64>,
}

impl History {
    fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite://{}/onyx.db", folder.path().display())).unwrap();
        store.migrate().unwrap();
        let mut history = Self {
            _folder: folder,
            store,
            held: Vec::new(),
            revoked: BTreeSet::new(),
            emergencies: Vec::new(),
        };
        history.change(0, |db| {
            ensure(db, &master(1), Realm::Live, Algorithm::Es256, at(0)).unwrap()
        });
        history
    }

    fn change(&mut self, moment: i64, work: impl FnOnce(&mut Change<'_>)) {
        let keys = self.store.alone(at(moment), |db| {
            work(db);
            signing_keys::published(db, at(moment))
        });
        let ring = KeyRing::default();
        ring.load(&master(1), keys.unwrap()).unwrap();
        self.held.push((moment, ring));
    }

    /// Does something by a clock that is off.
    fn act(&mut self, moment: i64, skew: i64, deed: Deed) {
        let now = at(moment + skew);
        match deed {
            Deed::Rotate => self.change(moment, |db| {
                introduce(db, made(now), now).unwrap();
            }),
            Deed::RotateIfDue(age) => self.change(moment, |db| {
                let since = now.minus(Duration::from_secs(age));
                succeed(db, made(now), since, now).unwrap();
            }),
            Deed::RevokeSigner => {
                let signer = self.ring(moment).signer(Realm::Live, Algorithm::Es256, now);
                self.emergencies.push(moment);
                self.revoke(moment, now, signer.unwrap().kid());
            }
            Deed::RevokeWaiting => {
                let waiting = self.published(moment).into_iter().find(|key| {
                    // By every clock.
                    key.signs_from > at(moment + SKEW) && !key.has_ended(at(moment - SKEW))
                });
                if let Some(waiting) = waiting {
                    self.revoke(moment, now, &waiting.kid);
                }
            }
        }
    }

    fn revoke(&mut self, moment: i64, now: Instant, kid: &str) {
        self.revoked.insert(kid.to_owned());
        self.change(moment, |db| {
            let before = signing_keys::find(db, kid).unwrap().unwrap();
            assert!(signing_keys::revoke(db, kid, now).unwrap());
            assert!(!signing_keys::revoke(db, kid, now).unwrap(), "twice");
            replace(db, &before, made(now), now).unwrap();
        });
    }

    fn published(&self, moment: i64) -> Vec<StoredKey> {
        let published = |db: &mut Change<'_>| signing_keys::published(db, at(moment));
        self.store.alone(at(moment), published).unwrap()
    }

    /// What a node holds at a moment.
    fn ring(&self, moment: i64) -> &KeyRing {
        let held = self.held.iter().rev().find(|(from, _)| *from <= moment);
        &held.unwrap().1
    }
}

/// A token, issued and verified: when, after how long with keys fetched how long before, and how
/// far the clocks of the node that signs and of the node that publishes are off.
#[derive(Clone, Copy, Debug)]
struct Use {
    issued: i64,
    age: i64,
    cached: i64,
    signer_skew: i64,
    publisher_skew: i64,
}

fn a_use() -> impl Strategy<Value = Use> {
    let max_age = i64::try_from(JWKS_MAX_AGE.as_secs()).unwrap();
    let skew = || -SKEW..=SKEW;
    (0..STORY, 0..TOKEN, 0..=max_age, skew(), skew()).prop_map(
        |(issued, age, cached, signer_skew, publisher_skew)| Use {
            issued,
            age,
            cached,
            signer_skew,
            publisher_skew,
        },
    )
}

fn deeds(revokes: bool) -> impl Strategy<Value = Vec<(i64, i64, Deed)>> {
    let quiet = prop_oneof![
        3 => Just(Deed::Rotate),
        2 => (0u64..2_000).prop_map(Deed::RotateIfDue),
        1 => Just(Deed::RevokeWaiting),
    ];
    let deed = if revokes {
        prop_oneof![1 => quiet, 1 => Just(Deed::RevokeSigner)].boxed()
    } else {
        quiet.boxed()
    };
    let one = (1..STORY, -SKEW..=SKEW, deed);
    prop::collection::vec(one, 0..8).prop_map(|mut deeds| {
        deeds.sort_by_key(|(moment, ..)| *moment);
        deeds
    })
}

fn told(deeds: &[(i64, i64, Deed)]) -> History {
    let mut history = History::begin();
    for (moment, skew, deed) in deeds {
        history.act(*moment, *skew, *deed);
    }
    history
}

/// Signs a token by one node, and verifies it with keys that another node published before.
fn verify(history: &History, one: Use) -> Result<(), Rejection> {
    let by_signer = at(one.issued + one.signer_skew);
    let signer = history
        .ring(one.issued)
        .signer(Realm::Live, Algorithm::Es256, by_signer)
        .unwrap();
    let iat = by_signer.epoch_seconds();
    let claims = serde_json::json!({
        "iss": "https://i", "sub": "c", "client_id": "c", "aud": "https://a", "scope": "s",
        "iat": iat, "nbf": iat, "exp": iat + TOKEN, "jti": "j",
    });
    let token = signer.signing().sign_access_token(&claims).unwrap();
    let fetched = (one.issued + one.age - one.cached).max(0);
    let jwks = history
        .ring(fetched)
        .jwks(Realm::Live, at(fetched + one.publisher_skew));
    let verifier = Verifier::builder("https://i", "https://a").jwks(jwks);
    let verdict = verifier.unwrap().verify_at(&token, iat + one.age);
    verdict.map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_rotation_makes_a_verifier_with_cached_keys_refuse_a_valid_token(
        deeds in deeds(false),
        uses in prop::collection::vec(a_use(), 150),
    ) {
        let history = told(&deeds);
        for one in uses {
            prop_assert_eq!(verify(&history, one), Ok(()), "{:?} after {:?}", one, &deeds);
        }
    }

    #[test]
    fn a_revoked_key_signs_and_is_published_nowhere_and_somebody_always_signs(
        deeds in deeds(true),
        moments in prop::collection::vec((0..STORY, -10 * SKEW..=10 * SKEW), 150),
        uses in prop::collection::vec(a_use(), 50),
    ) {
        let history = told(&deeds);
        let (_, ring) = history.held.last().unwrap();
        let end = deeds.last().map_or(0, |(moment, ..)| *moment);
        for (later, skew) in moments {
            let now = at(end + later + skew);
            let signer = ring.signer(Realm::Live, Algorithm::Es256, now);
            prop_assert!(signer.is_some_and(|key| !history.revoked.contains(key.kid())));
            let published = ring.jwks(Realm::Live, now).keys;
            prop_assert!(published.iter().all(|jwk| !history.revoked.contains(&jwk.kid)));
        }
        // Away from emergencies nothing valid is refused; around one, what is refused has a key
        // that is not known.
        for one in uses {
            let (from, to) = (one.issued - 2 * SKEW - 300, one.issued + one.age);
            let disturbed = history.emergencies.iter().any(|at| (from..=to).contains(at));
            match verify(&history, one) {
                Ok(()) => {}
                Err(refused) => {
                    prop_assert!(disturbed, "{:?} after {:?}: {:?}", one, &deeds, refused);
                    prop_assert_eq!(refused, TokenFault::UnknownKey.into());
                }
            }
        }
    }
}

#[test]
fn of_two_nodes_that_bring_a_successor_each_one_is_taken() {
    let mut history = History::begin();
    let day = Duration::from_secs(24 * 3600);
    for (moment, expected) in [(3_600, [false, false]), (90_000, [true, false])] {
        let mut taken = Vec::new();
        history.change(moment, |db| {
            let now = at(moment);
            for key in [made(now), made(now)] {
                let stored = succeed(db, key, now.minus(day), now).unwrap();
                taken.push(stored.is_some());
            }
        });
        assert_eq!(taken, expected);
    }
    assert_eq!(history.published(90_000).len(), 2);
}

#[test]
fn the_successor_of_a_revoked_key_is_the_one_that_was_to_follow_or_a_fresh_one() {
    let mut history = History::begin();
    let first = history.published(0).remove(0);
    history.act(1_000, 0, Deed::Rotate);
    let second = history.published(1_000).remove(1);
    // What waits and was seen by caches signs at once.
    history.revoke(1_100, at(1_100), &first.kid);
    let keys = history.published(1_100);
    assert_eq!((keys.len(), &keys[0].kid), (1, &second.kid));
    assert_eq!((keys[0].signs_from, keys[0].signs_until), (at(1_100), None));
    // Nobody waits: a fresh one.
    history.revoke(1_200, at(1_200), &second.kid);
    let third = history.published(1_200).remove(0);
    assert_eq!(
        (third.signs_from, third.published_at),
        (at(1_200), at(1_200))
    );
    // One that waits is revoked: who signs goes on until another is known.
    history.act(2_000, 0, Deed::Rotate);
    let fourth = history.published(2_000).remove(1);
    history.revoke(2_100, at(2_100), &fourth.kid);
    let keys = history.published(2_100);
    assert_eq!(keys.len(), 2);
    assert_eq!(
        (&keys[0].kid, keys[0].signs_until, keys[1].signs_from),
        (&third.kid, Some(at(2_700)), at(2_100).plus(PUBLISH_LEAD))
    );
    // One whose time was over is in nobody's way, and comes back in no disguise.
    history.revoke(3_000, at(3_000), &third.kid);
    let left = history.published(3_000);
    assert_eq!((left.len(), &left[0].kid), (1, &keys[1].kid));
    history.change(3_100, |db| {
        let again = signing_keys::insert(db, &third);
        assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    });
}
