//! `/{env}/v1/replays`: events that are sent to an endpoint again.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::webhook_endpoints::view::optional_event_types;
use crate::app::App;
use crate::domain::id::{ReplayId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::replay::{ReplayState, Selection};
use crate::domain::tenant::Tenant;
use crate::domain::webhook::EventTypes;
use crate::http::admin::Nothing;
use crate::http::extract::{EventsReplay, Granted};
use crate::http::idempotency::{self, Begun, OptionalKey};
use crate::http::members::Members;
use crate::http::openapi::domain::Environment;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::partner::replays::{self, NewReplay, Shown};
use crate::store::Db;

/// A replay.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
pub struct ReplayView {
    id: ReplayId,
    #[schema(value_type = Environment)]
    env: Realm,
    endpoint_id: WebhookEndpointId,
    state: ReplayState,
    only: Selection,
    /// Events from this moment on.
    from: Option<Instant>,
    /// Events from before this moment.
    to: Option<Instant>,
    /// `null`: all that the endpoint asks for.
    event_types: Option<EventTypes>,
    /// How many events were meant when it was asked for.
    count: i64,
    /// How many of them have arrived.
    succeeded: i64,
    /// How many failed and are tried again.
    retrying: i64,
    /// How many failed for good, or are not tried again.
    failed: i64,
    created_at: Instant,
    started_at: Option<Instant>,
    ended_at: Option<Instant>,
}

impl From<Shown> for ReplayView {
    fn from(Shown { replay, progress }: Shown) -> Self {
        Self {
            id: replay.id,
            env: replay.realm,
            endpoint_id: replay.endpoint_id,
            state: replay.state,
            only: replay.selection,
            from: replay.from_at,
            to: replay.to_at,
            event_types: replay.event_types,
            count: replay.count,
            succeeded: progress.succeeded,
            retrying: progress.retrying,
            failed: progress.failed,
            created_at: replay.created_at,
            started_at: replay.started_at,
            ended_at: replay.ended_at,
        }
    }
}

/// A replay to be.
#[derive(Debug, ToSchema)]
#[schema(as = NewReplay, example = json!({
    "endpoint_id": "whe_01K2ZJ6V9D3M5K7N2R4T6W8Y0A", "only": "failed", "from": "2026-11-20T00:00:00Z",
    "dry_run": true
}))]
pub struct NewReplayBody {
    pub endpoint_id: WebhookEndpointId,
    /// Events from this moment on; all that are kept, unless said otherwise.
    pub from: Option<Instant>,
    /// Events from before this moment.
    pub to: Option<Instant>,
    /// All that the endpoint asks for, unless said otherwise.
    pub event_types: Option<EventTypes>,
    pub only: Selection,
    /// Whether it is only counted, to be run later or not at all.
    pub dry_run: Option<bool>,
}

/// Has events sent to one of the caller's endpoints again.
///
/// Each is sent under its own `webhook-id`, signed anew, with `"replay": {"id": "rpl_…"}` in its body. What
/// is new goes first. A replay says nothing about how the endpoint does. With `dry_run` the events are
/// counted and nothing is sent before `…/run`.
#[utoipa::path(
    post, path = "/{env}/v1/replays", operation_id = "create_replay", tag = "webhooks",
    request_body = NewReplayBody,
    responses(
        (status = 201, description = "The replay, `previewed` or `running`", body = ReplayView,
            headers(("Location" = String, description = "Where it is read."))),
        Conflict,
    )
)]
pub async fn create(
    who: Granted<EventsReplay>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let body = Members::read(&request, payload).await?;
    let once = key.once(&who.tenant, "replays.create", request.path(), &body)?;
    let (new, act) = (new_replay(body)?, app.partner_act(who.actor));
    let running = match idempotency::begin(&request, &app, &who.tenant, once).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(running) => running,
    };
    let counting = act.clone();
    let counted = app.store.read_as(who.tenant.clone(), move |db, tenant| {
        replays::count(db, tenant, &counting, new)
    });
    let counted = counted.await?;
    let create = move |db: &mut Db, tenant: &Tenant| {
        let view = ReplayView::from(replays::create(db, tenant, &act, counted)?);
        let location = format!("/{}/v1/replays/{}", view.env, view.id);
        idempotency::kept(StatusCode::CREATED, Some(location), &view, Some(&view.id))
    };
    running.finish(&request, &app, who.tenant, create).await
}

fn new_replay(mut body: Members) -> Result<NewReplay, Problem> {
    let taken = (
        body.parsed("endpoint_id"),
        body.optional_parsed::<Instant>("from"),
        body.optional_parsed::<Instant>("to"),
        optional_event_types(&mut body, "event_types"),
        body.parsed("only"),
        body.optional_flag("dry_run"),
    );
    if let (_, Some(Some(from)), Some(Some(to)), ..) = &taken
        && from >= to
    {
        body.refuse("to", "must be after from");
    }
    let (endpoint_id, from, to, event_types, selection, dry_run) = body.finish(taken)?;
    Ok(NewReplay {
        endpoint_id,
        from,
        to,
        event_types,
        selection,
        dry_run: dry_run.unwrap_or(false),
    })
}

/// Shows a replay, and what became of its events so far.
#[utoipa::path(
    get, path = "/{env}/v1/replays/{id}", operation_id = "show_replay", tag = "webhooks",
    params(("id" = ReplayId, Path, description = "The replay")),
    responses((status = 200, description = "The replay", body = ReplayView))
)]
pub async fn show(
    who: Granted<EventsReplay>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<ReplayView>, Problem> {
    let id = id(&path)?;
    let read = app
        .store
        .read_as(who.tenant, move |db, tenant| replays::get(db, tenant, &id));
    Ok(web::Json(read.await?.into()))
}

/// Runs a replay that was previewed. It means the events that were counted then.
#[utoipa::path(
    post, path = "/{env}/v1/replays/{id}/run", operation_id = "run_replay", tag = "webhooks",
    params(("id" = ReplayId, Path, description = "The replay")),
    request_body = Nothing,
    responses((status = 200, description = "The replay, `running`", body = ReplayView), Conflict)
)]
pub async fn run(
    who: Granted<EventsReplay>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    let body = Members::read(&request, payload).await?;
    let once = key.once(&who.tenant, "replays.run", request.path(), &body)?;
    body.finish(())?;
    let act = app.partner_act(who.actor);
    let run = move |db: &mut Db, tenant: &Tenant| {
        let view = ReplayView::from(replays::run(db, tenant, &act, &id)?);
        idempotency::kept(StatusCode::OK, None, &view, None::<&str>)
    };
    idempotency::execute_if_keyed(&request, &app, who.tenant, once, run).await
}

/// Calls a replay off. What was sent was sent; nothing more is.
#[utoipa::path(
    post, path = "/{env}/v1/replays/{id}/cancel", operation_id = "cancel_replay", tag = "webhooks",
    params(("id" = ReplayId, Path, description = "The replay")),
    request_body = Nothing,
    responses((status = 200, description = "The replay, `cancelled`", body = ReplayView), Conflict)
)]
pub async fn cancel(
    who: Granted<EventsReplay>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    let body = Members::read(&request, payload).await?;
    let once = key.once(&who.tenant, "replays.cancel", request.path(), &body)?;
    body.finish(())?;
    let act = app.partner_act(who.actor);
    let cancel = move |db: &mut Db, tenant: &Tenant| {
        let view = ReplayView::from(replays::cancel(db, tenant, &act, &id)?);
        idempotency::kept(StatusCode::OK, None, &view, None::<&str>)
    };
    idempotency::execute_if_keyed(&request, &app, who.tenant, once, cancel).await
}

/// An id from the path; one that is malformed names nothing.
fn id(text: &str) -> Result<ReplayId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}
