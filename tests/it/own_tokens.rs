//! RFC 7009 and RFC 7662: a client revokes its own token, a resource server asks about one.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::{Answer, Credential, World, claims, header, worlds};

const AUDIENCE: &str = "https://stock.acme.example";

async fn hand_in(world: &World, endpoint: &str, who: &Credential, token: &str) -> Answer {
    let request = world
        .request(Method::POST, &format!("/sandbox/oauth2/{endpoint}"))
        .basic_auth(&who.client_id, Some(&who.secret))
        .form(&[("token", token), ("token_type_hint", "refresh_token")]);
    Answer::of(request.send().await.unwrap()).await
}

/// A service that may ask, and a client that holds a scope at it.
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
async fn a_client_revokes_its_own_token_and_no_others() {
    for world in worlds().await {
        let (who, other) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        let (token, kept) = (
            world.token("sandbox", &who, &[]).await,
            world.token("sandbox", &who, &[]).await,
        );
        let refused = hand_in(&world, "revoke", &other, &token).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]),
            (400, &json!("unauthorized_client"))
        );
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);

        let done = hand_in(&world, "revoke", &who, &token).await;
        assert_eq!((done.status, done.text.as_str()), (200, ""));
        assert_eq!(done.header("cache-control"), "no-store");
        assert_eq!(world.get("/sandbox/v1/me", Some(&token)).await.status, 401);
        world.get("/sandbox/v1/me", Some(&kept)).await.expect(200);
        // Again, and what never was a token: what was wanted is so.
        for token in [token.as_str(), "nonsense", "a.b.c"] {
            assert_eq!(hand_in(&world, "revoke", &who, token).await.status, 200);
        }
        let nothing = hand_in(&world, "revoke", &who, "").await;
        assert_eq!(
            (nothing.status, &nothing.json()["error"]),
            (400, &json!("invalid_request"))
        );
        let stranger = Credential {
            secret: "wrong".to_owned(),
            ..who.clone()
        };
        assert_eq!(
            hand_in(&world, "revoke", &stranger, &kept).await.status,
            401
        );
    }
}

#[actix_web::test]
async fn a_resource_server_learns_of_tokens_for_itself_alone() {
    for world in worlds().await {
        let (service, client) = service_and_client(&world).await;
        let asked = [("resource", AUDIENCE)];
        let token = world.token("sandbox", &client, &asked).await;
        let told = hand_in(&world, "introspect", &service, &token)
            .await
            .expect(200);
        let says = claims(&token);
        assert_eq!(
            (&told["active"], &told["token_type"]),
            (&json!(true), &json!("Bearer"))
        );
        for name in [
            "iss",
            "aud",
            "sub",
            "client_id",
            "scope",
            "exp",
            "iat",
            "jti",
            "partner_id",
        ] {
            assert_eq!(told[name], says[name], "{name}");
        }
        let inactive = async |token: &str| {
            let answer = hand_in(&world, "introspect", &service, token).await;
            (answer.status, answer.text)
        };
        let no = (200, r#"{"active":false}"#.to_owned());
        // For somebody else, of nobody, and after its revocation.
        let elsewhere = world.sandbox_client(&["orders:read"]).await;
        let elsewhere = world.token("sandbox", &elsewhere, &[]).await;
        assert_eq!(inactive(&elsewhere).await, no);
        assert_eq!(inactive("nonsense").await, no);
        world
            .operator()
            .await
            .revoke(&client.credential_id)
            .await
            .expect(200);
        assert_eq!(inactive(&token).await, no);

        let partner = hand_in(&world, "introspect", &client, &token).await;
        assert_eq!(partner.status, 401, "its credential is revoked");
        let anonymous = world.request(Method::POST, "/sandbox/oauth2/introspect");
        let anonymous = anonymous.form(&[("token", &token)]).send().await.unwrap();
        assert_eq!(anonymous.status(), 400);
        let other = world.sandbox_client(&["orders:read"]).await;
        let refused = hand_in(&world, "introspect", &other, &token).await;
        assert_eq!(refused.json()["error"], "unauthorized_client");
    }
}

#[actix_web::test]
async fn an_introspection_can_be_signed() {
    for world in worlds().await {
        let (service, client) = service_and_client(&world).await;
        let token = world
            .token("sandbox", &client, &[("resource", AUDIENCE)])
            .await;
        let request = world
            .request(Method::POST, "/sandbox/oauth2/introspect")
            .basic_auth(&service.client_id, Some(&service.secret))
            .header("Accept", "application/token-introspection+jwt")
            .form(&[("token", &token)]);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(
            answer.header("content-type"),
            "application/token-introspection+jwt"
        );
        assert_eq!(header(&answer.text)["typ"], "token-introspection+jwt");
        let says: Value = claims(&answer.text);
        assert_eq!(says["aud"], json!(service.client_id));
        assert_eq!(says["token_introspection"]["jti"], claims(&token)["jti"]);
        // Whoever likes plain JSON better gets that.
        for (accept, is_signed) in [
            (
                "application/json, application/token-introspection+jwt;q=0.5",
                false,
            ),
            ("application/token-introspection+jwt;q=0", false),
            ("*/*", false),
            (
                "application/json;q=0.5, application/token-introspection+jwt",
                true,
            ),
        ] {
            let request = world
                .request(Method::POST, "/sandbox/oauth2/introspect")
                .basic_auth(&service.client_id, Some(&service.secret))
                .header("Accept", accept)
                .form(&[("token", &token)]);
            let answer = Answer::of(request.send().await.unwrap()).await;
            let kind = answer.header("content-type");
            assert_eq!(
                kind.ends_with("introspection+jwt"),
                is_signed,
                "{accept}: {kind}"
            );
        }
        // It is no access token, whoever signed it.
        let refused = world.get("/sandbox/v1/me", Some(&answer.text)).await;
        assert_eq!(refused.status, 401);
    }
}
