//! What a revoked key signed is refused, and it signs nothing more.

use std::time::Duration;

use futures_util::future::{join, join_all};
use onyx_verifier::{Rejection, TokenFault, Verifier};
use reqwest::Method;
use serde_json::{Value, json};

use super::{AUDIENCE, kid, published, revoke, service_and_client, status, until};
use crate::support::assert_snapshot;
use crate::support::proxy::Proxy;
use crate::support::world::{Answer, Engine, World, claims, postgres, worlds};

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
        // An id that begins with a hyphen is asked for, not taken for an option.
        for unknown in ["-1vlc44NzUwJE7ci1yPpUeThUysZUvDBnQKciOXejuo", "--hvN0"] {
            let arguments = ["key", "revoke", unknown, "--reason", "stolen", "--yes"];
            let refused = world.run(&arguments);
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            world.cli(&["audit", "list", "--target", unknown]);
        }
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
