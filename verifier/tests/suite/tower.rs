//! The layer, with plain requests of the crate `http`.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::body::Bytes;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use onyx_verifier::{Caller, Verifier, tower::RequireTokenLayer};
use tower_layer::Layer;
use tower_service::Service;

use crate::issuer::{AUDIENCE, ISSUER, KEYS, current_token, jwks};

const METADATA: &str = "https://auth.example/.well-known/oauth-protected-resource/live/v1";

/// A service that says who calls and what came. It insists on being asked first whether it is ready,
/// as tower demands, and no clone of it is ready.
#[derive(Default)]
struct Echo {
    is_ready: bool,
}

impl Clone for Echo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<String>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        assert!(self.is_ready, "called without being ready");
        let caller = request.extensions().get::<Caller>().unwrap();
        let said = format!("{} {}", caller.client_id(), request.body());
        ready(Ok(Response::new(Full::from(said))))
    }
}

fn layer() -> RequireTokenLayer {
    let builder = Verifier::builder(ISSUER, AUDIENCE).resource_metadata(METADATA);
    RequireTokenLayer::new(builder.jwks(jwks(&*KEYS)).unwrap())
}

fn request() -> http::request::Builder {
    Request::get("https://orders.example/orders?limit=1")
}

fn good() -> http::request::Builder {
    request().header(AUTHORIZATION, format!("Bearer {}", current_token()))
}

/// Status, headers and body of the answer to a request.
async fn answer(
    layer: RequireTokenLayer,
    request: http::request::Builder,
) -> (u16, HeaderMap, String) {
    let mut service = layer.layer(Echo::default());
    std::future::poll_fn(|context| service.poll_ready(context))
        .await
        .unwrap();
    let request = request.body("body".to_owned()).unwrap();
    let (parts, body) = service.call(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (parts.status.as_u16(), parts.headers, body)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).map(|value| value.to_str().unwrap());
    value.unwrap_or_default()
}

#[tokio::test]
async fn a_service_is_reached_with_a_good_token_and_told_who_calls() {
    for layer in [layer(), layer().scope("orders:read").scope("orders:create")] {
        let (status, headers, body) = answer(layer, good()).await;
        assert_eq!((status, body.as_str()), (200, "cl_live_1 body"));
        assert!(headers.is_empty(), "{headers:?}");
    }
}

#[tokio::test]
async fn refusals_are_those_of_bearer_tokens() {
    let twice = good().header(AUTHORIZATION, "Bearer x");
    let bad = request().header(AUTHORIZATION, "Bearer a.b.c");
    for (request, status, code) in [
        (request(), 401, None),
        (bad, 401, Some("invalid_token")),
        (twice, 400, Some("invalid_request")),
    ] {
        let (refused, headers, body) = answer(layer(), request).await;
        assert_eq!(refused, status, "{body}");
        let challenge = text(&headers, "www-authenticate");
        let bare = format!(r#"Bearer realm="onyx", resource_metadata="{METADATA}""#);
        match code {
            None => assert_eq!(challenge, bare),
            Some(code) => {
                assert!(challenge.contains(&format!("error=\"{code}\"")));
                assert!(challenge.contains(METADATA), "{challenge}");
                assert!(body.contains(&format!("\"error\":\"{code}\"")), "{body}");
            }
        }
        assert_eq!(text(&headers, "content-type"), "application/json");
        assert_eq!(text(&headers, "cache-control"), "no-store");
        assert_eq!(text(&headers, "content-length"), body.len().to_string());
    }
}

#[tokio::test]
async fn a_missing_scope_is_forbidden_and_all_that_are_needed_are_named() {
    let layer = layer().scope("orders:read").scope(" invoices:read ");
    let (status, headers, _) = answer(layer, good()).await;
    assert_eq!(status, 403);
    let challenge = text(&headers, "www-authenticate");
    assert!(
        challenge.contains(r#"scope="orders:read invoices:read""#),
        "{challenge}"
    );
}

#[tokio::test]
async fn grpc_callers_are_refused_in_their_own_words() {
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;x=y",
    ] {
        let bad = request().header(AUTHORIZATION, "Bearer a.b.c");
        for (request, layer, status, message) in [
            (request(), layer(), "16", "An access token is required."),
            (bad, layer(), "16", "The access token is not valid."),
            (
                good(),
                layer().scope("x"),
                "7",
                "The access token lacks a scope.",
            ),
        ] {
            let request = request.header("content-type", kind);
            let (refused, headers, body) = answer(layer, request).await;
            assert_eq!((refused, body.as_str()), (200, ""));
            assert_eq!(text(&headers, "grpc-status"), status);
            assert_eq!(text(&headers, "grpc-message"), message);
            assert_eq!(text(&headers, "content-type"), kind);
        }
        let called = good().header("content-type", kind);
        assert_eq!(answer(layer(), called).await.2, "cl_live_1 body");
    }
    // What only looks like gRPC is answered as all others are.
    let other = request().header("content-type", "application/grpcx");
    assert_eq!(answer(layer(), other).await.0, 401);
}

#[tokio::test]
async fn a_grpc_caller_that_cannot_be_judged_may_try_again() {
    // Keys from a while ago that nobody refreshes.
    let server = crate::server::Server::start();
    let keys = serde_json::json!(jwks(&*KEYS));
    server.serve("/jwks", crate::server::Answer::json(keys));
    let verifier = Verifier::builder(ISSUER, AUDIENCE)
        .jwks_uri(server.url("/jwks"))
        .max_key_age(std::time::Duration::ZERO)
        .connect()
        .await
        .unwrap();
    let layer = RequireTokenLayer::new(verifier);
    let (status, headers, _) = answer(layer.clone(), good()).await;
    assert_eq!((status, text(&headers, "www-authenticate")), (503, ""));
    let call = good().header("content-type", "application/grpc");
    let (status, headers, _) = answer(layer, call).await;
    assert_eq!((status, text(&headers, "grpc-status")), (200, "14"));
}

#[cfg(feature = "axum")]
mod in_axum {
    use axum::{Router, routing::get};
    use onyx_verifier::Rejection;

    use super::*;

    async fn orders(caller: Caller) -> Result<String, Rejection> {
        caller.require_scope("orders:read")?;
        Ok(caller.client_id().to_owned())
    }

    async fn invoices(caller: Caller) -> Result<String, Rejection> {
        caller.require_scope("invoices:read")?;
        Ok(String::new())
    }

    async fn ask(mut app: Router, request: http::request::Builder) -> (u16, HeaderMap, String) {
        let request = request.body(axum::body::Body::empty()).unwrap();
        let (parts, body) = app.call(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (parts.status.as_u16(), parts.headers, body)
    }

    fn routes() -> Router {
        Router::new()
            .route("/orders", get(orders))
            .route("/invoices", get(invoices))
    }

    #[tokio::test]
    async fn a_handler_takes_the_caller_and_refuses_for_want_of_a_scope() {
        let app = routes().layer(layer());
        let (status, _, body) = ask(app.clone(), good()).await;
        assert_eq!((status, body.as_str()), (200, "cl_live_1"));
        assert_eq!(ask(app.clone(), request()).await.0, 401);
        let (status, headers, _) = ask(app, good().uri("/invoices")).await;
        assert_eq!(status, 403);
        assert!(text(&headers, "www-authenticate").contains(r#"scope="invoices:read""#));
    }

    #[tokio::test]
    async fn without_the_layer_nobody_gets_in() {
        assert_eq!(ask(routes(), good()).await.0, 503);
    }
}
