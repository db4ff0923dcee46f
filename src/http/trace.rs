//! Around every request: its id, its log line, and the headers that every answer carries.

use std::time::Instant as Stopwatch;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use super::calls;
use crate::app::App;
use crate::domain::id::RequestId;
use crate::logging;

static REQUEST_ID: HeaderName = HeaderName::from_static("onyx-request-id");
static NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Gives the request an id, runs it, and logs method, route, status and milliseconds.
///
/// The path and the query are not logged: they can hold what a partner mistook for a
/// safe place; the route's template says what a reader needs.
pub async fn request<B: MessageBody>(
    app: web::Data<App>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let now = app.clock.now();
    let id = RequestId::generate(now);
    logging::in_request(id.clone(), async move {
        // The route's template is looked for among all routes: only where it is printed.
        let started = Stopwatch::now();
        let logged = log::log_enabled!(log::Level::Info).then(|| request.method().clone());
        let answer = next.call(request).await;
        if let Some(method) = logged {
            log_line(&method, &answer, started);
        }
        let mut answer = answer?;
        calls::note(&app, &id, now, started.elapsed(), &answer);
        let headers = answer.headers_mut();
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            headers.insert(REQUEST_ID.clone(), value);
        }
        if !headers.contains_key(CACHE_CONTROL) {
            // What is for one caller is kept by no cache; what is for all says so itself.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        headers.insert(NOSNIFF.clone(), HeaderValue::from_static("nosniff"));
        Ok(answer)
    })
    .await
}

fn log_line<B>(method: &Method, answer: &Result<ServiceResponse<B>, Error>, started: Stopwatch) {
    let status = match answer {
        Ok(answer) => answer.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let route = match answer {
        Ok(answer) => answer.request().match_pattern(),
        Err(_) => None,
    };
    let route = route.as_deref().unwrap_or("-");
    log::info!(
        "{method} {route} {} {} ms",
        status.as_u16(),
        started.elapsed().as_millis()
    );
}
