//! The extractor, in an app.

use actix_web::{
    App, HttpResponse,
    body::{MessageBody, to_bytes},
    dev::ServiceResponse,
    get,
    http::header::{AUTHORIZATION, WWW_AUTHENTICATE},
    test::{TestRequest, call_service, init_service},
    web::{self, Data, ReqData},
};
use onyx_verifier::{
    Caller, Verifier,
    actix::{Authenticated, Denied, RequireToken},
};
use serde_json::{Value, json};

use crate::issuer::{AUDIENCE, ISSUER, KEYS, current_token, jwks};

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

/// Status, challenge and body of the answer to a request.
async fn answer(request: TestRequest, verifier: Option<Verifier>) -> Answer {
    let app = App::new().service(orders).service(invoices);
    let app = match verifier {
        Some(verifier) => app.app_data(Data::new(verifier)),
        None => app,
    };
    let app = init_service(app).await;
    taken_apart(call_service(&app, request.to_request()).await).await
}

/// Status, challenge and body.
type Answer = (u16, String, String);

async fn taken_apart<B: MessageBody>(response: ServiceResponse<B>) -> Answer {
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
    let (status, challenge, body) = answer(get_with("/orders", &current_token()), verifier()).await;
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
    let (status, challenge, body) =
        answer(get_with("/invoices", &current_token()), verifier()).await;
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
    let token = current_token();
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
    let (status, challenge, body) = answer(get_with("/orders", &current_token()), None).await;
    assert_eq!((status, challenge.as_str()), (503, ""));
    assert_eq!(
        body,
        r#"{"error_description":"The access token cannot be verified right now."}"#
    );
}

async fn of_the_scope(caller: ReqData<Caller>) -> String {
    caller.client_id().to_owned()
}

/// The same of an app whose routes below `/inner` a middleware guards; others stay open.
async fn guarded(request: TestRequest, guard: RequireToken, data: Option<Verifier>) -> Answer {
    let inner = web::scope("/inner")
        .wrap(guard)
        .route("/plain", web::get().to(of_the_scope))
        .service(orders)
        .service(invoices);
    let app = App::new()
        .service(inner)
        .route("/open", web::get().to(async || "open"));
    let app = match data {
        Some(verifier) => app.app_data(Data::new(verifier)),
        None => app,
    };
    let app = init_service(app).await;
    taken_apart(call_service(&app, request.to_request()).await).await
}

fn guard() -> RequireToken {
    RequireToken::new(verifier().unwrap())
}

#[actix_web::test]
async fn a_guarded_scope_is_reached_with_a_good_token_and_what_is_outside_without() {
    for guard in [guard(), guard().scope("orders:read").scope("orders:create")] {
        for path in ["/inner/plain", "/inner/orders"] {
            let request = get_with(path, &current_token());
            let (status, challenge, body) = guarded(request, guard.clone(), None).await;
            let answer = (status, challenge.as_str(), body.as_str());
            assert_eq!(answer, (200, "", "cl_live_1"), "{path}");
        }
        let (status, _, body) = guarded(get("/open"), guard, None).await;
        assert_eq!((status, body.as_str()), (200, "open"));
    }
}

#[actix_web::test]
async fn a_guarded_scope_refuses_before_any_route_is_looked_for() {
    for path in ["/inner/plain", "/inner/orders", "/inner/nowhere"] {
        let (status, challenge, body) = guarded(get(path), guard(), None).await;
        assert_eq!(status, 401, "{path}");
        let bare = format!(r#"Bearer realm="onyx", resource_metadata="{METADATA}""#);
        assert_eq!(challenge, bare);
        let expected = r#"{"error_description":"An access token is required."}"#;
        assert_eq!(body, expected);
    }
    let lacks = get_with("/inner/plain", &current_token());
    let wants = guard().scope("orders:read").scope("x");
    let (status, challenge, _) = guarded(lacks, wants, None).await;
    assert_eq!(status, 403);
    assert!(
        challenge.contains(r#"error="insufficient_scope""#)
            && challenge.contains(r#"scope="orders:read x""#)
            && challenge.contains(METADATA),
        "{challenge}"
    );
}

#[actix_web::test]
async fn a_handler_with_a_verifier_of_its_own_does_not_take_another_audiences_caller() {
    let stricter = verifier().unwrap().for_audience("https://another.example");
    let request = get_with("/inner/orders", &current_token());
    let (status, challenge, _) = guarded(request, guard(), Some(stricter)).await;
    assert_eq!(status, 401);
    assert!(challenge.contains("another service"), "{challenge}");

    let request = get_with("/inner/orders", &current_token());
    assert_eq!(guarded(request, guard(), verifier()).await.0, 200);
}
