//! Clients that are bound to addresses.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::edit;
use crate::support::assert_snapshot;
use crate::support::world::{Answer, Credential, World, worlds, worlds_with};

/// A token request that says where it comes from.
fn asking(world: &World, who: &Credential, from: &str) -> RequestBuilder {
    asking_in(world, "sandbox", who, from)
}

fn asking_in(world: &World, realm: &str, who: &Credential, from: &str) -> RequestBuilder {
    world
        .request(Method::POST, &format!("/{realm}/oauth2/token"))
        .header("x-forwarded-for", from)
        .basic_auth(&who.client_id, Some(&who.secret))
        .form(&[("grant_type", "client_credentials")])
}

async fn ask(world: &World, who: &Credential, from: &str) -> Answer {
    Answer::of(asking(world, who, from).send().await.unwrap()).await
}

#[actix_web::test]
async fn a_list_of_addresses_binds_token_requests() {
    for world in worlds_with(&[("ONYX_TRUSTED_PROXIES", "127.0.0.1/32,10.0.0.0/8")]).await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let list =
            json!({ "ip_allowlist": ["203.0.113.0/24", "2001:db8:1::/48", "::ffff:198.51.100.7"] });
        let edited = edit(&operator, &who.client_id, list).await.expect(200);
        assert_eq!(
            edited["ip_allowlist"],
            json!(["198.51.100.7/32", "203.0.113.0/24", "2001:db8:1::/48"])
        );
        for from in [
            "203.0.113.0",
            "203.0.113.255",
            "::ffff:203.0.113.9",
            "2001:db8:1:ffff::1",
            "[2001:db8:1::1]:4711",
            "198.51.100.7",
            // Only the end of the chain counts.
            "192.0.2.1, 203.0.113.9, 10.1.2.3",
        ] {
            assert_eq!(ask(&world, &who, from).await.status, 200, "{from}");
        }
        let wrong = Credential {
            secret: world.operator_credential().secret,
            ..who.clone()
        };
        let refused = ask(&world, &wrong, "203.0.113.9").await;
        assert_eq!(refused.status, 401);
        for from in [
            "203.0.114.0",
            "2001:db8:2::1",
            "198.51.100.8",
            "::cb00:7109",
            "203.0.113.9, 192.0.2.1",
            "127.0.0.1",
            "unknown",
        ] {
            let answer = ask(&world, &who, from).await;
            assert_eq!(answer.line(), refused.line(), "{from}");
            assert_eq!(
                answer.header("www-authenticate"),
                refused.header("www-authenticate")
            );
        }
        edit(&operator, &who.client_id, json!({ "ip_allowlist": null }))
            .await
            .expect(200);
        assert_eq!(ask(&world, &who, "192.0.2.1").await.status, 200);
    }
}

#[actix_web::test]
async fn nobody_is_believed_who_is_no_trusted_proxy() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        edit(
            &operator,
            &who.client_id,
            json!({ "ip_allowlist": ["203.0.113.0/24"] }),
        )
        .await
        .expect(200);
        assert_eq!(ask(&world, &who, "203.0.113.9").await.status, 401);
        edit(
            &operator,
            &who.client_id,
            json!({ "ip_allowlist": ["127.0.0.0/8"] }),
        )
        .await
        .expect(200);
        assert_eq!(ask(&world, &who, "203.0.113.9").await.status, 200);
    }
}

#[actix_web::test]
async fn a_list_of_addresses_binds_calls() {
    for world in worlds_with(&[("ONYX_TRUSTED_PROXIES", "127.0.0.1/32")]).await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        edit(
            &operator,
            &who.client_id,
            json!({ "ip_allowlist": ["203.0.113.0/24"] }),
        )
        .await
        .expect(200);
        let given = ask(&world, &who, "203.0.113.9").await.expect(200);
        let token = given["access_token"].as_str().unwrap();
        let call = async |path: &str, token: &str, from: &str| {
            let request = world.request(Method::GET, path).bearer_auth(token);
            Answer::of(
                request
                    .header("x-forwarded-for", from)
                    .send()
                    .await
                    .unwrap(),
            )
            .await
        };
        call("/sandbox/v1/me", token, "203.0.113.200")
            .await
            .expect(200);
        let elsewhere = call("/sandbox/v1/me", token, "192.0.2.1").await;
        assert_snapshot!(elsewhere.problem(), @"403 address_not_allowed: this client may not call from this address: its ip_allowlist says from where");
        // A token that is not valid is told nothing of lists.
        let forged = format!("{}x", token);
        let answer = call("/sandbox/v1/me", &forged, "192.0.2.1").await;
        assert_eq!(answer.json()["code"], "invalid_token");

        // Operators are bound alike; their tokens from before the list are dead.
        let bound = operator.puppet(&["partners:read"]).await;
        let list = json!({ "ip_allowlist": ["2001:db8::/32"] });
        edit(&operator, &bound.id(), list).await.expect(200);
        let before = call("/admin/v1/partners", &bound.token, "2001:db8::7").await;
        assert_eq!(before.status, 401);
        let held = operator.issue(&bound.id()).await;
        let given = asking_in(&world, "admin", &held, "2001:db8::7");
        let given = Answer::of(given.send().await.unwrap()).await.expect(200);
        let token = given["access_token"].as_str().unwrap();
        call("/admin/v1/partners", token, "2001:db8::7")
            .await
            .expect(200);
        let elsewhere = call("/admin/v1/partners", token, "192.0.2.1").await;
        assert_eq!(
            (elsewhere.status, &elsewhere.json()["code"]),
            (403, &json!("address_not_allowed"))
        );
    }
}
