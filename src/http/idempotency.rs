//! The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), and answers given again.

mod key;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::problem::Problem;
use super::remarks::remark;
use crate::app::App;
use crate::domain::call::Idempotency;
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::partner::PartnerError;
use crate::partner::idempotency::{self, Answer, Once, Outcome, Place};
use crate::store::Db;

pub use key::{IdempotencyKey, OptionalKey};

static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Executes an operator's request in one transaction, or answers what it was answered before under its key.
pub async fn execute_for_operator<F>(
    app: &App,
    once: Option<Once>,
    now: Instant,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(&mut Db) -> Result<Answer, PartnerError> + Send + 'static,
{
    let Some(once) = once else {
        let written = app.store.write(work);
        return sent(Outcome::Executed(written.await?));
    };
    let once = once.kept_for(app.answers_kept());
    let place = app.running.enter(&once)?;
    let written = app.store.write(move |db| {
        let outcome = idempotency::once(db, &once, now, |db, _| work(db))?;
        // Given back after the commit, also where the caller has gone.
        Ok::<_, PartnerError>((outcome, place))
    });
    let (outcome, _) = written.await?;
    sent(outcome)
}

/// Executes a tenant's request in one transaction, or answers what it was answered before.
pub async fn execute<F>(
    request: &HttpRequest,
    app: &App,
    tenant: Tenant,
    once: Once,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(&mut Db, &Once) -> Result<Outcome, PartnerError> + Send + 'static,
{
    let at = enter(request, app, once)?;
    execute_at(request, app, tenant, at, work).await
}

/// A request with its place among those that run, or that it runs already.
fn enter(request: &HttpRequest, app: &App, once: Once) -> Result<(Once, Place), Problem> {
    let once = once.kept_for(app.answers_kept());
    let entered = app.running.enter(&once);
    if let Err(PartnerError::InProgress) = &entered {
        remark(request, |remarks| {
            remarks.idempotency(Idempotency::InProgress);
        });
    }
    Ok((once, entered?))
}

/// Executes a tenant's request that has its place.
async fn execute_at<F>(
    request: &HttpRequest,
    app: &App,
    tenant: Tenant,
    (once, place): (Once, Place),
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(&mut Db, &Once) -> Result<Outcome, PartnerError> + Send + 'static,
{
    // The place goes along: it is given back after the commit, also where the caller has gone.
    let write = move |db: &mut Db, _: &Tenant| Ok::<_, PartnerError>((work(db, &once)?, place));
    let written = app.store.write_as(tenant, write).await;
    let done = written.map(|(outcome, _)| outcome);
    note(request, &done);
    sent(done?)
}

/// Executes a request that may come without a key; with one, once. `work` answers what is kept under it.
pub async fn execute_if_keyed<F>(
    request: &HttpRequest,
    app: &App,
    tenant: Tenant,
    once: Option<Once>,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(&mut Db, &Tenant) -> Result<Answer, PartnerError> + Send + 'static,
{
    let at = once.map(|once| enter(request, app, once)).transpose()?;
    Execution(at).finish(request, app, tenant, work).await
}

/// A request whose work begins outside the database, which asking again must not do again.
pub enum Begun {
    /// It was executed before, under its key: this was the answer.
    Before(HttpResponse),
    /// It runs now, and no other under its key does in this process. On another node one may: of both, one is written
    /// down.
    Now(Execution),
}

/// A request that runs, with its key and its place where it has one.
pub struct Execution(Option<(Once, Place)>);

/// Begins such a request.
pub async fn begin(
    request: &HttpRequest,
    app: &App,
    tenant: &Tenant,
    once: Option<Once>,
) -> Result<Begun, Problem> {
    let Some(once) = once else {
        return Ok(Begun::Now(Execution(None)));
    };
    // Before it is looked at: of those that come at once, one goes on.
    let (once, place) = enter(request, app, once)?;
    let (tenant, now, asked) = (tenant.clone(), app.clock.now(), once.clone());
    let read = app
        .store
        .read_as(tenant, move |db, _| idempotency::before(db, &asked, now));
    match read.await.transpose() {
        None => Ok(Begun::Now(Execution(Some((once, place))))),
        Some(done) => {
            note(request, &done);
            sent(done?).map(Begun::Before)
        }
    }
}

impl Execution {
    /// Writes down what came of it. `work` answers what is kept under the key, if there is one.
    pub async fn finish<F>(
        self,
        request: &HttpRequest,
        app: &App,
        tenant: Tenant,
        work: F,
    ) -> Result<HttpResponse, Problem>
    where
        F: FnOnce(&mut Db, &Tenant) -> Result<Answer, PartnerError> + Send + 'static,
    {
        let Some(at) = self.0 else {
            return sent(Outcome::Executed(app.store.write_as(tenant, work).await?));
        };
        let now = app.clock.now();
        let owner = tenant.clone();
        execute_at(request, app, owner, at, move |db, once| {
            idempotency::once(db, once, now, |db, _| work(db, &tenant))
        })
        .await
    }
}

/// What the request log says of the key.
fn note(request: &HttpRequest, done: &Result<Outcome, PartnerError>) {
    let (said, order) = match done {
        Ok(Outcome::Executed(answer)) => (Idempotency::Executed, answer.resource.as_deref()),
        Ok(Outcome::Replayed(answer)) => (Idempotency::Replayed, answer.resource.as_deref()),
        Err(PartnerError::KeyReused) => (Idempotency::Mismatch, None),
        Err(PartnerError::InProgress) => (Idempotency::InProgress, None),
        Err(_) => return,
    };
    remark(request, |remarks| {
        remarks.idempotency(said);
        // What is not an order's id names none.
        if let Some(order) = order.and_then(|id| id.parse().ok()) {
            remarks.order(&order);
        }
    });
}

/// A view as an answer that can be kept.
pub fn kept(
    status: StatusCode,
    location: Option<String>,
    view: &impl Serialize,
    resource: Option<impl ToString>,
) -> Result<Answer, PartnerError> {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    headers.extend(location.map(|place| ("location".to_owned(), place)));
    let body = serde_json::to_string(view).map_err(PartnerError::Unwritable)?;
    Ok(Answer {
        status: status.as_u16(),
        headers,
        body,
        resource: resource.map(|resource| resource.to_string()),
    })
}

fn sent(outcome: Outcome) -> Result<HttpResponse, Problem> {
    let (answer, again) = match outcome {
        Outcome::Executed(answer) => (answer, false),
        Outcome::Replayed(answer) => (answer, true),
    };
    let status = StatusCode::from_u16(answer.status).map_err(|error| Problem::internal(&error))?;
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers {
        response.insert_header((name, value));
    }
    if again {
        response.insert_header((REPLAYED.clone(), HeaderValue::from_static("true")));
    }
    Ok(response.body(answer.body))
}

/// The same key is at work: a moment later it has been.
pub(super) fn in_progress(detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "idempotency_in_progress", detail)
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}
