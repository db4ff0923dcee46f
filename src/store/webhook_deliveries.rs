//! Deliveries of events to endpoints, and the attempts at them.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{
    event_counters, events, webhook_attempts, webhook_deliveries, webhook_endpoints,
};
use super::webhook_endpoints::Endpoint;
use crate::domain::event::EventKind;
use crate::domain::id::{EventId, PartnerId, ReplayId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::domain::webhook::{EndpointState, FailureClass};
use crate::domain::webhook_delivery::WebhookDeliveryState;

/// A row of `webhook_deliveries`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = webhook_deliveries, treat_none_as_default_value = false)]
pub struct Delivery {
    pub endpoint_id: WebhookEndpointId,
    pub seq: i64,
    /// The replay's id; empty: none made it.
    pub replay_id: String,
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub event_id: EventId,
    pub kind: EventKind,
    pub state: WebhookDeliveryState,
    /// How many attempts were made.
    pub attempts: i32,
    pub next_attempt_at: Option<Instant>,
    pub created_at: Instant,
    pub updated_at: Instant,
}

impl Delivery {
    /// The replay that made it.
    pub fn replay(&self) -> Option<ReplayId> {
        self.replay_id.parse().ok()
    }
}

/// A row of `webhook_attempts`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = webhook_attempts, treat_none_as_default_value = false)]
pub struct AttemptRow {
    pub endpoint_id: WebhookEndpointId,
    pub seq: i64,
    pub replay_id: String,
    pub number: i32,
    pub at: Instant,
    /// Why it failed. `None`: it arrived.
    pub class: Option<FailureClass>,
    pub status: Option<i32>,
    pub millis: i64,
    pub address: Option<String>,
}

/// An event that is about to be sent.
#[derive(Clone, Debug, Queryable)]
pub struct Outgoing {
    pub seq: i64,
    pub id: EventId,
    pub kind: EventKind,
    pub created_at: Instant,
    /// A JSON object.
    pub data: String,
}

/// What an event is sent with.
pub(super) type OutgoingColumns = (
    events::seq,
    events::id,
    events::kind,
    events::created_at,
    events::data,
);

/// Columns of [`Outgoing`].
pub(super) const OUTGOING: OutgoingColumns = (
    events::seq,
    events::id,
    events::kind,
    events::created_at,
    events::data,
);

/// A tenant's events above a number, in order.
///
/// Numbers have no gaps, and whoever takes one holds the counter to the commit: nothing below a number
/// that can be seen comes later.
pub fn outgoing(
    db: &mut Db,
    tenant: &Tenant,
    above: i64,
    most: i64,
) -> Result<Vec<Outgoing>, StoreError> {
    let next = events::table
        .filter(events::partner_id.eq(tenant.partner_id()))
        .filter(events::realm.eq(tenant.realm()))
        .filter(events::seq.gt(above))
        .order(events::seq.asc())
        .select(OUTGOING)
        .limit(most);
    Ok(on_engine!(db, conn => next.load(conn))?)
}

/// The numbers above another that have a row already: they were settled before one that was begun
/// earlier, and must not be sent again.
pub fn settled_above(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
    replay: &str,
    above: i64,
) -> Result<Vec<i64>, StoreError> {
    Ok(webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(endpoint))
        .filter(webhook_deliveries::seq.gt(above))
        .filter(webhook_deliveries::replay_id.eq(replay))
        .filter(webhook_deliveries::partner_id.eq(tenant.partner_id()))
        .select(webhook_deliveries::seq)
        .load(db)?)
}

/// What is to be tried again at an endpoint, the longest waiting first, with its event.
pub fn due(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
    now: Instant,
    most: i64,
) -> Result<Vec<(Delivery, Outgoing)>, StoreError> {
    let due = webhook_deliveries::table
        .inner_join(
            events::table.on(events::partner_id
                .eq(webhook_deliveries::partner_id)
                .and(events::realm.eq(webhook_deliveries::realm))
                .and(events::seq.eq(webhook_deliveries::seq))),
        )
        .filter(webhook_deliveries::endpoint_id.eq(endpoint))
        .filter(webhook_deliveries::next_attempt_at.le(now))
        .filter(webhook_deliveries::partner_id.eq(tenant.partner_id()))
        .order(webhook_deliveries::next_attempt_at.asc())
        .select((webhook_deliveries::all_columns, OUTGOING))
        .limit(most);
    Ok(on_engine!(db, conn => due.load(conn))?)
}

/// Writes down first attempts' deliveries.
pub fn insert(db: &mut Db, rows: Vec<Delivery>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let insert = diesel::insert_into(webhook_deliveries::table).values(rows);
    on_engine!(db, conn => insert.execute(conn))?;
    Ok(())
}

/// Writes down attempts.
pub fn insert_attempts(db: &mut Db, rows: Vec<AttemptRow>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let insert = diesel::insert_into(webhook_attempts::table).values(rows);
    on_engine!(db, conn => insert.execute(conn))?;
    Ok(())
}

/// Writes down what a further attempt made of a delivery. `false`: it is gone, or that was written already.
///
/// One that was cancelled meanwhile waits for no other; if it arrived, it arrived.
pub fn attempted(db: &mut Db, after: &Delivery) -> Result<bool, StoreError> {
    let before = || {
        webhook_deliveries::table
            .find((&after.endpoint_id, after.seq, &after.replay_id))
            .filter(webhook_deliveries::attempts.eq(after.attempts - 1))
    };
    let waiting = before().filter(webhook_deliveries::state.eq(WebhookDeliveryState::Retrying));
    let changed = diesel::update(waiting)
        .set((
            webhook_deliveries::state.eq(after.state),
            webhook_deliveries::attempts.eq(after.attempts),
            webhook_deliveries::next_attempt_at.eq(after.next_attempt_at),
            webhook_deliveries::updated_at.eq(after.updated_at),
        ))
        .execute(db)?;
    if changed == 1 {
        return Ok(true);
    }
    let state = match after.state {
        WebhookDeliveryState::Succeeded => WebhookDeliveryState::Succeeded,
        _ => WebhookDeliveryState::Cancelled,
    };
    let cancelled = before().filter(webhook_deliveries::state.eq(WebhookDeliveryState::Cancelled));
    let changed = diesel::update(cancelled)
        .set((
            webhook_deliveries::state.eq(state),
            webhook_deliveries::attempts.eq(after.attempts),
            webhook_deliveries::updated_at.eq(after.updated_at),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Cancels rows: each kind of choice is a type of its own.
macro_rules! cancel_rows {
    ($db:expr, $rows:expr, $now:expr) => {{
        let none: Option<Instant> = None;
        Ok(diesel::update($rows)
            .set((
                webhook_deliveries::state.eq(WebhookDeliveryState::Cancelled),
                webhook_deliveries::next_attempt_at.eq(none),
                webhook_deliveries::updated_at.eq($now),
            ))
            .execute($db)?)
    }};
}

/// Cancels what waits for another attempt at endpoints that are disabled or deleted; answers how many.
pub fn cancel_orphans(db: &mut Db, now: Instant) -> Result<usize, StoreError> {
    let silent = webhook_endpoints::table
        .filter(webhook_endpoints::state.eq_any([EndpointState::Disabled, EndpointState::Deleted]))
        .select(webhook_endpoints::id);
    let waiting = webhook_deliveries::table
        .filter(webhook_deliveries::next_attempt_at.is_not_null())
        .filter(webhook_deliveries::endpoint_id.eq_any(silent));
    cancel_rows!(db, waiting, now)
}

/// Cancels what waits for another attempt at an endpoint; answers how many.
pub fn cancel_of_endpoint(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
    now: Instant,
) -> Result<usize, StoreError> {
    let waiting = webhook_deliveries::table
        .filter(webhook_deliveries::next_attempt_at.is_not_null())
        .filter(webhook_deliveries::endpoint_id.eq(endpoint))
        .filter(webhook_deliveries::partner_id.eq(tenant.partner_id()));
    cancel_rows!(db, waiting, now)
}

/// Cancels what a replay has made and waits for another attempt; answers how many.
pub fn cancel_of_replay(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
    replay: &ReplayId,
    now: Instant,
) -> Result<usize, StoreError> {
    let waiting = webhook_deliveries::table
        .filter(webhook_deliveries::next_attempt_at.is_not_null())
        .filter(webhook_deliveries::endpoint_id.eq(endpoint))
        .filter(webhook_deliveries::replay_id.eq(replay.as_str()))
        .filter(webhook_deliveries::partner_id.eq(tenant.partner_id()));
    cancel_rows!(db, waiting, now)
}

/// Which of an endpoint's deliveries a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<WebhookDeliveryState>,
    pub event_id: Option<EventId>,
}

/// Where a page of deliveries begins: below this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub seq: i64,
    pub replay_id: String,
}

/// A tenant's deliveries to an endpoint, by their events, the newest first, at most so many.
pub fn newest(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
    filter: &Filter,
    below: Option<&Place>,
    most: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let mut query = webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(endpoint))
        .filter(webhook_deliveries::partner_id.eq(tenant.partner_id()))
        .filter(webhook_deliveries::realm.eq(tenant.realm()))
        .order((
            webhook_deliveries::seq.desc(),
            webhook_deliveries::replay_id.desc(),
        ))
        .limit(most)
        .into_boxed();
    if let Some(place) = below {
        let earlier = webhook_deliveries::seq.lt(place.seq);
        let same = webhook_deliveries::seq
            .eq(place.seq)
            .and(webhook_deliveries::replay_id.lt(&place.replay_id));
        query = query.filter(earlier.or(same));
    }
    if let Some(state) = filter.state {
        query = query.filter(webhook_deliveries::state.eq(state));
    }
    if let Some(event) = &filter.event_id {
        query = query.filter(webhook_deliveries::event_id.eq(event));
    }
    Ok(query.load(db)?)
}

/// Events of a tenant that an endpoint asks for and that were not sent to it yet, the newest first.
pub fn pending(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &Endpoint,
    event: Option<&EventId>,
    below: Option<&Place>,
    most: i64,
) -> Result<Vec<Outgoing>, StoreError> {
    // Above the cursor some are on record already: they were settled before one that was begun earlier. The cursor
    // again, so that nobody joins the endpoint's whole past.
    let tried = webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(&endpoint.id))
        .filter(webhook_deliveries::seq.gt(endpoint.cursor))
        .filter(webhook_deliveries::seq.eq(events::seq))
        .filter(webhook_deliveries::replay_id.eq(""));
    let mut query = events::table
        .filter(events::partner_id.eq(tenant.partner_id()))
        .filter(events::realm.eq(tenant.realm()))
        .filter(events::seq.gt(endpoint.cursor))
        .filter(diesel::dsl::not(diesel::dsl::exists(tried)))
        .order(events::seq.desc())
        .select(OUTGOING)
        .limit(most)
        .into_boxed();
    if let Some(place) = below {
        query = query.filter(events::seq.lt(place.seq));
    }
    if let Some(only) = endpoint.event_types.only() {
        query = query.filter(events::kind.eq_any(only));
    }
    if let Some(event) = event {
        query = query.filter(events::id.eq(event));
    }
    Ok(query.load(db)?)
}

/// The attempts at some of an endpoint's deliveries, in order.
pub fn attempts(
    db: &mut Db,
    endpoint: &WebhookEndpointId,
    seqs: &[i64],
) -> Result<Vec<AttemptRow>, StoreError> {
    Ok(webhook_attempts::table
        .filter(webhook_attempts::endpoint_id.eq(endpoint))
        .filter(webhook_attempts::seq.eq_any(seqs))
        .order((
            webhook_attempts::seq,
            webhook_attempts::replay_id,
            webhook_attempts::number,
        ))
        .load(db)?)
}

/// Takes away deliveries whose events were forgotten, with their attempts, about so many an endpoint;
/// answers how many.
pub fn purge(db: &mut Db, _before: Instant, most: i64) -> Result<usize, StoreError> {
    let forgotten: Vec<(WebhookEndpointId, i64)> = webhook_endpoints::table
        .inner_join(
            event_counters::table.on(event_counters::partner_id
                .eq(webhook_endpoints::partner_id)
                .and(event_counters::realm.eq(webhook_endpoints::realm))),
        )
        .filter(event_counters::purged.gt(0))
        .select((webhook_endpoints::id, event_counters::purged))
        .load(db)?;
    let mut gone = 0;
    for (endpoint, purged) in forgotten {
        // Of a backup that was restored, events are there that count as kept no more.
        let event = events::table
            .filter(events::partner_id.eq(webhook_deliveries::partner_id))
            .filter(events::realm.eq(webhook_deliveries::realm))
            .filter(events::seq.eq(webhook_deliveries::seq));
        let old = webhook_deliveries::table
            .filter(webhook_deliveries::endpoint_id.eq(&endpoint))
            .filter(webhook_deliveries::seq.le(purged))
            .filter(diesel::dsl::not(diesel::dsl::exists(event)));
        let oldest: Vec<i64> = old
            .order(webhook_deliveries::seq.asc())
            .select(webhook_deliveries::seq)
            .limit(most)
            .load(db)?;
        let Some(last) = oldest.last() else { continue };
        let batch = webhook_deliveries::table
            .filter(webhook_deliveries::endpoint_id.eq(&endpoint))
            .filter(webhook_deliveries::seq.le(last));
        gone += diesel::delete(batch).execute(db)?;
        if i64::try_from(gone).is_ok_and(|gone| gone >= most) {
            break;
        }
    }
    Ok(gone)
}
