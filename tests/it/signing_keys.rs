//! Signing keys: what one signed is dead from its revocation on, and a rotation disturbs nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use onyx_auth::admin::keys;
use onyx_auth::app::App;
use onyx_auth::audit::Actor;
use onyx_auth::clock::Clock;
use onyx_auth::config::{Given, Settings};
use onyx_auth::domain::Algorithm;
use onyx_auth::domain::realm::Realm;
use onyx_auth::keys::provision;
use onyx_verifier::{Rejection, TokenFault, Verifier};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::proxy::Proxy;
use crate::support::world::{
    Answer, Credential, Engine, Operator, World, claims, header, postgres, worlds, worlds_with,
};

const AUDIENCE: &str = "https://orders.acme.example";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

async fn revoke(operator: &Operator<'_>, kid: &str) -> Answer {
    let path = format!("/keys/{kid}/revoke");
    operator.post(&path, json!({ "reason": "stolen" })).await
}

async fn published(world: &World, realm: &str) -> Vec<String> {
    let jwks = world.get(&format!("/{realm}/oauth2/jwks"), None).await;
    let jwks = jwks.expect(200);
    let kids = jwks["keys"].as_array().unwrap().iter();
    kids.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

async fn status(world: &World, token: &str) -> u16 {
    world.get("/sandbox/v1/me", Some(token)).await.status
}

/// Asks until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < deadline, "it never came that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A service with its credential, and a partner's client that holds a scope at it.
async fn service_and_client(world: &World) -> (Credential, Credential) {
    let operator = world.operator().await;
    let server = operator
        .resource_server("sandbox", AUDIENCE, &["stock:read"], "ES256")
        .await;
    let service = operator.issue(server["client_id"].as_str().unwrap()).await;
    let partner = operator.partner().await;
    operator
        .sandbox_grant(&partner, "stock:read", Some(AUDIENCE))
        .await;
    let client = operator.client(&partner, "sandbox", &["stock:read"]).await;
    (service, client)
}

#[actix_web::test]
async fn what_a_revoked_key_signed_is_refused_on_every_node_and_another_signs_at_once() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let old = world.token("sandbox", &who, &[]).await;
        let others = other.token("sandbox", &who, &[]).await;
        assert_eq!(status(&other, &old).await, 200);

        let revoked = revoke(&operator, &kid(&old)).await.expect(200);
        assert_eq!(
            (&revoked["kid"], &revoked["state"], &revoked["realm"]),
            (&json!(kid(&old)), &json!("revoked"), &json!("sandbox"))
        );
        for ended in ["signs_until", "published_until"] {
            assert_eq!(revoked[ended], revoked["revoked_at"], "{ended}");
        }
        // On this node from the answer on.
        let new = world.token("sandbox", &who, &[]).await;
        assert_ne!(kid(&new), kid(&old));
        assert_eq!(published(&world, "sandbox").await, [kid(&new)]);
        for token in [&old, &others] {
            assert_eq!(status(&world, token).await, 401);
        }
        assert_eq!(status(&world, &new).await, 200);
        // On the other as soon as it hears.
        until("the other node refuses", async || {
            status(&other, &old).await == 401
        })
        .await;
        assert_eq!(status(&other, &others).await, 401);
        assert_eq!(status(&other, &new).await, 200);
        assert_eq!(kid(&other.token("sandbox", &who, &[]).await), kid(&new));
        assert_eq!(published(&other, "sandbox").await, [kid(&new)]);

        // On record, with who signs now; and the feed says so to its realm alone.
        let record = world.lines(&format!(
            "SELECT action || ' ' || realm || ' ' || details AS line FROM audit_events WHERE target = '{}'",
            kid(&old)
        ));
        let details = json!({ "alg": "ES256", "reason": "stolen", "replaced_by": kid(&new) });
        assert_eq!(record, [format!("key.revoked sandbox {details}")]);
        let fed = "SELECT realm || ' ' || kind || ' ' || id AS line FROM revocations";
        assert_eq!(world.lines(fed), [format!("sandbox key {}", kid(&old))]);

        let again = revoke(&operator, &kid(&old)).await.problem();
        assert_snapshot!(again, @r#"
        409 illegal_transition: the key is revoked; from there: nothing
          state "revoked", allowed []
        "#);
        let unknown = revoke(&operator, "no-such-key").await.problem();
        assert_snapshot!(unknown, @"404 not_found: there is nothing at this path");
        let bare = operator
            .post(&format!("/keys/{}/revoke", kid(&new)), json!({}))
            .await
            .problem();
        assert_snapshot!(bare, @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason missing: must be there
        ");
        let puppet = operator.puppet(&["clients:read"]).await;
        assert_eq!(revoke(&puppet, &kid(&new)).await.status, 403);
    }
}

#[actix_web::test]
async fn a_revoked_key_never_comes_back() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut world = World::prepare(engine, &[]);
        std::fs::create_dir(world.path().join("keys")).unwrap();
        let pem = world.path().join("keys/sandbox.es256.pem");
        let made = std::process::Command::new("openssl")
            .args([
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-out",
            ])
            .arg(&pem)
            .status();
        assert!(made.unwrap().success());
        world.cli(&["operator", "bootstrap"]);
        world.start().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let old = world.token("sandbox", &who, &[]).await;
        // By the command line, which wants to be sure.
        let unsure = world.run(&["key", "revoke", &kid(&old), "--reason", "stolen"]);
        assert_eq!(unsure.status.code(), Some(2));
        assert_eq!(status(&world, &old).await, 200);
        let arguments = ["key", "revoke", &kid(&old), "--reason", "stolen", "--yes"];
        let told = world.cli(&[&arguments[..], &["--field", "state"]].concat());
        assert_eq!(told, "revoked");
        let second = world.run(&arguments);
        assert_eq!(second.status.code(), Some(1));
        let new = world.token("sandbox", &who, &[]).await;

        // The file is still there; and a realm that lost all its keys makes others.
        assert_eq!(world.terminate(), Some(0));
        world.start().await;
        assert!(
            world.log().contains("holds a key that was revoked"),
            "{}",
            world.log()
        );
        assert_eq!(published(&world, "sandbox").await, [kid(&new)]);
        assert_eq!(
            (status(&world, &old).await, status(&world, &new).await),
            (401, 200)
        );
        let renamed = world.path().join("keys/live.es256.pem");
        std::fs::rename(&pem, renamed).unwrap();
        world.kill();
        world.start().await;
        assert!(!published(&world, "live").await.contains(&kid(&old)));
        // Nor by hand: the database holds a key to its end.
        let alive = format!(
            "UPDATE signing_keys SET signs_until = NULL, published_until = NULL WHERE kid = '{}'",
            kid(&old)
        );
        world.try_execute(&alive).unwrap_err();
    }
}

#[actix_web::test]
async fn the_operators_own_key_can_be_revoked_and_his_token_dies_with_it() {
    for world in worlds().await {
        let operator = world.operator().await;
        let own = kid(&operator.token);
        assert_eq!(revoke(&operator, &own).await.expect(200)["realm"], "admin");
        assert_eq!(operator.get("/keys").await.status, 401);
        let again = world.operator().await;
        assert_ne!(kid(&again.token), own);
        let keys = again.get("/keys").await.expect(200);
        let signing = keys["data"].as_array().unwrap().iter();
        let signing: Vec<&Value> = signing.filter(|key| key["realm"] == "admin").collect();
        assert_eq!(signing.len(), 1);
        assert_eq!(
            (&signing[0]["kid"], &signing[0]["state"]),
            (&json!(kid(&again.token)), &json!("signing"))
        );
    }
}

#[actix_web::test]
async fn a_token_that_a_node_signs_with_a_revoked_key_before_it_hears_is_dead_on_arrival() {
    // Only over a network can news be held back.
    let mut worlds = worlds().await.into_iter();
    let world = worlds.find(|w| w.engine == Engine::Postgres).unwrap();
    let server = postgres();
    let address = server.split('@').nth(1).unwrap().split('/').next().unwrap();
    let proxy = Proxy::to(address);
    let through = world.database_url().replace(address, &proxy.address);
    let settings = [
        ("ONYX_DATABASE_URL", through.as_str()),
        ("ONYX_MAX_STALENESS", "60"),
    ];
    let deaf = world.neighbour_with(&settings).await;
    let who = world.sandbox_client(&["orders:read"]).await;
    deaf.token("sandbox", &who, &[]).await;
    // What made the client may be heard only now; from here on it is in memory to stay.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let old = kid(&deaf.token("sandbox", &who, &[]).await);
    let operator = world.operator().await;
    proxy.hold();
    let revoked = revoke(&operator, &old).await.expect(200);
    // The deaf node signs with the key that it knows; its record of the token waits for the network.
    let asked = async { deaf.token_answer("sandbox", &who, &[]).await };
    let released = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(published(&deaf, "sandbox").await, [old.as_str()]);
        proxy.release();
    };
    let (answer, ()) = join(asked, released).await;
    let answer = answer.expect(200);
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(kid(token), revoked["kid"].as_str().unwrap());
    assert_eq!(status(&world, token).await, 401);
    until("the deaf node signs with another", async || {
        kid(&deaf.token("sandbox", &who, &[]).await) != old
    })
    .await;
    assert_eq!(status(&deaf, token).await, 401);
}

#[actix_web::test]
async fn no_node_signs_with_a_revoked_key_once_it_has_counted_the_revocation_in() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        other.token("sandbox", &who, &[]).await;
        for seq in 1..=5 {
            let operator = world.operator().await;
            let old = kid(&world.token("sandbox", &who, &[]).await);
            let revoking = async { revoke(&operator, &old).await.expect(200) };
            let asking = async {
                let mut given = Vec::new();
                let mut after = 0;
                while after < 10 {
                    let four = (0..4).map(|_| other.token_answer("sandbox", &who, &[]));
                    for answer in join_all(four).await {
                        let answer = answer.expect(200);
                        let token = answer["access_token"].as_str().unwrap().to_owned();
                        after += u32::from(kid(&token) != old);
                        given.push(token);
                    }
                }
                given
            };
            let (_, given) = join(revoking, asking).await;
            for token in given {
                let rsn = claims(&token)["rsn"].as_i64().unwrap();
                assert!(
                    kid(&token) != old || rsn < seq,
                    "rsn {rsn}, revoked at {seq}"
                );
            }
        }
    }
}

#[actix_web::test]
async fn verifiers_refuse_a_revoked_key_at_once_with_the_feed_and_else_when_they_refresh() {
    for world in worlds().await {
        let (service, client) = service_and_client(&world).await;
        let asked = [("resource", AUDIENCE)];
        let old = world.token("sandbox", &client, &asked).await;
        let issuer = format!("{}/sandbox", world.setting("ONYX_BASE_URL"));
        let builder = Verifier::builder(issuer, AUDIENCE);
        let alone = builder.clone().connect().await.unwrap();
        let follows = builder.follow(&service.client_id, &service.secret);
        let follows = follows.connect().await.unwrap();
        for verifier in [&alone, &follows] {
            verifier.verify(&old).await.unwrap();
        }
        let operator = world.operator().await;
        revoke(&operator, &kid(&old)).await.expect(200);
        // Its own stream dies with the key, and is told why before.
        let revoked = Err(Rejection::InvalidToken(TokenFault::Revoked));
        until("the follower refuses", async || {
            let said = follows.verify(&old).await.map(drop);
            assert!(said == Ok(()) || said == revoked, "{said:?}");
            said == revoked
        })
        .await;
        let new = world.token("sandbox", &client, &asked).await;
        follows.verify(&new).await.unwrap();
        // Without the feed a key is good as long as it is cached; what brings it to refresh ends that.
        alone.verify(&old).await.unwrap();
        alone.verify(&new).await.unwrap();
        let unknown = Err(Rejection::InvalidToken(TokenFault::UnknownKey));
        assert_eq!(alone.verify(&old).await.map(drop), unknown);

        // It still follows, under a token of the new key.
        operator.revoke(&client.credential_id).await.expect(200);
        until("the follower hears on", async || {
            follows.verify(&new).await.map(drop) == revoked
        })
        .await;
        let introspected = world
            .request(Method::POST, "/sandbox/oauth2/introspect")
            .basic_auth(&service.client_id, Some(&service.secret))
            .form(&[("token", &old)]);
        let told = Answer::of(introspected.send().await.unwrap()).await;
        assert_eq!(told.line(), r#"200 {"active":false}"#);
    }
}

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
