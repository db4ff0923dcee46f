//! `/{env}/v1/events`: what the partner was told, without gaps.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::event::EventKind;
use crate::domain::id::EventId;
use crate::events::Envelope;
use crate::http::extract::{EventsReplay, Granted, WebhooksManage};
use crate::http::list::{ListQuery, bad_cursor, cursor};
use crate::http::members::Members;
use crate::http::problem::{Problem, ProblemView};
use crate::partner::events::trigger as write;
use crate::store::events::{self, Span};

/// Events in the order of their numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPageView {
    /// The events above `after_seq`, the lowest number first; none is left out.
    data: Vec<Envelope>,
    /// The `cursor` of the next page; `null` where there are no more events yet: whoever waits for some goes on with
    /// `after_seq`.
    next_cursor: Option<String>,
    /// The number of the last event that there is; 0: there was none. Where `data` ends below it, there are more.
    last_seq: i64,
    /// The highest number that is kept no more, or was passed over by a restore; 0: all are kept.
    purged_up_to: i64,
}

/// An event to be made.
#[derive(Debug, ToSchema)]
#[schema(as = EventTrigger, example = json!({"type": "order.fulfilled"}))]
pub struct TriggerBody {
    #[schema(rename = "type")]
    pub kind: EventKind,
}

/// Lists the partner's events in this environment by number, so that none is missed.
///
/// Numbers have no gaps, save where a backup was restored, which is told as 410, and an event shows up together with
/// all of lower numbers. Who has processed
/// everything up to a number asks for what is after it. Events are kept for 30 days unless the operators say
/// otherwise: where some after `after_seq` are kept no more, the answer is 410, and says which. Without
/// `after_seq` the list begins with the oldest that is kept.
#[utoipa::path(
    get, path = "/{env}/v1/events", operation_id = "list_events", tag = "events",
    params(
        ("after_seq" = Option<u32>, Query, description = "Only events with a higher number."),
    ),
    responses(
        (status = 200, description = "The events", body = EventPageView),
        (status = 410, description = "Events after `after_seq` are kept no more, or a backup was restored since (`cursor_gone`). `purged_up_to` and `last_seq` say what there is: fetch over the API what you may have missed, and go on after `purged_up_to`.", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    who: Granted<EventsReplay>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<EventPageView>, Problem> {
    let after_seq = query.number("after_seq", 0..=u32::MAX)?;
    let asked = query.page()?;
    let after = match (after_seq, &asked.after) {
        (Some(_), Some(_)) => {
            let detail = "after_seq and cursor say the same: send one of them";
            return Err(Problem::bad_parameter(detail));
        }
        (_, Some(cursor)) => Some(cursor.parse::<u32>().map_err(|_| bad_cursor())?),
        (after_seq, None) => after_seq,
    };
    let (after, limit) = (after.map(i64::from), asked.limit.try_into().unwrap_or(1));
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        events::after(db, tenant, after.unwrap_or(0), limit)
    });
    let (found, span) = read.await?;
    if let Some(after) = after {
        follows(after, span)?;
    }
    let last = found.last().map(|event| event.seq);
    let next = last.filter(|seq| *seq < span.last);
    Ok(web::Json(EventPageView {
        next_cursor: next.map(|seq| cursor(&seq.to_string())),
        data: found.into_iter().map(Envelope::of).collect(),
        last_seq: span.last,
        purged_up_to: span.purged,
    }))
}

/// Whether all events after a number are kept.
fn follows(after: i64, span: Span) -> Result<(), Problem> {
    let detail = if after < span.purged {
        "events after this number are kept no more, or a backup was restored: go on after purged_up_to, and fetch over the API what they were about"
    } else if after > span.last {
        "there was no event with this number: a backup was restored; go on after purged_up_to, and fetch over the API what may have changed"
    } else {
        return Ok(());
    };
    Err(Problem::new(StatusCode::GONE, "cursor_gone", detail)
        .with("last_seq", span.last)
        .with("purged_up_to", span.purged))
}

/// Shows an event, as it was sent.
#[utoipa::path(
    get, path = "/{env}/v1/events/{id}", operation_id = "show_event", tag = "events",
    params(("id" = EventId, Path, description = "The event: the `webhook-id` of its deliveries")),
    responses((status = 200, description = "The event", body = Envelope))
)]
pub async fn show(
    who: Granted<EventsReplay>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<Envelope>, Problem> {
    let id: EventId = path.parse().map_err(|_| Problem::not_found())?;
    let read = app
        .store
        .read_as(who.tenant, move |db, tenant| events::find(db, tenant, &id));
    let event = read.await?.ok_or_else(Problem::not_found)?;
    Ok(web::Json(Envelope::of(event)))
}

/// Makes an event that nothing caused, to try a receiver with. Sandbox only.
///
/// It has a number and is delivered like any other; its data have `"test": true` and ids that name nothing.
#[utoipa::path(
    post, path = "/sandbox/v1/events", operation_id = "trigger_event", tag = "events",
    security(("sandbox" = ["webhooks:manage"])),
    request_body = TriggerBody,
    responses((status = 201, description = "The event", body = Envelope))
)]
pub async fn trigger(
    who: Granted<WebhooksManage>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.parsed::<EventKind>("type"),);
    let (kind,) = body.finish(taken)?;
    let now = app.clock.now();
    let made = app
        .store
        .write_as(who.tenant, move |db, tenant| write(db, tenant, kind, now));
    Ok(HttpResponse::Created().json(Envelope::of(made.await?)))
}
