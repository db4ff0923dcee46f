//! What a list shows, and to whom.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{SIZE, entries, fetch, is_revoked, path, place, until_revoked};
use crate::support::proxy::Proxy;
use crate::support::world::{Answer, Engine, claims, header, postgres, worlds};

#[actix_web::test]
async fn a_token_names_its_place_and_its_list_is_signed_cached_and_good() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let (uri, index) = place(&token);
        let prefix = format!("{}/sandbox/oauth2/status-lists/stl_", world.base);
        assert!(uri.starts_with(&prefix) && index < SIZE, "{uri} {index}");

        let answer = fetch(&world, &uri, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/statuslist+jwt");
        assert_eq!(answer.header("cache-control"), "public, max-age=30");
        let (head, said) = (header(&answer.text), claims(&answer.text));
        assert_eq!(
            (head["typ"].as_str(), head["alg"].as_str()),
            (Some("statuslist+jwt"), Some("ES256"))
        );
        let keys = world.get("/sandbox/oauth2/jwks", None).await.json();
        let published = keys["keys"].as_array().unwrap();
        assert!(published.iter().any(|key| key["kid"] == head["kid"]));
        assert_eq!(
            (said["sub"].as_str(), said["ttl"].as_i64()),
            (Some(uri.as_str()), Some(30))
        );
        let (iat, exp) = (said["iat"].as_i64().unwrap(), said["exp"].as_i64().unwrap());
        assert_eq!(exp - iat, 600);
        assert!((chrono::Utc::now().timestamp() - iat).abs() < 60);
        assert_eq!(entries(&answer.text), vec![0; SIZE / 8]);

        // Nothing changed: the same again, and nothing for who has it.
        let tag = answer.header("etag").to_owned();
        assert_eq!(fetch(&world, &uri, &[]).await.text, answer.text);
        let known = fetch(&world, &uri, &[("If-None-Match", &tag)]).await;
        assert_eq!((known.status, known.text.as_str()), (304, ""));
        assert_eq!(known.header("etag"), tag);
        assert_eq!(known.header("cache-control"), "public, max-age=30");
        let other = fetch(&world, &uri, &[("If-None-Match", "\"x\"")]).await;
        assert_eq!(other.status, 200);
        let head = world.request(Method::HEAD, &path(&world, &uri));
        let head = Answer::of(head.send().await.unwrap()).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));

        // It changes with a revocation, and is signed anew.
        let operator = world.operator().await;
        operator.revoke(&who.credential_id).await.expect(200);
        let changed = fetch(&world, &uri, &[("If-None-Match", &tag)]).await;
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), tag);
        let mut wanted = vec![0; SIZE / 8];
        wanted[index / 8] = 1 << (index % 8);
        assert_eq!(entries(&changed.text), wanted);
    }
}

#[actix_web::test]
async fn a_list_never_passes_as_an_access_token() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let list = fetch(&world, &place(&token).0, &[]).await.text;
        let refused = world.get("/sandbox/v1/me", Some(&list)).await;
        assert_eq!(refused.status, 401, "{}", refused.text);
        let gateway = world.get("/sandbox/oauth2/verify", Some(&list)).await;
        assert_eq!(gateway.status, 401, "{}", gateway.text);
    }
}

#[actix_web::test]
async fn every_height_of_revocation_is_shown_and_nothing_else() {
    for world in worlds().await {
        let operator = world.operator().await;
        let bystander = world.sandbox_client(&["orders:read"]).await;
        let good = world.token("sandbox", &bystander, &[]).await;
        let fresh = async || {
            let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
            let token = world.token("sandbox", &who, &[]).await;
            assert!(!is_revoked(&world, &token).await);
            (who, token)
        };

        let (who, token) = fresh().await;
        let kept = world.token("sandbox", &who, &[]).await;
        let body = json!({ "token": token });
        operator.post("/tokens/revoke", body).await.expect(200);
        until_revoked(&world, &token, "a token").await;
        assert!(!is_revoked(&world, &kept).await);

        let (who, token) = fresh().await;
        let second = operator.issue(&who.client_id).await;
        let kept = world.token("sandbox", &second, &[]).await;
        operator.revoke(&who.credential_id).await.expect(200);
        until_revoked(&world, &token, "a credential").await;
        assert!(!is_revoked(&world, &kept).await);

        let reason = || json!({ "reason": "a test" });
        let (who, token) = fresh().await;
        let client = format!("/clients/{}", who.client_id);
        operator
            .post(&format!("{client}/suspend"), reason())
            .await
            .expect(200);
        until_revoked(&world, &token, "a client").await;
        operator
            .post(&format!("{client}/resume"), reason())
            .await
            .expect(200);
        let later = world.token("sandbox", &who, &[]).await;
        assert!(!is_revoked(&world, &later).await);
        assert!(is_revoked(&world, &token).await);

        let (who, token) = fresh().await;
        let partner = format!("/partners/{}", who.partner_id);
        operator
            .post(&format!("{partner}/suspend"), reason())
            .await
            .expect(200);
        until_revoked(&world, &token, "a partner").await;
        operator
            .post(&format!("{partner}/resume"), reason())
            .await
            .expect(200);
        let later = world.token("sandbox", &who, &[]).await;
        assert!(!is_revoked(&world, &later).await);

        let (who, token) = fresh().await;
        let narrow = world
            .token("sandbox", &who, &[("scope", "usage:read")])
            .await;
        let grants = operator
            .get(&format!("/partners/{}/scope-grants", who.partner_id))
            .await
            .json();
        let grants = grants["data"].as_array().unwrap();
        let grant = grants.iter().find(|g| g["scope"] == "orders:read").unwrap();
        let id = grant["id"].as_str().unwrap();
        operator
            .post(&format!("/scope-grants/{id}/revoke"), reason())
            .await
            .expect(200);
        until_revoked(&world, &token, "a grant").await;
        assert!(!is_revoked(&world, &narrow).await);

        // Until here the bystander was none of them.
        assert!(!is_revoked(&world, &good).await);
        let kid = header(&good)["kid"].as_str().unwrap().to_owned();
        operator
            .post(&format!("/keys/{kid}/revoke"), reason())
            .await
            .expect(200);
        until_revoked(&world, &good, "a key").await;

        // A server that starts anew finds the same, of those that live.
        let mut world = world;
        world.terminate();
        world.start().await;
        for dead in [&token, &good] {
            assert!(is_revoked(&world, dead).await);
        }
        let later = world.token("sandbox", &bystander, &[]).await;
        assert!(!is_revoked(&world, &later).await);
    }
}

#[actix_web::test]
async fn every_node_shows_what_any_node_revoked() {
    for world in worlds().await {
        let others = [world.neighbour().await, world.neighbour().await];
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut tokens = vec![world.token("sandbox", &who, &[]).await];
        for other in &others {
            tokens.push(other.token("sandbox", &who, &[]).await);
        }
        let second = world.operator().await.issue(&who.client_id).await;
        let kept = world.token("sandbox", &second, &[]).await;
        for node in others.iter().chain([&world]) {
            assert!(!is_revoked(node, &tokens[0]).await);
        }
        let operator = others[1].operator().await;
        operator.revoke(&who.credential_id).await.expect(200);
        for node in others.iter().chain([&world]) {
            for token in &tokens {
                until_revoked(node, token, "on another node").await;
            }
            assert!(!is_revoked(node, &kept).await);
        }
    }
}

#[actix_web::test]
async fn a_token_that_a_node_gives_out_before_it_hears_is_shown_as_dead() {
    // Only over a network can news be held back.
    let world = worlds()
        .await
        .into_iter()
        .find(|w| w.engine == Engine::Postgres)
        .unwrap();
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
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = deaf.token("sandbox", &who, &[]).await;
    proxy.hold();
    let operator = world.operator().await;
    operator.revoke(&who.credential_id).await.expect(200);
    // Whoever asks now has the revocation taken in before the late token is on record.
    until_revoked(&world, &before, "what was given before").await;
    let asked = async { deaf.token_answer("sandbox", &who, &[]).await };
    let released = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.release();
    };
    let (answer, ()) = futures_util::future::join(asked, released).await;
    let answer = answer.expect(200);
    let late = answer["access_token"].as_str().unwrap();
    until_revoked(&world, late, "what was given too late").await;
}

#[actix_web::test]
async fn what_is_no_list_here_is_answered_as_such() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let (uri, _) = place(&world.token("sandbox", &who, &[]).await);
        let here = path(&world, &uri);
        let (before, id) = here.rsplit_once('/').unwrap();
        for (asked, status, code) in [
            (
                format!("{before}/stl_01K2ZJ6V9D3M5K7N2R4T6W8Y0A"),
                404,
                "not_found",
            ),
            (format!("{before}/1"), 404, "not_found"),
            (format!("{before}/{id}0"), 404, "not_found"),
            (format!("/live/oauth2/status-lists/{id}"), 404, "not_found"),
            (format!("/admin/oauth2/status-lists/{id}"), 404, "not_found"),
            (format!("{here}?time=1800000000"), 501, "not_implemented"),
            (format!("{here}?at=1"), 400, "invalid_parameter"),
        ] {
            let answer = world.get(&asked, None).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (status, Some(code)),
                "{asked}"
            );
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
        for (accept, status) in [
            ("application/statuslist+cwt", 406),
            ("text/html", 406),
            ("application/statuslist+jwt", 200),
            ("text/html, */*;q=0.1", 200),
            ("application/*", 200),
        ] {
            let answer = fetch(&world, &uri, &[("Accept", accept)]).await;
            assert_eq!(answer.status, status, "{accept}");
        }
        let posted = world.request(Method::POST, &here).send().await.unwrap();
        assert_eq!(posted.status(), 405);
        // Operators' tokens have places too, in a list of their own realm.
        let operator = world.operator().await;
        let (uri, _) = place(&operator.token);
        assert!(uri.contains("/admin/oauth2/status-lists/"), "{uri}");
        assert!(!is_revoked(&world, &operator.token).await);
    }
}
