//! Verifies the access tokens of an Onyx Auth server, statelessly: with the issuer's public keys,
//! which it fetches and keeps fresh, and without asking anybody about a token. It follows the issuer's
//! revocations besides, so that a revoked token is refused within a fraction of a second.
//!
//! Tokens are JWT access tokens after RFC 9068, checked as RFC 8725 advises; a refusal knows the
//! answer that RFC 6750 wants.
//!
//! - [Five minutes](#five-minutes)
//! - [What is checked](#what-is-checked)
//! - [When the news is old](#when-the-news-is-old)
//! - [What a refusal means](#what-a-refusal-means)
//! - [actix-web](#actix-web), [axum, tonic, hyper](#axum-tonic-hyper)
//! - [Testing your own service](#testing-your-own-service)
//!
//! # Five minutes
//!
//! Register your service as an audience, and give it a credential of its own:
//!
//! ```text
//! onyx-auth resource-server create --realm live --identifier https://orders.example \
//!   --name orders --scope orders:read --field client_id        # cl_live_…
//! onyx-auth credential issue --client cl_live_…                # the secret, this once
//! ```
//!
//! And grant a partner the scope there; its clients then ask for tokens with `resource=https://orders.example`:
//!
//! ```text
//! onyx-auth grant request --partner ptn_… --realm live --scope orders:read --resource https://orders.example \
//!   --purpose "places its shop's orders"            # in live another operator approves it
//! onyx-auth token request --credential FILE --resource https://orders.example
//! ```
//!
//! One [`Verifier`] for each issuer and audience, made once and cloned freely:
//!
//! ```no_run
//! # async fn example(secret: String) -> Result<(), Box<dyn std::error::Error>> {
//! use onyx_verifier::Verifier;
//!
//! let verifier = Verifier::builder("https://auth.example/live", "https://orders.example")
//!     .follow("cl_live_01J9ZW3Y7M5Q8K2T4V6X8Z0A1B", secret)
//!     .connect()
//!     .await?;
//!
//! let header = "Bearer eyJ…";
//! match verifier.authorize([header.as_bytes()].into_iter(), None).await {
//!     Ok(caller) if caller.has_scope("orders:read") => println!("{:?}", caller.partner_id()),
//!     Ok(_) => println!("403"),
//!     Err(rejection) => println!("{} {:?}", rejection.status(), rejection.challenge("orders", None)),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Most services never call it themselves: a middleware does. See [actix-web](#actix-web) and
//! [axum, tonic, hyper](#axum-tonic-hyper); `examples/actix_service.rs` and `examples/axum_service.rs`
//! are whole programs. Whoever calls is a [`Caller`]; the tenant is [`Caller::partner_id`], from the
//! token and never from the request.
//!
//! # What is checked
//!
//! In this order; the first failure is the answer.
//!
//! 1. The form: at most 8 KiB, compact serialisation, strict base64url, JSON without repeated members.
//! 2. The header: `typ` is `at+jwt`; none of `crit`, `b64`, `jku`, `jwk`, `x5u`, `x5c`.
//! 3. The key that `kid` names, and that `alg` is the one algorithm of that key.
//! 4. The signature: ES256, RS256, PS256 or EdDSA (Ed25519).
//! 5. The required claims, and that the token is not bound to a key (`cnf`).
//! 6. `iss`, `aud`, `exp`, `nbf`, `iat`.
//! 7. Whether the token, its credential, client, partner, key or a grant that it carries was revoked
//!    since it was issued ([`Builder::follow`], or [`Builder::revocations`] where somebody else listens).
//! 8. How old the news of revocations is.
//!
//! Scopes are yours to demand: what a call needs is known to nobody else. A verifier that does not
//! follow revocations accepts a revoked token until it expires, at most 15 minutes.
//!
//! # When the news is old
//!
//! The issuer says every five seconds that it is alive and has heard its database. When that has not
//! come for [`Builder::max_staleness`] (10 seconds), whether by a broken network or a broken issuer,
//! nobody here can know what was revoked since. [`Staleness`] says what then counts:
//!
//! | | good tokens | choose it where |
//! |---|---|---|
//! | [`Staleness::Strict`] | refused with 503 | a revoked caller must never get in (the default) |
//! | [`Staleness::Introspect`] | the issuer is asked about each (RFC 7662); 503 where it does not answer | calls are few, and only the stream may break |
//! | [`Staleness::Lenient`] | accepted until they expire, and counted | being up matters more |
//!
//! Two numbers belong into your metrics: [`Verifier::news_age`], and
//! [`Verifier::accepted_while_stale`], which only `Lenient` moves.
//!
//! ```
//! use onyx_verifier::Verifier;
//!
//! fn metrics(verifier: &Verifier) -> String {
//!     let age = verifier.news_age().map_or(f64::NAN, |age| age.as_secs_f64());
//!     format!(
//!         "revocation_news_age_seconds {age}\naccepted_while_stale_total {}\n",
//!         verifier.accepted_while_stale()
//!     )
//! }
//! ```
//!
//! # What a refusal means
//!
//! | [`Rejection`] | status | what to do |
//! |---|---|---|
//! | [`NoCredentials`](Rejection::NoCredentials) | 401 | the caller sends `Authorization: Bearer …` |
//! | [`InvalidRequest`](Rejection::InvalidRequest) | 400 | the caller sends one token, in one header, and none in the URL |
//! | [`InvalidToken`](Rejection::InvalidToken) | 401 | the caller fetches a new token; [`TokenFault`] says what was wrong |
//! | [`InsufficientScope`](Rejection::InsufficientScope) | 403 | the caller asks for the scope, its operator grants it |
//! | [`Unavailable`](Rejection::Unavailable) | 503 | you look at the way from here to the issuer |
//!
//! `Display` is for your log and says exactly what failed; [`Rejection::description`] is for the
//! caller and tells whoever forges tokens nothing. [`ConnectError`] says why there is no verifier at
//! all: let the service end with it, rather than run without one.
//!
//! # actix-web
//!
//! Feature `actix`: `actix::RequireToken` wraps a scope of routes,
//! and `actix::Authenticated` is an argument that a handler cannot be called without.
//!
#![cfg_attr(feature = "actix", doc = "```")]
#![cfg_attr(not(feature = "actix"), doc = "```ignore")]
//! use actix_web::{App, get, web};
//! use onyx_verifier::{Verifier, actix::{Authenticated, Denied, RequireToken}};
//!
//! #[get("")]
//! async fn list(Authenticated(caller): Authenticated) -> Result<String, Denied> {
//!     Ok(format!("the orders of {:?}", caller.partner_id()))
//! }
//!
//! fn configure(app: &mut web::ServiceConfig, verifier: Verifier) {
//!     let guard = RequireToken::new(verifier).scope("orders:read");
//!     app.service(web::scope("/orders").wrap(guard).service(list));
//! }
//! ```
//!
//! # axum, tonic, hyper
//!
//! Feature `tower`: `tower::RequireTokenLayer` goes around anything that serves `http::Request`s,
//! and refuses gRPC calls by gRPC's status. Feature `axum` also makes [`Caller`] an argument of
//! handlers and [`Rejection`] an answer of theirs.
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use axum::{Router, routing::get};
//! use onyx_verifier::{Caller, Verifier, tower::RequireTokenLayer};
//!
//! async fn list(caller: Caller) -> String {
//!     format!("the orders of {:?}", caller.partner_id())
//! }
//!
//! fn app(verifier: Verifier) -> Router {
//!     Router::new()
//!         .route("/orders", get(list))
//!         .layer(RequireTokenLayer::new(verifier).scope("orders:read"))
//! }
//! ```
//!
//! # Testing your own service
//!
//! Sign tokens with a key of your test's own and give the verifier its public half: no server, no
//! network, and everything is checked as in production.
//!
//! ```
//! use std::time::{SystemTime, UNIX_EPOCH};
//! use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
//! use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
//! use jsonwebtoken::{EncodingKey, Header, encode};
//! use onyx_verifier::{JwkSet, Verifier};
//! use serde_json::json;
//!
//! let pair = Ed25519KeyPair::generate()?;
//! let keys: JwkSet = serde_json::from_value(json!({ "keys": [{
//!     "kty": "OKP", "crv": "Ed25519", "kid": "test", "alg": "EdDSA",
//!     "x": URL_SAFE_NO_PAD.encode(pair.public_key()),
//! }] }))?;
//! let verifier = Verifier::builder("https://auth.test/live", "https://orders.test").jwks(keys)?;
//!
//! let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
//! let claims = json!({
//!     "iss": "https://auth.test/live", "aud": "https://orders.test",
//!     "sub": "cl_live_test", "client_id": "cl_live_test", "partner_id": "ptn_test",
//!     "scope": "orders:read", "iat": now, "nbf": now, "exp": now + 300, "jti": "test",
//! });
//! let header = Header {
//!     typ: Some("at+jwt".into()),
//!     kid: Some("test".into()),
//!     ..Header::new(jsonwebtoken::Algorithm::EdDSA)
//! };
//! let key = EncodingKey::from_ed_der(pair.to_pkcs8v1()?.as_ref());
//! let token = encode(&header, &claims, &key)?;
//!
//! let caller = verifier.verify_at(&token, now.cast_signed())?;
//! assert_eq!(caller.partner_id(), Some("ptn_test"));
//! assert!(caller.require_scope("orders:create").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Against a real server, `onyx-auth quickstart` brings one up with a partner and a client in one
//! command; what the two examples do then, your service can do too.

#![warn(missing_docs)]

mod bearer;
mod builder;
mod caller;
mod claims;
mod error;
mod fetch;
mod filter;
mod follow;
#[cfg(any(feature = "actix", feature = "tower"))]
mod gate;
mod json;
mod jwks;
mod keys;
mod refresh;
mod revocations;
mod token;
mod verifier;
mod warm;

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "tower")]
pub mod tower;

pub use builder::Builder;
pub use caller::Caller;
pub use claims::{Audience, Claims, StatusClaim, StatusListRef};
pub use error::{ConnectError, Rejection, TokenFault};
pub use follow::{FeedError, Staleness};
pub use jwks::{Algorithm, Jwk, JwkKey, JwkSet, UnknownAlgorithm};
pub use revocations::{Revocation, RevocationKind, Revocations};
pub use token::MAX_LENGTH as MAX_TOKEN_LENGTH;
pub use verifier::Verifier;
