//! The verifier as a layer of tower (feature `tower`), for axum, tonic, hyper and whatever else
//! serves [`http::Request`]s.
//!
//! [`RequireTokenLayer`] stands around services and lets nobody in without a good token. The
//! [`Caller`](crate::Caller) goes into the request's extensions.
//!
//! # gRPC
//!
//! A call whose content type is `application/grpc` is refused in gRPC's own words: a response of
//! trailers only, with `grpc-status` 16 (UNAUTHENTICATED), 7 (PERMISSION_DENIED) where a scope is
//! missing, or 14 (UNAVAILABLE) where the token cannot be judged. For tonic the layer goes around
//! the whole server:
//!
//! ```text
//! tonic::transport::Server::builder()
//!     .layer(RequireTokenLayer::new(verifier).scope("stock:read"))
//!     .add_service(StockServer::new(stock))       // request.extensions().get::<Caller>()
//! ```

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use http_body_util::{Either, Full};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Rejection, Verifier,
    gate::{Gate, REALM, RefusalBody},
};

/// The body of an answer: the inner service's, or that of a refusal.
///
/// ```
/// use http_body_util::{Either, Full};
/// use onyx_verifier::tower::Body;
///
/// let refusal: Body<Full<bytes::Bytes>> = Either::Right(Full::from("no"));
/// ```
pub type Body<B> = Either<B, Full<Bytes>>;

/// A layer: whatever it is laid around is reached with a good token only.
///
/// Others are refused as RFC 6750 wants it, before the inner service is called. Handlers find the
/// [`Caller`](crate::Caller) in the request's extensions: in axum as `Extension<Caller>`, or as
/// `Caller` with the feature `axum`; in tonic as `request.extensions().get::<Caller>()`.
///
/// It also refuses requests without a token that browsers send ahead (CORS preflights): whoever
/// answers those belongs outside of it.
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use onyx_verifier::{Caller, Verifier, tower::RequireTokenLayer};
///
/// async fn orders(Extension(caller): Extension<Caller>) -> String {
///     format!("the orders of {:?}", caller.partner_id())
/// }
///
/// fn app(verifier: Verifier) -> Router {
///     Router::new()
///         .route("/orders", get(orders))
///         // Around the routes so far; what is added later stays open.
///         .layer(RequireTokenLayer::new(verifier).scope("orders:read"))
///         .route("/health", get(async || "up"))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RequireTokenLayer {
    gate: Gate,
}

impl RequireTokenLayer {
    /// Wants a token that this verifier finds good.
    ///
    /// ```
    /// # fn example(verifier: onyx_verifier::Verifier) {
    /// let app: axum::Router =
    ///     axum::Router::new().layer(onyx_verifier::tower::RequireTokenLayer::new(verifier));
    /// # }
    /// ```
    pub fn new(verifier: Verifier) -> Self {
        Self {
            gate: Gate::new(verifier),
        }
    }

    /// Wants this scope besides, or several separated by spaces; calls add up. Who lacks one is
    /// answered with 403.
    ///
    /// ```
    /// use onyx_verifier::{Verifier, tower::RequireTokenLayer};
    ///
    /// fn for_writers(verifier: Verifier) -> RequireTokenLayer {
    ///     RequireTokenLayer::new(verifier).scope("orders:read orders:create")
    /// }
    /// ```
    #[must_use]
    pub fn scope(self, scope: &str) -> Self {
        Self {
            gate: self.gate.wanting(scope),
        }
    }
}

impl<S> Layer<S> for RequireTokenLayer {
    type Service = RequireToken<S>;

    fn layer(&self, inner: S) -> RequireToken<S> {
        RequireToken {
            gate: self.gate.clone(),
            inner,
        }
    }
}

/// What [`RequireTokenLayer`] makes of a service.
///
/// ```
/// use onyx_verifier::{Verifier, tower::{RequireToken, RequireTokenLayer}};
/// use tower_layer::Layer;
///
/// fn guarded<S>(verifier: Verifier, service: S) -> RequireToken<S> {
///     RequireTokenLayer::new(verifier).layer(service)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RequireToken<S> {
    gate: Gate,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for RequireToken<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let gate = self.gate.clone();
        // The one that is ready is called; its clone may not be.
        let ready = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, ready);
        Box::pin(async move {
            // In parts, since bodies are seldom `Sync`.
            let (mut parts, body) = request.into_parts();
            let values = parts.headers.get_all(AUTHORIZATION).iter();
            let verdict = gate
                .pass(values.map(HeaderValue::as_bytes), parts.uri.query())
                .await;
            match verdict {
                Ok(caller) => {
                    parts.extensions.insert(caller);
                    let answer = inner.call(Request::from_parts(parts, body)).await?;
                    Ok(answer.map(Either::Left))
                }
                Err(rejection) => {
                    let metadata = gate.verifier.resource_metadata();
                    let refusal = match grpc_type(&parts.headers) {
                        Some(kind) => grpc_refusal(&rejection, kind.clone()),
                        None => refusal(&rejection, metadata),
                    };
                    Ok(refusal.map(Either::Right))
                }
            }
        })
    }
}

/// A refusal as a response: status, `WWW-Authenticate`, and a JSON body
/// `{"error","error_description"}`, without `error` where RFC 6750 has no code.
///
/// For services that refuse by themselves, for example because of a scope that only one of their
/// routes needs. `resource_metadata` is as for [`Rejection::challenge`].
///
/// ```
/// use onyx_verifier::{Rejection, tower::refusal};
///
/// let response = refusal(&Rejection::NoCredentials, None);
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="onyx""#);
/// ```
pub fn refusal(rejection: &Rejection, resource_metadata: Option<&str>) -> Response<Full<Bytes>> {
    // Two short texts: there is nothing in them that JSON cannot say.
    let body = serde_json::to_vec(&RefusalBody::from(rejection)).unwrap_or_default();
    let challenge = rejection.challenge(REALM, resource_metadata);
    let challenge = challenge.and_then(|value| HeaderValue::try_from(value).ok());
    let mut response = Response::new(Full::from(body.clone()));
    *response.status_mut() =
        StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The content type of a gRPC call, `application/grpc` with or without a suffix. `None`: it is none.
fn grpc_type(headers: &HeaderMap) -> Option<&HeaderValue> {
    let kind = headers.get(CONTENT_TYPE)?;
    kind.as_bytes()
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b'-' | b';')))
        .then_some(kind)
}

/// Trailers only: status and message stand in the only headers there are (gRPC over HTTP/2,
/// "Responses").
fn grpc_refusal(rejection: &Rejection, kind: HeaderValue) -> Response<Full<Bytes>> {
    let status = match rejection {
        Rejection::NoCredentials | Rejection::InvalidRequest(_) | Rejection::InvalidToken(_) => 16,
        Rejection::InsufficientScope { .. } => 7,
        Rejection::Unavailable => 14,
    };
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from(status),
    );
    // Descriptions are ASCII without `%`, so nothing is to be escaped.
    if let Ok(message) = HeaderValue::from_str(rejection.description()) {
        headers.insert(HeaderName::from_static("grpc-message"), message);
    }
    response
}
