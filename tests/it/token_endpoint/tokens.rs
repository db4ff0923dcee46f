//! What a token says, and for how long.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::assert_proper;
use crate::support::assert_snapshot;
use crate::support::world::{Credential, claims, header, in_future, worlds};

fn names(claims: &Value) -> BTreeSet<&str> {
    claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn lifetime(claims: &Value) -> i64 {
    claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
}

#[actix_web::test]
async fn a_partner_exchanges_a_secret_for_a_token_that_the_partner_api_accepts() {
    for world in worlds().await {
        let who = world
            .sandbox_client(&["orders:read", "catalogue:read"])
            .await;
        let answer = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, "no-store")
        );
        let body = answer.json();
        assert_eq!(
            (body["token_type"].as_str(), body["expires_in"].as_i64()),
            (Some("Bearer"), Some(300))
        );
        assert_eq!(body["scope"], "catalogue:read orders:read");
        assert!(body.get("refresh_token").is_none());

        let token = body["access_token"].as_str().unwrap();
        assert_eq!(
            (header(token)["typ"].as_str(), header(token)["alg"].as_str()),
            (Some("at+jwt"), Some("ES256"))
        );
        let claims = claims(token);
        assert_eq!(claims["iss"], format!("{}/sandbox", world.base));
        assert_eq!(claims["aud"], format!("{}/sandbox/v1", world.base));
        assert_eq!(
            (&claims["sub"], &claims["client_id"]),
            (&claims["client_id"], &who.client_id.clone().into())
        );
        assert_eq!(
            (&claims["partner_id"], &claims["env"]),
            (&who.partner_id.clone().into(), &"sandbox".into())
        );
        assert_eq!(
            (&claims["credential_id"], &claims["rsn"]),
            (&who.credential_id.clone().into(), &0.into())
        );
        assert_eq!(lifetime(&claims), 300);
        assert_eq!(claims["nbf"], claims["iat"]);

        let me = world.get("/sandbox/v1/me", Some(token)).await.expect(200);
        assert_eq!(
            (&me["client"]["id"], &me["credential"]["id"]),
            (&claims["client_id"], &claims["credential_id"])
        );
    }
}

#[actix_web::test]
async fn every_realm_gives_tokens_in_its_own_name_to_its_own_kinds_of_client() {
    for world in worlds().await {
        let base = &world.base;
        let live = world.live_client(&["orders:read"]).await;
        let token = claims(&world.token("live", &live, &[]).await);
        assert_eq!(
            (&token["iss"], &token["aud"], &token["env"]),
            (
                &json!(format!("{base}/live")),
                &json!(format!("{base}/live/v1")),
                &json!("live")
            )
        );
        assert_eq!(
            names(&token).into_iter().collect::<Vec<_>>().join(" "),
            "aud client_id credential_id env exp iat iss jti nbf partner_id rsn scope status sub"
        );
        world
            .get("/live/v1/me", Some(&world.token("live", &live, &[]).await))
            .await
            .expect(200);

        let operator = world.operator().await;
        let admin = claims(&operator.token);
        assert_eq!(
            (&admin["iss"], &admin["aud"]),
            (
                &json!(format!("{base}/admin")),
                &json!(format!("{base}/admin/v1"))
            )
        );
        let without_a_partner =
            "aud client_id credential_id exp iat iss jti nbf rsn scope status sub";
        assert_eq!(
            names(&admin).into_iter().collect::<Vec<_>>().join(" "),
            without_a_partner
        );

        let server = operator
            .resource_server(
                "live",
                "https://reports.example",
                &["reports:read"],
                "ES256",
            )
            .await;
        let server = operator.issue(server["client_id"].as_str().unwrap()).await;
        let follower = claims(&world.token("live", &server, &[]).await);
        assert_eq!(
            (&follower["aud"], &follower["scope"], &follower["sub"]),
            (
                &json!(format!("{base}/live")),
                &json!("revocations:read"),
                &json!(server.client_id)
            )
        );
        assert_eq!(
            names(&follower).into_iter().collect::<Vec<_>>().join(" "),
            without_a_partner
        );
    }
}

#[actix_web::test]
async fn no_two_tokens_have_the_same_id() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut seen = BTreeSet::new();
        for _ in 0..5 {
            let token = claims(&world.token("sandbox", &who, &[]).await);
            let id = token["jti"].as_str().unwrap().to_owned();
            // 128 bits in base62
            assert_eq!(id.len(), 22);
            assert!(seen.insert(id));
        }
    }
}

#[actix_web::test]
async fn a_token_carries_what_was_asked_for_or_else_nothing() {
    for world in worlds().await {
        let who = world
            .sandbox_client(&["usage:read", "orders:read", "catalogue:read"])
            .await;
        let ask = async |scope: &str| {
            world
                .token_answer("sandbox", &who, &[("scope", scope)])
                .await
        };

        let one = ask("usage:read").await.expect(200);
        assert_eq!(one["scope"], "usage:read");
        assert_eq!(
            claims(one["access_token"].as_str().unwrap())["scope"],
            "usage:read"
        );
        let two = ask("usage:read  orders:read usage:read").await.expect(200);
        assert_eq!(two["scope"], "orders:read usage:read");

        for missing in ["ledger:read", "orders:create", "Orders:read", "made:up"] {
            let answer = ask(&format!("orders:read {missing}")).await;
            assert_proper(&answer);
            assert_eq!(
                answer.line(),
                format!(
                    r#"400 {{"error":"invalid_scope","error_description":"not granted here, or not among this client's own scopes: {missing}"}}"#
                )
            );
        }
        let all = ask("ledger:read made:up").await;
        assert_snapshot!(all.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here, or not among this client's own scopes: ledger:read made:up"}"#);
    }
}

#[actix_web::test]
async fn a_client_may_have_defaults_and_a_lifetime_of_its_own() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        for scope in ["orders:read", "usage:read"] {
            operator.sandbox_grant(&partner, scope, None).await;
        }
        for ttl in [60, 900] {
            let body = json!({
                "realm": "sandbox", "name": "backend", "scopes": ["orders:read", "usage:read"],
                "default_scopes": ["usage:read"], "token_ttl": ttl,
            });
            let who = operator.client_with(&partner, body).await;
            let answer = world.token_answer("sandbox", &who, &[]).await.expect(200);
            assert_eq!(
                (&answer["scope"], &answer["expires_in"]),
                (&json!("usage:read"), &json!(ttl))
            );
            assert_eq!(
                lifetime(&claims(answer["access_token"].as_str().unwrap())),
                ttl
            );
            let more = world
                .token("sandbox", &who, &[("scope", "orders:read usage:read")])
                .await;
            assert_eq!(claims(&more)["scope"], "orders:read usage:read");
        }
    }
}

#[actix_web::test]
async fn a_token_never_outlives_what_it_hangs_on() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let ends = |seconds| in_future(Duration::from_secs(seconds));
        let at = |text: &str| {
            chrono::DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp()
        };
        let expiry = async |who: &Credential, scope: &str| {
            let answer = world
                .token_answer("sandbox", who, &[("scope", scope)])
                .await;
            let answer = answer.expect(200);
            let claims = claims(answer["access_token"].as_str().unwrap());
            assert_eq!(answer["expires_in"], lifetime(&claims));
            claims["exp"].as_i64().unwrap()
        };

        operator.sandbox_grant(&partner, "orders:read", None).await;
        let short = operator
            .request_grant_until(
                &partner,
                "sandbox",
                "usage:read",
                None,
                Duration::from_secs(90),
            )
            .await
            .expect(201);
        let grant_ends = at(short["expires_at"].as_str().unwrap());
        let scopes = ["orders:read", "usage:read"];
        let who = operator.client(&partner, "sandbox", &scopes).await;
        let long = expiry(&who, "orders:read").await;
        assert!(long > grant_ends + 100, "the other grant lasts");
        assert_eq!(expiry(&who, "usage:read").await, grant_ends);
        assert_eq!(expiry(&who, "orders:read usage:read").await, grant_ends);

        let client_ends = ends(70);
        let body =
            json!({ "realm": "sandbox", "name": "x", "scopes": scopes, "expires_at": client_ends });
        let who = operator.client_with(&partner, body).await;
        assert_eq!(
            expiry(&who, "orders:read usage:read").await,
            at(&client_ends)
        );

        let credential_ends = ends(50);
        let body = json!({ "kind": "secret", "expires_at": credential_ends });
        let path = format!("/clients/{}/credentials", who.client_id);
        let issued = operator.post(&path, body).await.expect(201);
        let short_lived = Credential {
            secret: issued["secret"].as_str().unwrap().to_owned(),
            ..who.clone()
        };
        assert_eq!(
            expiry(&short_lived, "orders:read usage:read").await,
            at(&credential_ends)
        );
        assert_eq!(expiry(&who, "orders:read").await, at(&client_ends));
    }
}

#[actix_web::test]
async fn a_scope_ends_with_its_grant() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        // It ends late within a second, in which no token that could be used is left to give.
        let now = chrono::Utc::now();
        let end =
            now + chrono::TimeDelta::milliseconds(3900 - i64::from(now.timestamp_subsec_millis()));
        let lasts = (end - chrono::Utc::now()).to_std().unwrap();
        operator
            .request_grant_until(&partner, "sandbox", "usage:read", None, lasts)
            .await
            .expect(201);
        let who = operator
            .client(&partner, "sandbox", &["orders:read", "usage:read"])
            .await;
        let both = world.token("sandbox", &who, &[]).await;
        assert_eq!(claims(&both)["scope"], "orders:read usage:read");
        assert!(claims(&both)["exp"].as_i64().unwrap() <= end.timestamp());

        let last_second =
            (end - chrono::TimeDelta::milliseconds(850) - chrono::Utc::now()).to_std();
        tokio::time::sleep(last_second.unwrap_or_default()).await;
        let asked = [("scope", "orders:read usage:read")];
        let dying = world.token_answer("sandbox", &who, &asked).await;
        assert_eq!(
            (dying.status, &dying.json()["error"]),
            (400, &json!("invalid_scope"))
        );

        tokio::time::sleep((end - chrono::Utc::now()).to_std().unwrap_or_default()).await;
        let over = world.token_answer("sandbox", &who, &asked).await;
        assert_snapshot!(over.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here, or not among this client's own scopes: usage:read"}"#);
        let rest = world.token("sandbox", &who, &[]).await;
        assert_eq!(claims(&rest)["scope"], "orders:read");
    }
}

#[actix_web::test]
async fn a_live_grant_counts_once_another_operator_has_approved_it() {
    for world in worlds().await {
        let (first, second) = (world.operator().await, world.second_operator().await);
        let partner = first.partner().await;
        let decide = async |grant: &Value, verdict: &str| {
            let path = format!("/scope-grants/{}/{verdict}", grant["id"].as_str().unwrap());
            second.post(&path, json!({})).await.expect(200)
        };
        // The client may hold the names, since another audience knows them too.
        let elsewhere = "https://orders.example";
        let scopes = ["orders:read", "usage:read"];
        first
            .resource_server("live", elsewhere, &scopes, "ES256")
            .await;
        for scope in scopes {
            let grant = first
                .request_grant(&partner, "live", scope, Some(elsewhere))
                .await;
            decide(&grant.expect(201), "approve").await;
        }
        first.ready_for_live(&second, &partner).await;
        let who = first.client(&partner, "live", &scopes).await;

        let nothing = world.token_answer("live", &who, &[]).await;
        assert_snapshot!(nothing.line(), @r#"400 {"error":"invalid_scope","error_description":"nothing is granted here that is among this client's own scopes"}"#);

        let wanted = first
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        let refused = first
            .request_grant(&partner, "live", "usage:read", None)
            .await
            .expect(201);
        assert_eq!(wanted["state"], "requested");
        let asked = [("scope", "orders:read")];
        let undecided = world.token_answer("live", &who, &asked).await;
        assert_snapshot!(undecided.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here, or not among this client's own scopes: orders:read"}"#);

        let path = format!("/scope-grants/{}/approve", wanted["id"].as_str().unwrap());
        assert_eq!(
            first.post(&path, json!({})).await.status,
            403,
            "who asked decides not"
        );
        assert_eq!(world.token_answer("live", &who, &asked).await.status, 400);

        decide(&wanted, "approve").await;
        decide(&refused, "deny").await;
        let token = world.token("live", &who, &asked).await;
        world.get("/live/v1/me", Some(&token)).await.expect(200);
        assert_eq!(
            claims(&world.token("live", &who, &[]).await)["scope"],
            "orders:read"
        );
        let denied = world
            .token_answer("live", &who, &[("scope", "usage:read")])
            .await;
        assert_snapshot!(denied.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here, or not among this client's own scopes: usage:read"}"#);
    }
}

#[actix_web::test]
async fn no_token_is_longer_than_verifiers_read() {
    for world in worlds().await {
        let operator = world.operator().await;
        let scopes: Vec<String> = (0..60)
            .map(|n| format!("s{n:02}:{}", "x".repeat(100)))
            .collect();
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let audience = "https://stock.acme.example";
        operator
            .resource_server("sandbox", audience, &scopes, "ES256")
            .await;
        let partner = operator.partner().await;
        for scope in &scopes {
            operator
                .sandbox_grant(&partner, scope, Some(audience))
                .await;
        }
        let who = operator.client(&partner, "sandbox", &scopes).await;
        let all = world
            .token_answer("sandbox", &who, &[("resource", audience)])
            .await;
        assert_eq!(
            (all.status, all.json()["error"].as_str()),
            (400, Some("invalid_scope"))
        );
        let few = scopes[..50].join(" ");
        let asked = [("resource", audience), ("scope", &few)];
        let token = world
            .token_answer("sandbox", &who, &asked)
            .await
            .expect(200);
        let token = token["access_token"].as_str().unwrap().to_owned();
        let path = format!("/sandbox/oauth2/verify?aud={audience}");
        assert_eq!(world.get(&path, Some(&token)).await.status, 200);
        // Also with what a paste brings along.
        let body = json!({ "token": format!("Bearer {token}\n") });
        let revoked = operator.post("/tokens/revoke", body).await.expect(200);
        assert_eq!(revoked["revoked"], true);
        assert_eq!(world.get(&path, Some(&token)).await.status, 401);
    }
}
