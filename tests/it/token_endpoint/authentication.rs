//! How a client shows who it is, and what it hears where that fails.

use std::time::Duration;

use serde_json::json;

use super::{assert_proper, basic, basic_of, bytes_of, form_of, post};
use crate::support::assert_snapshot;
use crate::support::world::{Credential, in_future, worlds};

#[actix_web::test]
async fn a_revoked_credential_gets_no_token() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        world
            .operator()
            .await
            .revoke(&who.credential_id)
            .await
            .expect(200);
        let answer = world.token_answer("sandbox", &who, &[]).await;
        assert_snapshot!(answer.line(), @r#"401 {"error":"invalid_client","error_description":"client authentication failed"}"#);
    }
}

#[actix_web::test]
async fn a_secret_may_be_sent_in_the_form_or_form_encoded_in_basic_under_any_case_of_the_scheme() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let encoded =
            |text: &str| -> String { text.bytes().map(|b| format!("%{b:02x}")).collect() };
        let encoded =
            basic_of(format!("{}:{}", encoded(&who.client_id), encoded(&who.secret)).as_bytes());
        let plain = basic(&who);
        let same_id = format!("grant_type=client_credentials&client_id={}", who.client_id);
        let only_grant = "grant_type=client_credentials".to_owned();
        for (authorization, body) in [
            (None, form_of(&who)),
            (Some(plain.clone()), only_grant.clone()),
            (Some(plain.replace("Basic", "basic")), only_grant.clone()),
            (Some(plain.replace("Basic", "BASIC")), only_grant.clone()),
            (
                Some(plain.replace("Basic ", "bAsIc   ")),
                only_grant.clone(),
            ),
            (Some(encoded), only_grant),
            (Some(plain), same_id),
        ] {
            let headers: Vec<_> = authorization
                .iter()
                .map(|value| ("authorization", value.as_str()))
                .collect();
            let answer = post(&world, &headers, body).await;
            assert_eq!(
                answer.expect(200)["scope"],
                "orders:read",
                "{authorization:?}"
            );
        }
    }
}

#[actix_web::test]
async fn every_realm_takes_either_way_to_authenticate() {
    for world in worlds().await {
        for (realm, who) in [
            ("sandbox", world.sandbox_client(&["orders:read"]).await),
            ("live", world.live_client(&["orders:read"]).await),
            ("admin", world.operator_credential()),
        ] {
            let form = [
                ("grant_type", "client_credentials"),
                ("client_id", &*who.client_id),
                ("client_secret", &*who.secret),
            ];
            let by_form = world.token_form(realm, &form).await.expect(200);
            let by_header = world.token_answer(realm, &who, &[]).await.expect(200);
            assert_eq!(by_form["scope"], by_header["scope"], "{realm}");
        }
    }
}

#[actix_web::test]
async fn basic_credentials_that_need_encoding_are_read_as_the_standard_says() {
    for world in worlds().await {
        // `an:identifier` with `some secure & non-standard secret`, and ` %&+` twice.
        for vector in [
            "Basic YW4lM0FpZGVudGlmaWVyOnNvbWUrc2VjdXJlKyUyNitub24tc3RhbmRhcmQrc2VjcmV0",
            "Basic KyUyNSUyNiUyQjorJTI1JTI2JTJC",
        ] {
            let answer = post(
                &world,
                &[("authorization", vector)],
                "grant_type=client_credentials",
            )
            .await;
            assert_snapshot!(answer.line(), @r#"401 {"error":"invalid_client","error_description":"client authentication failed"}"#);
        }
        let same_id = post(
            &world,
            &[(
                "authorization",
                "Basic YW4lM0FpZGVudGlmaWVyOnNvbWUrc2VjdXJlKyUyNitub24tc3RhbmRhcmQrc2VjcmV0",
            )],
            "grant_type=client_credentials&client_id=an%3Aidentifier",
        )
        .await;
        assert_eq!(same_id.status, 401, "the ids are the same once decoded");
    }
}

#[actix_web::test]
async fn all_who_fail_to_authenticate_get_the_same_bytes() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let good = operator.client(&partner, "sandbox", &["orders:read"]).await;
        let other = operator.client(&partner, "sandbox", &["orders:read"]).await;
        let revoked = operator.client(&partner, "sandbox", &["orders:read"]).await;
        operator.revoke(&revoked.credential_id).await.expect(200);
        let soon = in_future(Duration::from_millis(1500));
        let expired = {
            let client = json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"] });
            let client = operator.client_with(&partner, client).await;
            operator.revoke(&client.credential_id).await.expect(200);
            let body = json!({ "kind": "secret", "expires_at": soon });
            let path = format!("/clients/{}/credentials", client.client_id);
            let issued = operator.post(&path, body).await.expect(201);
            Credential {
                secret: issued["secret"].as_str().unwrap().to_owned(),
                ..client
            }
        };
        let ended = {
            let body = json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"], "expires_at": soon });
            operator.client_with(&partner, body).await
        };
        let live = world.live_client(&["orders:read"]).await;
        tokio::time::sleep(Duration::from_millis(1600)).await;

        let with = |id: &str, secret: &str| Credential {
            client_id: id.to_owned(),
            secret: secret.to_owned(),
            ..good.clone()
        };
        let mut wrong = good.secret.clone();
        let last = if wrong.pop() == Some('a') { 'b' } else { 'a' };
        wrong.push(last);
        let failures = [
            (
                "unknown client",
                with("cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV", &good.secret),
            ),
            ("no client id at all", with("nobody", &good.secret)),
            ("wrong secret", with(&good.client_id, &wrong)),
            ("short secret", with(&good.client_id, "x")),
            (
                "another client's secret",
                with(&good.client_id, &other.secret),
            ),
            ("revoked credential", revoked),
            ("expired credential", expired),
            ("expired client", ended),
            ("client of another realm", live),
            ("operator", world.operator_credential()),
        ];
        for (name, who) in &failures {
            let answer = post(
                &world,
                &[("authorization", &basic(who))],
                "grant_type=client_credentials",
            )
            .await;
            assert_proper(&answer);
            assert_snapshot!(bytes_of(&answer), name, @r#"
            401
            cache-control: no-store
            content-length: 77
            content-type: application/json
            pragma: no-cache
            www-authenticate: Basic realm="sandbox", charset="UTF-8"
            x-content-type-options: nosniff

            {"error":"invalid_client","error_description":"client authentication failed"}
            "#);
            let answer = post(&world, &[], form_of(who)).await;
            assert_proper(&answer);
            assert_snapshot!(bytes_of(&answer), name, @r#"
            400
            cache-control: no-store
            content-length: 77
            content-type: application/json
            pragma: no-cache
            x-content-type-options: nosniff

            {"error":"invalid_client","error_description":"client authentication failed"}
            "#);
        }
        // The one that they stand beside is well.
        world.token("sandbox", &good, &[]).await;
    }
}
