//! Credentials are issued, shown once, and revoked.

use serde_json::json;

use crate::support::assert_snapshot;
use crate::support::world::{Credential, claims, worlds};

#[actix_web::test]
async fn a_secret_is_shown_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/clients/{}/credentials", who.client_id);
        let answer = operator.post(&path, json!({ "kind": "secret" })).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let issued = answer.expect(201);
        let secret = issued["secret"].as_str().unwrap();
        assert!(secret.starts_with("onyx_sbx_sk_") && secret.len() == "onyx_sbx_sk_".len() + 49);
        assert_eq!(
            (&issued["state"], &issued["usable"]),
            (&json!("active"), &json!(true))
        );
        assert_eq!(issued["hint"], secret[secret.len() - 4..]);

        let listed = operator.get(&path).await;
        assert!(!listed.text.contains(secret) && !listed.text.contains(&who.secret));
        let mut without = issued.clone();
        without.as_object_mut().unwrap().remove("secret");
        assert!(
            listed.expect(200)["data"]
                .as_array()
                .unwrap()
                .contains(&without)
        );
    }
}

#[actix_web::test]
async fn a_client_has_at_most_two_usable_secrets() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let second = operator.issue(&who.client_id).await;
        let path = format!("/clients/{}/credentials", who.client_id);
        let third = operator.post(&path, json!({ "kind": "secret" })).await;
        assert_snapshot!(third.problem(), @"409 too_many_credentials: the client has two usable secrets; revoke one first");
        operator.revoke(&who.credential_id).await.expect(200);
        let third = operator.issue(&who.client_id).await;
        for usable in [&second, &third] {
            world.token("sandbox", usable, &[]).await;
        }
        assert_eq!(world.token_answer("sandbox", &who, &[]).await.status, 401);
    }
}

#[actix_web::test]
async fn a_credential_is_of_a_kind_that_is_known_and_ends_in_the_future() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/clients/{}/credentials", who.client_id);
        let mut told = Vec::new();
        for body in [
            json!({}),
            json!({ "kind": "password" }),
            json!({ "kind": "secret", "expires_at": "2020-01-01T00:00:00Z" }),
            json!({ "kind": "secret", "secret": "mine" }),
        ] {
            let answer = operator.post(&path, body).await.problem();
            told.push(answer.lines().skip(1).collect::<Vec<_>>().join("\n"));
        }
        assert_snapshot!(told.join("\n"), @"
        /kind missing: must be there
        /kind invalid: must be one of secret
        /expires_at invalid: must lie in the future
        /secret unknown: is not a member of this request
        ");
    }
}

#[actix_web::test]
async fn a_credential_is_revoked_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/credentials/{}/revoke", who.credential_id);
        let bad = operator.post(&path, json!({ "reason": "bored" })).await;
        assert_snapshot!(bad.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason invalid: must be one of compromised, unused, offboarding, superseded, other
        ");
        let body = json!({ "reason": "compromised", "note": "found in a repository" });
        let revoked = operator.post(&path, body).await.expect(200);
        assert_eq!(
            (
                &revoked["state"],
                &revoked["usable"],
                &revoked["revoked_reason"],
                &revoked["revoked_note"]
            ),
            (
                &json!("revoked"),
                &json!(false),
                &json!("compromised"),
                &json!("found in a repository")
            )
        );
        assert_eq!(revoked["revoked_by"], world.operator_credential().client_id);
        let again = operator.revoke(&who.credential_id).await;
        assert_snapshot!(again.problem(), @r#"
        409 illegal_transition: the credential is revoked; from there: nothing
          state "revoked", allowed []
        "#);
        let listed = operator
            .get(&format!("/clients/{}/credentials", who.client_id))
            .await
            .expect(200);
        assert_eq!(listed["data"], json!([revoked]));
    }
}

#[actix_web::test]
async fn a_resource_servers_client_and_an_operator_have_credentials_as_any_client() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "realm": "live", "identifier": "https://orders.example", "name": "Orders",
                           "scopes": ["read"] });
        let server = operator.post("/resource-servers", body).await.expect(201);
        let who: Credential = operator.issue(server["client_id"].as_str().unwrap()).await;
        assert!(who.secret.starts_with("onyx_live_sk_"));
        let token = world.token("live", &who, &[]).await;
        assert_eq!(
            (&claims(&token)["aud"], &claims(&token)["scope"]),
            (
                &json!(format!("{}/live", world.base)),
                &json!("revocations:read")
            )
        );
        let operator = world.second_operator().await;
        assert_eq!(
            claims(&operator.token)["aud"],
            format!("{}/admin/v1", world.base)
        );
    }
}
