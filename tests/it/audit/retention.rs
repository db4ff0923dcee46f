//! What is kept no longer, by the functions that the worker calls: what remains still verifies.
//!
//! Time is an argument there; the real server's cannot be moved.

use std::sync::Arc;
use std::time::Duration;

use onyx_auth::audit::export::Export;
use onyx_auth::audit::retain::{self, Step};
use onyx_auth::audit::sequence::{Batch, Tree, extend};
use onyx_auth::audit::verify::{Verdict, Verification};
use onyx_auth::audit::{self, Action, Actor, Deed};
use onyx_auth::domain::instant::Instant;
use onyx_auth::keys::{AuditKeys, MasterKey};
use onyx_auth::store::{Db, Store, StoreError, audit_events};

use crate::support::world::{Engine, World};

/// A trail without a server.
struct Trail {
    store: Store,
    keys: Arc<AuditKeys>,
    world: World,
}

fn trails() -> impl Iterator<Item = Trail> {
    [Engine::Sqlite, Engine::Postgres]
        .into_iter()
        .map(|engine| {
            let world = World::prepare(engine, &[]);
            world.cli(&["migrate"]);
            let url = match engine {
                Engine::Sqlite => format!("sqlite://{}/data/onyx.db", world.path().display()),
                Engine::Postgres => world.database_url(),
            };
            let master = MasterKey::parse(format!("{}=", "A".repeat(43)).as_bytes());
            Trail {
                store: Store::open(&url).unwrap(),
                keys: Arc::clone(master.unwrap().audit()),
                world,
            }
        })
}

fn day(day: u64) -> Instant {
    Instant::from_epoch_seconds(1_800_000_000).plus(Duration::from_secs(day * 24 * 3600))
}

impl Trail {
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Db, &Arc<AuditKeys>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        let keys = Arc::clone(&self.keys);
        self.store.write(move |db| work(db, &keys)).await.unwrap()
    }

    /// Events of a day, with addresses.
    async fn happens(&self, on: u64, count: usize) {
        self.write(move |db, keys| {
            let actor = Actor::host().within(None, Some("192.0.2.9".to_owned()));
            for _ in 0..count {
                audit::record(
                    db,
                    keys,
                    &actor,
                    Deed::new(Action::KeyRotated, "k"),
                    day(on),
                )?;
            }
            Ok(())
        })
        .await;
    }

    /// Gives what waits its place.
    async fn sequence(&self, on: u64) -> u64 {
        let keys = Arc::clone(&self.keys);
        let extended = self.store.write(move |db| {
            let tree = Tree::read(db, &keys)?;
            let batch = Batch::of(&keys, &audit_events::pending(db, "", 1000)?);
            assert!(!batch.has_forged());
            extend(db, &keys, "here", &tree, &batch, day(on))
        });
        extended.await.unwrap().unwrap().size()
    }

    /// One step of deletion.
    async fn delete(&self, on: u64, before: u64) -> Step {
        self.write(move |db, keys| retain::delete_events(db, keys, day(before), 100, day(on)))
            .await
    }

    async fn verify(&self) -> Verdict {
        self.write(|db, keys| {
            let mut check = Verification::new(Some(keys.verifier()), None).unwrap();
            let mut export = Export::begin(db, keys)?;
            while let Some(text) = export.more(db)? {
                text.lines().for_each(|line| check.line(line).unwrap());
            }
            Ok(check.finish().unwrap())
        })
        .await
    }
}

#[actix_web::test]
async fn addresses_go_with_their_salts_and_every_leaf_still_verifies() {
    for trail in trails() {
        trail.happens(0, 5).await;
        trail.happens(20, 3).await;
        trail.sequence(20).await;
        let dropped = trail
            .write(|db, _| audit_events::drop_addresses(db, day(10), 2))
            .await;
        assert_eq!(dropped, 2);
        let mut all = dropped;
        while let more @ 1.. = trail
            .write(|db, _| audit_events::drop_addresses(db, day(10), 2))
            .await
        {
            all += more;
        }
        assert_eq!(all, 5);
        let counts = "SELECT CAST(COUNT(source_ip) AS TEXT) || ' ' || COUNT(source_ip_salt) || ' ' || COUNT(source_ip_commitment) AS line FROM audit_events";
        assert_eq!(trail.world.lines(counts), ["3 3 8"]);
        let verdict = trail.verify().await;
        assert!(verdict.faults.is_empty(), "{verdict:?}");
        assert_eq!((verdict.events, verdict.deleted), (8, 0));
    }
}

#[actix_web::test]
async fn rows_go_only_as_a_signed_event_says_and_exactly_those() {
    for trail in trails() {
        trail.happens(0, 130).await;
        trail.happens(390, 4).await;
        trail.sequence(390).await;
        assert_eq!(trail.delete(400, 1).await, Step::Announced);
        // Not before the record has its place.
        assert_eq!(trail.delete(400, 1).await, Step::Nothing);
        assert_eq!(trail.sequence(400).await, 135);
        assert_eq!(trail.delete(400, 1).await, Step::Deleted(100));
        assert_eq!(trail.delete(400, 1).await, Step::Announced);
        trail.sequence(400).await;
        assert_eq!(trail.delete(400, 1).await, Step::Deleted(30));
        assert_eq!(trail.delete(400, 1).await, Step::Nothing);
        let verdict = trail.verify().await;
        assert!(verdict.faults.is_empty(), "{verdict:?}");
        assert_eq!((verdict.events, verdict.deleted), (6, 130));
        // The fence lets no other row go.
        let refused = trail
            .world
            .try_execute("DELETE FROM audit_events WHERE leaf_index = 131");
        assert!(refused.unwrap_err().contains("stay"));
        // With the fence taken down, one row more is one too many.
        trail
            .world
            .execute("UPDATE sequences SET value = 132 WHERE name = 'audit_kept_from'");
        trail
            .world
            .execute("DELETE FROM audit_events WHERE leaf_index = 131");
        let verdict = trail.verify().await;
        assert_eq!(verdict.faults.len(), 1);
        assert!(
            verdict.faults[0]
                .what
                .contains("the event of leaf 131 is missing"),
            "{verdict:?}"
        );
        // A forged record of a deletion is none.
        trail.world.execute(
            "INSERT INTO audit_events (id, at, actor, action, target, outcome, details) VALUES \
             ('aud_7ZZZZZZZZZZZZZZZZZZZZZZZZZ', '2030-01-01 00:00:00', 'policy', 'audit.events_deleted', 'audit_log', 'done', '{\"kept_from\":134}')",
        );
        assert_eq!(trail.delete(401, 1).await, Step::Nothing);
        let verdict = trail.verify().await;
        assert!(
            verdict.faults[0]
                .what
                .contains("the event of leaf 131 is missing"),
            "{verdict:?}"
        );
    }
}

#[actix_web::test]
async fn retention_covers_for_nobody_who_deleted_a_row_or_made_it_look_old() {
    for trail in trails() {
        trail.happens(300, 5).await;
        trail.sequence(300).await;
        trail.world.take_down_the_audit_fence();
        trail
            .world
            .execute("UPDATE audit_events SET at = '2001-01-01 00:00:00' WHERE leaf_index < 2");
        assert_eq!(trail.delete(301, 1).await, Step::Nothing);
        trail
            .world
            .execute("DELETE FROM audit_events WHERE leaf_index < 2");
        assert_eq!(trail.delete(301, 301).await, Step::Nothing);
        let verdict = trail.verify().await;
        assert!(
            verdict.faults[0].what.contains("leaves 0 to 1 are missing"),
            "{verdict:?}"
        );
    }
}

#[actix_web::test]
async fn an_event_that_is_committed_late_gets_its_place_all_the_same() {
    for trail in trails() {
        trail.happens(5, 3).await;
        trail.sequence(5).await;
        // Its id is older than all that have their places.
        trail.happens(1, 1).await;
        assert_eq!(trail.sequence(5).await, 4);
        let order = trail
            .world
            .lines("SELECT CAST(leaf_index AS TEXT) AS line FROM audit_events ORDER BY id");
        assert_eq!(order, ["3", "0", "1", "2"]);
        assert!(trail.verify().await.faults.is_empty());
    }
}

#[actix_web::test]
async fn one_node_at_a_time_gives_places_and_the_other_finds_that_it_did() {
    for trail in trails() {
        trail.happens(0, 2).await;
        let keys = Arc::clone(&trail.keys);
        let done = trail.store.write(move |db| {
            let tree = Tree::read(db, &keys)?;
            let batch = Batch::of(&keys, &audit_events::pending(db, "", 10)?);
            let first = extend(db, &keys, "one", &tree, &batch, day(0))?;
            assert_eq!(first.map(|tree| tree.size()), Some(2));
            // While the first holds the lease.
            assert!(extend(db, &keys, "two", &tree, &batch, day(0))?.is_none());
            // When it is over: what the second knew is not what there is.
            assert!(extend(db, &keys, "two", &tree, &batch, day(1))?.is_none());
            let again = tree.read_again(db, &keys)?;
            assert_eq!(again.size(), 2);
            Ok::<_, audit::sequence::TreeError>(())
        });
        done.await.unwrap();
        assert!(trail.verify().await.faults.is_empty());
    }
}

#[actix_web::test]
async fn events_from_before_the_audit_log_are_taken_into_it_once() {
    for trail in trails() {
        let insert = |id: &str| {
            trail.world.execute(&format!(
                "INSERT INTO audit_events (id, at, actor, action, target, outcome, source_ip, details) VALUES \
                 ('{id}', '2026-01-01 00:00:00', 'host', 'key.rotated', 'k', 'done', '192.0.2.1', '{{}}')"
            ));
        };
        insert("aud_01K2ZJ6V9D3M5K7N2R4T6W8Y0A");
        trail.write(|db, keys| audit::adopt(db, keys)).await;
        trail.happens(0, 1).await;
        assert_eq!(trail.sequence(0).await, 2);
        // Whoever forges a row later finds the door shut, also where the mark is gone.
        insert("aud_01K2ZJ6V9D3M5K7N2R4T6W8Y0B");
        trail
            .world
            .execute("DELETE FROM instance WHERE name = 'audit_trail_adopted'");
        trail.write(|db, keys| audit::adopt(db, keys)).await;
        let verdict = trail.verify().await;
        assert_eq!((verdict.events, verdict.pending), (2, 1));
        assert_eq!(verdict.faults.len(), 1);
        let what = &verdict.faults[0].what;
        assert!(
            what.starts_with("aud_01K2ZJ6V9D3M5K7N2R4T6W8Y0B waits for its place"),
            "{what}"
        );
    }
}
