//! The extractor, in an app.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{
    App, HttpResponse,
    body::to_bytes,
    get,
    http::header::{AUTHORIZATION, WWW_AUTHENTICATE},
    test::{TestRequest, call_service, init_service},
    web::Data,
};
use onyx_verifier::{
    Algorithm, Verifier,
    actix::{Authenticated, Denied},
};
use serde_json::{Value, json};

use crate::issuer::{AUDIENCE, ISSUER, KEYS, claims, header, jwks, key, with};

const METADATA: &str = "https://auth.example/.well-known/oauth-protected-resource/live/v1";

#[get("/orders")]
async fn orders(Authenticated(caller): Authenticated) -> Result<String, Denied> {
    caller.require_scope("orders:read")?;
    Ok(caller.client_id().to_owned())
}

#[get("/invoices")]
async fn invoices(Authenticated(caller): Authenticated) -> Result<HttpResponse, Denied> {
    caller.require_scope("invoices:read")?;
    Ok(HttpResponse::Ok().finish())
}

fn token() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = with(claims(), "exp", json!(now + 300));
    let claims = with(with(claims, "iat", json!(now)), "nbf", json!(now));
    key(Algorithm::Es256).token(header(Algorithm::Es256), claims)
}

/// Status, challenge and body of the answer to a request.
async fn answer(request: TestRequest, verifier: Option<Verifier>) -> (u16, String, String) {
    let app = App::new().service(orders).service(invoices);
    let app = match verifier {
        Some(verifier) => app.app_data(Data::new(verifier)),
        None => app,
    };
    let app = init_service(app).await;
    let response = call_service(&app, request.to_request()).await;
    let challenge = response
        .headers()
        .get(WWW_AUTHENTICATE)
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body()).await.ok().unwrap();
    (status, challenge, String::from_utf8(body.to_vec()).unwrap())
}

fn verifier() -> Option<Verifier> {
    let builder = Verifier::builder(ISSUER, AUDIENCE).resource_metadata(METADATA);
    Some(builder.jwks(jwks(&*KEYS)).unwrap())
}

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

fn get_with(path: &str, token: &str) -> TestRequest {
    get(path).insert_header((AUTHORIZATION, format!("Bearer {token}")))
}

#[actix_web::test]
async fn a_handler_is_reached_with_a_good_token() {
    let (status, challenge, body) = answer(get_with("/orders", &token()), verifier()).await;
    assert_eq!(
        (status, challenge.as_str(), body.as_str()),
        (200, "", "cl_live_1")
    );
}

#[actix_web::test]
async fn without_a_token_the_challenge_is_bare() {
    let (status, challenge, body) = answer(get("/orders"), verifier()).await;
    assert_eq!(status, 401);
    assert_eq!(
        challenge,
        format!(r#"Bearer realm="onyx", resource_metadata="{METADATA}""#)
    );
    assert_eq!(
        body,
        r#"{"error_description":"An access token is required."}"#
    );
}

#[actix_web::test]
async fn a_bad_token_is_named_as_such() {
    let (status, challenge, body) = answer(get_with("/orders", "a.b.c"), verifier()).await;
    assert_eq!(status, 401);
    assert_eq!(
        challenge,
        format!(
            r#"Bearer realm="onyx", error="invalid_token", error_description="The access token is not valid.", resource_metadata="{METADATA}""#
        )
    );
    assert_eq!(
        body,
        r#"{"error":"invalid_token","error_description":"The access token is not valid."}"#
    );
}

#[actix_web::test]
async fn a_missing_scope_is_forbidden() {
    let (status, challenge, body) = answer(get_with("/invoices", &token()), verifier()).await;
    assert_eq!(status, 403);
    assert_eq!(
        challenge,
        r#"Bearer realm="onyx", error="insufficient_scope", error_description="The access token lacks a scope.", scope="invoices:read""#
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body.get("error"), Some(&json!("insufficient_scope")));
}

#[actix_web::test]
async fn a_token_by_two_ways_is_a_bad_request() {
    let token = token();
    let in_query = format!("/orders?access_token={token}");
    let twice = get_with("/orders", &token).append_header((AUTHORIZATION, "Bearer x"));
    for request in [get(&in_query), get_with(&in_query, &token), twice] {
        let (status, challenge, _) = answer(request, verifier()).await;
        assert_eq!(status, 400);
        assert!(
            challenge.contains(r#"error="invalid_request""#),
            "{challenge}"
        );
    }
}

#[actix_web::test]
async fn without_a_verifier_nobody_gets_in() {
    let (status, challenge, body) = answer(get_with("/orders", &token()), None).await;
    assert_eq!((status, challenge.as_str()), (503, ""));
    assert_eq!(
        body,
        r#"{"error_description":"The access token cannot be verified right now."}"#
    );
}
