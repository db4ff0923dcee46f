//! The caller in axum (feature `axum`), behind a
//! [`RequireTokenLayer`](crate::tower::RequireTokenLayer).
//!
//! A handler takes a [`Caller`] as an argument, and answers a [`Rejection`] where a scope is missing
//! that it alone needs:
//!
//! ```
//! use axum::{Router, routing::get};
//! use onyx_verifier::{Caller, Rejection, Verifier, tower::RequireTokenLayer};
//!
//! async fn orders(caller: Caller) -> Result<String, Rejection> {
//!     caller.require_scope("orders:read")?;
//!     Ok(format!("the orders of {:?}", caller.partner_id()))
//! }
//!
//! fn app(verifier: Verifier) -> Router {
//!     Router::new()
//!         .route("/orders", get(orders))
//!         .layer(RequireTokenLayer::new(verifier))
//! }
//! ```

use axum_core::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{Caller, Rejection, tower};

/// The caller whom the layer let in; where no layer stands around the route, every request is
/// answered with 503.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            log::error!("no RequireTokenLayer around this route: every request is refused");
            Rejection::Unavailable
        })
    }
}

/// As [`tower::refusal`] answers, without the service's metadata.
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        tower::refusal(&self, None).map(Body::new)
    }
}
