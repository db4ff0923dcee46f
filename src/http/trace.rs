//! Around every request: its id, its trace, its log line, what is measured of it, and the headers that
//! every answer carries. A handler that panics is answered here.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Stopwatch};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError, web};
use futures_util::FutureExt;
use log::Level;

use super::calls;
use super::measure::Measured;
use super::problem::Problem;
use super::unread::{self, Held};
use crate::app::App;
use crate::clock::Clock;
use crate::domain::id::RequestId;
use crate::domain::instant::Instant;
use crate::logging::{self, Context, TraceParent};

static REQUEST_ID: HeaderName = HeaderName::from_static("onyx-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Why an answer is no success: the problem's code, or the OAuth error's. Answers carry it for the log.
#[derive(Clone, Copy, Debug)]
pub struct Code(pub &'static str);

/// Gives the request an id, runs it, and logs method, route, status, milliseconds and reason.
///
/// The path and the query are not logged: they can hold what a partner mistook for a
/// safe place; the route's template says what a reader needs. An id that a caller sends is
/// not taken over: ids name exactly one request.
pub(super) async fn request<B: MessageBody>(
    app: web::Data<App>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Held<B>>, Error> {
    let unread = unread::keep(&mut request);
    // Nothing here is spoken but HTTP/1.1: an upgrade is not taken up. actix ends the connection after such a request,
    // and would not say so; a client that goes on to use it loses its next request.
    let offers_another = request.head().upgrade();
    let put_on_record = |id: &RequestId, at, took, answer: &ServiceResponse<B>| {
        calls::note(&app, id, at, took, answer);
    };
    let mut answer = around(&app.clock, request, next, put_on_record).await?;
    // The next request is for another process: this one stops, or hears nothing from its database.
    let is_deaf = answer.status() == StatusCode::SERVICE_UNAVAILABLE && !app.directory.is_fresh();
    if is_deaf || offers_another || app.stopping.load(Ordering::Relaxed) {
        let head = answer.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(unread::hold(answer, unread))
}

async fn around<B: MessageBody>(
    clock: &Clock,
    request: ServiceRequest,
    next: Next<B>,
    put_on_record: impl FnOnce(&RequestId, Instant, Duration, &ServiceResponse<B>),
) -> Result<ServiceResponse<B>, Error> {
    let now = clock.now();
    let id = RequestId::generate(now);
    let context = Context {
        request: id.clone(),
        trace: trace_of(request.headers()),
    };
    logging::in_request(context, async move {
        let (started, method) = (Stopwatch::now(), request.method().clone());
        log::trace!("{method} begins");
        let under_way = UnderWay(&method, started);
        let outcome = AssertUnwindSafe(next.call(request)).catch_unwind().await;
        std::mem::forget(under_way);
        let outcome = outcome.unwrap_or_else(|_| Err(Panicked.into()));
        let took = started.elapsed();
        match outcome {
            Ok(mut answer) => {
                let code = answer.response().extensions().get::<Code>().copied();
                note(
                    &method,
                    answer.request().app_data(),
                    answer.status(),
                    code,
                    took,
                );
                put_on_record(&id, now, took, &answer);
                dress(answer.headers_mut(), &id);
                Ok(answer)
            }
            // What is no answer yet, and has not passed a route.
            Err(error) => {
                let mut answer = error.error_response();
                let code = answer.extensions().get::<Code>().copied();
                note(&method, None, answer.status(), code, took);
                dress(answer.headers_mut(), &id);
                Err(InternalError::from_response("", answer).into())
            }
        }
    })
    .await
}

/// A request without an answer yet. Dropped, it gets none: its connection was reset.
struct UnderWay<'a>(&'a Method, Stopwatch);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let (method, ms) = (self.0.as_str(), self.1.elapsed().as_millis());
        log::info!(method; "{method} - broken off after {ms} ms");
    }
}

/// Where the caller's trace stands (W3C Trace Context §3.2). What is malformed, or sent twice, is as if
/// it had not been sent.
fn trace_of(headers: &HeaderMap) -> Option<logging::Trace> {
    let mut sent = headers.get_all(&TRACEPARENT);
    let parent = sent.next()?.to_str().ok()?.parse::<TraceParent>().ok()?;
    sent.next().is_none().then(|| parent.child())
}

/// The headers that every answer has.
fn dress(headers: &mut HeaderMap, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID.clone(), value);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        // What is for one caller is kept by no cache; what is for all says so itself.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(NOSNIFF.clone(), HeaderValue::from_static("nosniff"));
}

/// Measures, and writes the request's line.
fn note(
    method: &Method,
    route: Option<&Measured>,
    status: StatusCode,
    code: Option<Code>,
    took: Duration,
) {
    let code = code.map(|Code(code)| code);
    let template = match route {
        Some(route) => {
            route.note(method, status, code, took);
            route.template()
        }
        None => {
            Measured::unmatched().note(method, status, code, took);
            "-"
        }
    };
    // Asked every few seconds, these would hide the rest; that one fails is worth a line.
    let is_probe = matches!(template, "/healthz" | "/readyz" | "/metrics") && status.is_success();
    let level = if is_probe { Level::Debug } else { Level::Info };
    if log::log_enabled!(level) {
        log_line(level, method, template, status, code, took);
    }
}

fn log_line(
    level: Level,
    method: &Method,
    route: &str,
    status: StatusCode,
    code: Option<&'static str>,
    took: Duration,
) {
    let (method, status, ms) = (method.as_str(), status.as_u16(), took.as_millis());
    let duration_ms = took.as_secs_f64() * 1000.0;
    match code {
        None => log::log!(
            level,
            method, route, status, duration_ms;
            "{method} {route} {status} {ms} ms"
        ),
        Some(code) => log::log!(
            level,
            method, route, status, duration_ms, code;
            "{method} {route} {status} {ms} ms {code}"
        ),
    }
}

/// A handler panicked: where is in the log, under the request's id.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked;

impl ResponseError for Panicked {
    fn error_response(&self) -> HttpResponse {
        Problem::panicked().error_response()
    }
}

#[cfg(test)]
mod tests;
