//! A middleware that lets nobody in without a good token.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::EitherBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    http::header::{self, HeaderValue},
};

use super::Denied;
use crate::{Verifier, gate::Gate};

/// A middleware: whatever it is wrapped around is reached with a good token only.
///
/// Others are refused as by [`Authenticated`](super::Authenticated), before any handler, extractor
/// or inner middleware runs. The [`Caller`](crate::Caller) goes into the request's extensions, where
/// handlers find it as `web::ReqData<Caller>` or [`Authenticated`](super::Authenticated).
///
/// It also refuses requests without a token that browsers send ahead (CORS preflights): whoever
/// answers those belongs outside of it, so in a later `wrap`.
///
/// ```
/// use actix_web::{App, HttpResponse, web};
/// use onyx_verifier::{Caller, Verifier, actix::RequireToken};
///
/// async fn orders(caller: web::ReqData<Caller>) -> HttpResponse {
///     HttpResponse::Ok().body(format!("the orders of {:?}", caller.partner_id()))
/// }
///
/// fn configure(app: &mut web::ServiceConfig, verifier: Verifier) {
///     app.service(
///         web::scope("/orders")
///             .wrap(RequireToken::new(verifier).scope("orders:read"))
///             .route("", web::get().to(orders)),
///     );
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RequireToken {
    gate: Gate,
}

impl RequireToken {
    /// Wants a token that this verifier finds good.
    ///
    /// ```
    /// # fn example(verifier: onyx_verifier::Verifier) {
    /// let app = actix_web::App::new().wrap(onyx_verifier::actix::RequireToken::new(verifier));
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
    /// use onyx_verifier::{Verifier, actix::RequireToken};
    ///
    /// fn for_writers(verifier: Verifier) -> RequireToken {
    ///     RequireToken::new(verifier).scope("orders:read").scope("orders:create")
    /// }
    /// ```
    #[must_use]
    pub fn scope(self, scope: &str) -> Self {
        Self {
            gate: self.gate.wanting(scope),
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for RequireToken
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = RequireTokenService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(RequireTokenService {
            gate: self.gate.clone(),
            inner: Rc::new(inner),
        }))
    }
}

/// What [`RequireToken`] makes of a service; actix-web is the one who handles it.
///
/// ```
/// use actix_web::dev::Transform;
/// use onyx_verifier::actix::{RequireToken, RequireTokenService};
///
/// fn is_made_by<S, R>()
/// where
///     RequireToken: Transform<S, R, Transform = RequireTokenService<S>>,
///     S: actix_web::dev::Service<R>,
/// {
/// }
/// ```
#[derive(Debug)]
pub struct RequireTokenService<S> {
    gate: Gate,
    inner: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for RequireTokenService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (gate, inner) = (self.gate.clone(), Rc::clone(&self.inner));
        Box::pin(async move {
            let values = request.headers().get_all(header::AUTHORIZATION);
            let verdict = gate
                .pass(values.map(HeaderValue::as_bytes), request.uri().query())
                .await;
            match verdict {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    Ok(inner.call(request).await?.map_into_left_body())
                }
                // An answer and no `Err`: middlewares further out see a response as any other.
                Err(rejection) => {
                    let denied = Denied(rejection, gate.verifier.metadata());
                    let response = denied.error_response();
                    Ok(request.into_response(response).map_into_right_body())
                }
            }
        })
    }
}
