//! The verifier in actix-web (feature `actix`): an argument of handlers, and a middleware.
//!
//! [`RequireToken`] stands around a scope of routes and lets nobody in without a good token;
//! [`Authenticated`] is an argument that a handler cannot be called without. Each does alone;
//! together the handler takes the caller whom the middleware let in.

mod middleware;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    dev::Payload,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Data,
};

use crate::{
    Caller, Rejection, Verifier,
    gate::{REALM, RefusalBody},
};
pub use middleware::{RequireToken, RequireTokenService};

/// The verified caller of a request. A handler that takes one is reached by nobody else.
///
/// Needs a [`Data<Verifier>`](Data) in the app, or [`RequireToken`] around the handler; without
/// either every request is answered with 503. With both, the caller whom the middleware let in is
/// taken if it was for the same issuer and audience, and the token is verified anew if not.
///
/// ```
/// use actix_web::{App, get, web};
/// use onyx_verifier::{Verifier, actix::{Authenticated, Denied}};
///
/// #[get("/orders")]
/// async fn orders(Authenticated(caller): Authenticated) -> Result<String, Denied> {
///     caller.require_scope("orders:read")?;
///     Ok(format!("the orders of {:?}", caller.partner_id()))
/// }
///
/// fn configure(app: &mut web::ServiceConfig, verifier: Verifier) {
///     app.app_data(web::Data::new(verifier)).service(orders);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Authenticated(pub Caller);

impl FromRequest for Authenticated {
    type Error = Denied;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Denied>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let let_in = request.extensions().get::<Caller>().cloned();
            let Some(verifier) = request.app_data::<Data<Verifier>>() else {
                return let_in.map(Self).ok_or_else(|| {
                    log::error!(
                        "neither RequireToken nor Data<Verifier>: every request is refused"
                    );
                    Denied::from(Rejection::Unavailable)
                });
            };
            if let Some(caller) = let_in
                && caller.claims().iss == verifier.issuer()
                && caller.claims().aud.contains(verifier.audience())
            {
                return Ok(Self(caller));
            }
            match authorize(&request, verifier).await {
                Ok(caller) => Ok(Self(caller)),
                Err(rejection) => Err(Denied(rejection, verifier.metadata())),
            }
        })
    }
}

/// Verifies the token of a request, as [`Verifier::authorize`] does, for those who answer in their
/// own way.
///
/// ```
/// use actix_web::HttpRequest;
/// use onyx_verifier::{Rejection, Verifier, actix};
///
/// async fn whoami(request: &HttpRequest, verifier: &Verifier) -> Result<String, Rejection> {
///     Ok(actix::authorize(request, verifier).await?.client_id().to_owned())
/// }
/// ```
pub async fn authorize(request: &HttpRequest, verifier: &Verifier) -> Result<Caller, Rejection> {
    let values = request.headers().get_all(header::AUTHORIZATION);
    verifier
        .authorize(values.map(HeaderValue::as_bytes), request.uri().query())
        .await
}

/// A refusal as a response: its status, its `WWW-Authenticate` and a JSON body
/// `{"error","error_description"}`, without `error` where RFC 6750 has no code.
///
/// One that the extractor or the middleware makes also names the service's metadata
/// ([`Builder::resource_metadata`](crate::Builder::resource_metadata)).
///
/// ```
/// use actix_web::{ResponseError, http::header::WWW_AUTHENTICATE};
/// use onyx_verifier::{Rejection, actix::Denied};
///
/// let response = Denied::from(Rejection::NoCredentials).error_response();
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers().get(WWW_AUTHENTICATE).unwrap(), r#"Bearer realm="onyx""#);
/// ```
#[derive(Clone, Debug)]
pub struct Denied(pub Rejection, Option<Arc<str>>);

impl From<Rejection> for Denied {
    fn from(rejection: Rejection) -> Self {
        Self(rejection, None)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Denied {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl ResponseError for Denied {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(challenge) = self.0.challenge(REALM, self.1.as_deref()) {
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        response
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(RefusalBody::from(&self.0))
    }
}
