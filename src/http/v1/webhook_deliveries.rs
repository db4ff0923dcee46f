//! `/{env}/v1/webhook-endpoints/{id}/deliveries`: what became of events at an endpoint.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::event::EventKind;
use crate::domain::id::{EventId, ReplayId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::domain::tenant::Tenant;
use crate::domain::webhook::FailureClass;
use crate::domain::webhook_delivery::WebhookDeliveryState;
use crate::http::extract::{Granted, WebhooksManage};
use crate::http::list::{ListQuery, ListView, bad_cursor};
use crate::http::problem::Problem;
use crate::store::webhook_deliveries::{
    AttemptRow, Delivery, Filter, Outgoing, Place, attempts, newest, pending,
};
use crate::store::webhook_endpoints::find;
use crate::store::{Db, StoreError};

/// What became of an event at an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct DeliveryView {
    /// The event, which is the `webhook-id` of each attempt.
    event_id: EventId,
    #[serde(rename = "type")]
    kind: EventKind,
    /// The event's number.
    seq: i64,
    /// The replay that sent it; `null`: none did.
    replay_id: Option<ReplayId>,
    state: WebhookDeliveryState,
    /// When it is tried again, where it is.
    next_attempt_at: Option<Instant>,
    /// When its event was, if it was not tried yet; else when it was first tried.
    created_at: Instant,
    attempts: Vec<AttemptView>,
}

/// An attempt. What was answered is not kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeliveryAttempt)]
pub struct AttemptView {
    at: Instant,
    /// Why it failed; `null`: it arrived.
    class: Option<FailureClass>,
    /// The answer's HTTP status; `null`: no answer came.
    status: Option<i32>,
    /// How long it took.
    milliseconds: i64,
    /// The address that it was sent to; `null`: it came to none, or to one that nothing is sent to.
    address: Option<String>,
}

impl From<AttemptRow> for AttemptView {
    fn from(attempt: AttemptRow) -> Self {
        Self {
            at: attempt.at,
            class: attempt.class,
            status: attempt.status,
            milliseconds: attempt.millis,
            address: attempt.address,
        }
    }
}

impl DeliveryView {
    fn tried(delivery: Delivery, attempts: &[AttemptRow]) -> Self {
        // One that was made since the delivery was read does not go with what is told of it.
        let own = |attempt: &&AttemptRow| {
            attempt.seq == delivery.seq
                && attempt.replay_id == delivery.replay_id
                && attempt.number <= delivery.attempts
        };
        Self {
            replay_id: delivery.replay(),
            attempts: attempts
                .iter()
                .filter(own)
                .cloned()
                .map(Into::into)
                .collect(),
            event_id: delivery.event_id,
            kind: delivery.kind,
            seq: delivery.seq,
            state: delivery.state,
            next_attempt_at: delivery.next_attempt_at,
            created_at: delivery.created_at,
        }
    }

    fn untried(event: Outgoing) -> Self {
        Self {
            event_id: event.id,
            kind: event.kind,
            seq: event.seq,
            replay_id: None,
            state: WebhookDeliveryState::Pending,
            next_attempt_at: None,
            created_at: event.created_at,
            attempts: Vec::new(),
        }
    }

    /// Where it stands in the list.
    fn place(&self) -> Place {
        let replay = self.replay_id.as_ref();
        Place {
            seq: self.seq,
            replay_id: replay.map_or_else(String::new, ToString::to_string),
        }
    }
}

/// Lists what became of events at a webhook endpoint, the newest event first.
///
/// An event that is sent again after a failure stays one delivery, with an attempt more; one that a replay
/// sends is a delivery of its own. They are kept as long as their events.
#[utoipa::path(
    get, path = "/{env}/v1/webhook-endpoints/{id}/deliveries", operation_id = "list_webhook_deliveries",
    tag = "webhooks",
    params(
        ("id" = WebhookEndpointId, Path, description = "The endpoint"),
        ("state" = Option<WebhookDeliveryState>, Query, description = "Only deliveries in this state."),
        ("event_id" = Option<EventId>, Query, description = "Only deliveries of this event."),
    ),
    responses((status = 200, description = "A page of deliveries", body = ListView<DeliveryView>))
)]
pub async fn list(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<DeliveryView>>, Problem> {
    let id: WebhookEndpointId = path.parse().map_err(|_| Problem::not_found())?;
    let filter = Filter {
        state: query.filter("state")?,
        event_id: query.filter("event_id")?,
    };
    let asked = query.page()?;
    let below = asked.after.as_deref().map(place).transpose()?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        page(db, tenant, &id, &filter, below.as_ref(), &asked)
    });
    let page = read.await?.ok_or_else(Problem::not_found)?;
    Ok(ListView::of(page, |(_, view)| view))
}

/// `42.rpl_…`, or `42.`.
fn place(cursor: &str) -> Result<Place, Problem> {
    let (seq, replay) = cursor.split_once('.').ok_or_else(bad_cursor)?;
    let is_replay = replay.is_empty() || replay.parse::<ReplayId>().is_ok();
    match seq.parse() {
        Ok(seq) if is_replay => Ok(Place {
            seq,
            replay_id: replay.to_owned(),
        }),
        _ => Err(bad_cursor()),
    }
}

/// A page of deliveries with their cursors, those that were not tried yet among them. `None`: there is no
/// such endpoint.
fn page(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
    filter: &Filter,
    below: Option<&Place>,
    asked: &PageRequest,
) -> Result<Option<Page<(String, DeliveryView)>>, StoreError> {
    let Some(endpoint) = find(db, tenant, id)? else {
        return Ok(None);
    };
    let most = asked.probe();
    let mut rows = Vec::new();
    let asks_for_pending = filter
        .state
        .is_none_or(|state| state == WebhookDeliveryState::Pending);
    // One that never answered its challenge is told of what happens from then on.
    if asks_for_pending && endpoint.activated_at.is_some() {
        let event = filter.event_id.as_ref();
        let untried = pending(db, tenant, &endpoint, event, below, most)?;
        rows.extend(untried.into_iter().map(DeliveryView::untried));
    }
    if filter.state != Some(WebhookDeliveryState::Pending) {
        let tried = newest(db, tenant, id, filter, below, most)?;
        let seqs: Vec<i64> = tried.iter().map(|delivery| delivery.seq).collect();
        let attempts = attempts(db, id, &seqs)?;
        let tried = tried
            .into_iter()
            .map(|delivery| DeliveryView::tried(delivery, &attempts));
        rows.extend(tried);
    }
    // Read at one moment: none is among both.
    rows.sort_by_key(|view| {
        let place = view.place();
        std::cmp::Reverse((place.seq, place.replay_id))
    });
    let named = rows.into_iter().map(|view| {
        let place = view.place();
        (format!("{}.{}", place.seq, place.replay_id), view)
    });
    Ok(Some(
        asked.page(named.collect(), |(cursor, _)| cursor.as_str()),
    ))
}
