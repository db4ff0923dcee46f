//! A partner exchanges a secret for a token.

use insta::assert_snapshot;

use crate::support::world::{claims, header, worlds};

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
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            300
        );
        assert_eq!(claims["nbf"], claims["iat"]);

        let me = world.get("/sandbox/v1/me", Some(token)).await.expect(200);
        assert_eq!(
            (&me["client"]["id"], &me["credential"]["id"]),
            (&claims["client_id"], &claims["credential_id"])
        );
    }
}

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
        assert_snapshot!(answer.line(), @"");
    }
}
