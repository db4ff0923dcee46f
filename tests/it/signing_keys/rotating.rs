//! One key follows another.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use onyx_auth::admin::keys;
use onyx_auth::app::App;
use onyx_auth::audit::Actor;
use onyx_auth::clock::Clock;
use onyx_auth::config::{Given, Settings};
use onyx_auth::domain::Algorithm;
use onyx_auth::domain::realm::Realm;
use onyx_auth::keys::provision;
use onyx_verifier::Verifier;
use serde_json::Value;

use super::{AUDIENCE, DAY, kid, published, service_and_client, until};
use crate::support::world::{Engine, World, worlds, worlds_with};

/// What `onyx-auth key rotate` tells of a new key.
fn rotate(world: &World) -> Value {
    let told = world.cli(&["key", "rotate", "--realm", "sandbox", "--json"]);
    serde_json::from_str(&told).unwrap()
}

/// Ages the keys of the sandbox, as time would.
fn age(world: &World, by: Duration) {
    let seconds = by.as_secs();
    for column in [
        "published_at",
        "signs_from",
        "signs_until",
        "published_until",
    ] {
        world.execute(&match world.engine {
            Engine::Sqlite => format!(
                "UPDATE signing_keys SET {column} = strftime('%Y-%m-%d %H:%M:%f', {column}, '-{seconds} seconds') \
                 WHERE realm = 'sandbox' AND {column} IS NOT NULL"
            ),
            Engine::Postgres => format!(
                "UPDATE signing_keys SET {column} = {column} - interval '{seconds} seconds' \
                 WHERE realm = 'sandbox'"
            ),
        });
    }
}

#[actix_web::test]
async fn a_rotation_makes_no_verifier_refuse_a_valid_token() {
    for mut world in worlds().await {
        let (_, client) = service_and_client(&world).await;
        let asked = [("resource", AUDIENCE)];
        let issuer = format!("{}/sandbox", world.setting("ONYX_BASE_URL"));
        let connect = || Verifier::builder(issuer.clone(), AUDIENCE).connect();
        let before = connect().await.unwrap();
        let old = world.token("sandbox", &client, &asked).await;
        let rotated = rotate(&world);
        assert_eq!(rotated["state"], "published");
        // Who has the keys of before verifies what is signed while the new one is only published.
        let meanwhile = world.token("sandbox", &client, &asked).await;
        assert_eq!(kid(&meanwhile), kid(&old));
        let after = connect().await.unwrap();
        for token in [&old, &meanwhile] {
            before.verify(token).await.unwrap();
            after.verify(token).await.unwrap();
        }
        // Its time comes, after every cache has turned over.
        world.kill();
        age(&world, Duration::from_secs(601));
        world.start().await;
        let new = world.token("sandbox", &client, &asked).await;
        assert_eq!(kid(&new), rotated["kid"].as_str().unwrap());
        let later = connect().await.unwrap();
        let now = chrono::Utc::now().timestamp();
        for token in [&old, &meanwhile, &new] {
            // With the keys at hand: nobody is asked again.
            after.verify_at(token, now).unwrap();
            later.verify_at(token, now).unwrap();
        }
    }
}

#[actix_web::test]
async fn an_old_key_gets_a_successor_by_itself_once_on_however_many_nodes() {
    let settings = [("ONYX_KEY_ROTATION_DAYS", "30")];
    for mut world in worlds_with(&settings).await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let old = kid(&world.token("sandbox", &who, &[]).await);
        assert_eq!(published(&world, "sandbox").await.len(), 1);
        world.kill();
        age(&world, 31 * DAY);
        // A node that must not, two that may, and it must happen once.
        world.set("ONYX_KEY_ROTATION_DAYS", "0");
        world.start().await;
        let (one, two) = join(
            world.neighbour_with(&settings),
            world.neighbour_with(&settings),
        )
        .await;
        until("the key has a successor", async || {
            published(&world, "sandbox").await.len() == 2
        })
        .await;
        let by = world.lines(
            "SELECT actor || ' ' || realm AS line FROM audit_events WHERE action = 'key.rotated'",
        );
        assert_eq!(by, ["policy sandbox"]);
        for node in [&world, &one, &two] {
            until("every node publishes both", async || {
                published(node, "sandbox").await.len() == 2
            })
            .await;
            assert_eq!(kid(&node.token("sandbox", &who, &[]).await), old);
        }
        assert_eq!(published(&world, "live").await.len(), 1, "its key is young");
    }
}

/// A node in this process, with a clock of its own.
fn node(world: &World, clock: Clock) -> Arc<App> {
    let database = match world.engine {
        Engine::Sqlite => format!("sqlite://{}/data/onyx.db", world.path().display()),
        Engine::Postgres => world.database_url(),
    };
    let keys = world.path().join("keys").display().to_string();
    let env = [("ONYX_DATABASE_URL", database), ("ONYX_KEYS_DIR", keys)];
    let given = Given {
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Given::default()
    };
    App::build(Settings::load(&given).unwrap(), clock).unwrap()
}

/// A clock that is off by as many seconds as the number says.
fn clock(off: &Arc<AtomicI64>) -> Clock {
    let (system, off) = (Clock::system(), Arc::clone(off));
    Clock::from_fn(move || {
        let off = off.load(Ordering::SeqCst);
        let by = Duration::from_secs(off.unsigned_abs());
        let now = system.now();
        if off < 0 { now.minus(by) } else { now.plus(by) }
    })
}

#[actix_web::test]
async fn a_wrong_clock_keeps_no_revoked_key_in_use() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let world = World::prepare(engine, &[]);
        world.cli(&["migrate"]);
        let right = node(&world, Clock::system());
        let wrong = [-600, -60, 60, 600].map(|off| node(&world, clock(&Arc::new(off.into()))));
        let (realm, alg) = (Realm::Sandbox, Algorithm::Es256);
        for _ in 0..3 {
            let now = right.clock.now();
            let old = right.ring.signer(realm, alg, now).unwrap();
            let fresh = provision::fresh(&right.master, realm, alg, now).unwrap();
            let revoked = old.kid().to_owned();
            right
                .carry_out(Actor::host(), move |db, act| {
                    keys::revoke(db, act, &revoked, "stolen", fresh)
                })
                .await
                .unwrap();
            let counted = right.feed.applied();
            for node in [&right].into_iter().chain(&wrong) {
                // Whoever has counted it in has dropped the key, whatever its clock says.
                node.feed.reaches(counted).await;
                let signer = node.ring.signer(realm, alg, node.clock.now()).unwrap();
                assert_ne!(signer.kid(), old.kid());
                let published = node.ring.jwks(realm, node.clock.now()).keys;
                assert!(published.iter().all(|jwk| jwk.kid != old.kid()));
            }
        }
    }
}

#[actix_web::test]
async fn of_nodes_that_rotate_at_once_one_does() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let world = World::prepare(engine, &[]);
        world.cli(&["migrate"]);
        let off = Arc::new(AtomicI64::new(0));
        let nodes = [(); 3].map(|()| node(&world, clock(&off)));
        for round in 1..=3 {
            off.fetch_add(i64::try_from(31 * DAY.as_secs()).unwrap(), Ordering::SeqCst);
            let rotations = nodes.iter().map(|node| async {
                let now = node.clock.now();
                let fresh = provision::fresh(&node.master, Realm::Live, Algorithm::Es256, now);
                let fresh = fresh.unwrap();
                let rotated = node.carry_out(Actor::policy(), move |db, act| {
                    keys::rotate_due(db, act, fresh, 30 * DAY)
                });
                rotated.await.unwrap()
            });
            let rotated = join_all(rotations).await;
            assert_eq!(rotated.iter().flatten().count(), 1, "round {round}");
        }
    }
}
