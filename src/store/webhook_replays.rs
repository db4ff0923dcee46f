//! Replays: which events are sent to an endpoint again, and how far that has come.

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::{events, webhook_deliveries, webhook_endpoints, webhook_replays};
use super::webhook_deliveries::{OUTGOING, Outgoing};
use crate::domain::event::EventKind;
use crate::domain::id::{PartnerId, ReplayId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::realm::Realm;
use crate::domain::replay::{ReplayState, ReplayStep, Selection};
use crate::domain::tenant::Tenant;
use crate::domain::webhook::EventTypes;
use crate::domain::webhook_delivery::WebhookDeliveryState;

/// A row of `webhook_replays`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = webhook_replays, treat_none_as_default_value = false)]
pub struct Replay {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub id: ReplayId,
    pub endpoint_id: WebhookEndpointId,
    pub selection: Selection,
    /// Events from then on.
    pub from_at: Option<Instant>,
    /// Events from before.
    pub to_at: Option<Instant>,
    /// `None`: all that the endpoint asks for.
    pub event_types: Option<EventTypes>,
    /// Up to which number.
    pub upto: i64,
    /// Up to which number all that was meant has its row.
    pub done_upto: i64,
    pub state: ReplayState,
    /// How many events were meant when it was asked for.
    pub count: i64,
    pub created_by: String,
    pub created_at: Instant,
    pub started_at: Option<Instant>,
    pub ended_at: Option<Instant>,
}

impl Replay {
    /// Whose it is.
    pub fn tenant(&self) -> Tenant {
        Tenant::of_record(self.partner_id.clone(), self.realm)
    }
}

/// What became of a replay's events so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub succeeded: i64,
    pub retrying: i64,
    /// Exhausted or cancelled.
    pub failed: i64,
}

/// Writes a new replay.
pub fn insert(db: &mut Db, tenant: &Tenant, replay: &Replay) -> Result<(), StoreError> {
    debug_assert_eq!(&replay.tenant(), tenant);
    diesel::insert_into(webhook_replays::table)
        .values(replay)
        .execute(db)?;
    Ok(())
}

/// A tenant's replay by id. `None`: it has none of that id.
pub fn find(db: &mut Db, tenant: &Tenant, id: &ReplayId) -> Result<Option<Replay>, StoreError> {
    let replay = webhook_replays::table.find((tenant.partner_id(), tenant.realm(), id));
    Ok(replay.first(db).optional()?)
}

/// Takes a tenant's replay a step on. `false`: it has none of that id, or the step does not lead on from
/// its state.
pub fn step(
    db: &mut Db,
    tenant: &Tenant,
    id: &ReplayId,
    step: ReplayStep,
    now: Instant,
) -> Result<bool, StoreError> {
    let ready = webhook_replays::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_replays::state.eq_any(step.from()));
    let to = webhook_replays::state.eq(step.to());
    let changed = match step {
        ReplayStep::Run => diesel::update(ready)
            .set((to, webhook_replays::started_at.eq(now)))
            .execute(db)?,
        ReplayStep::Complete | ReplayStep::Cancel => diesel::update(ready)
            .set((to, webhook_replays::ended_at.eq(now)))
            .execute(db)?,
    };
    Ok(changed == 1)
}

/// Cancels what is left to do of an endpoint's replays.
pub fn cancel_of_endpoint(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
    now: Instant,
) -> Result<usize, StoreError> {
    let step = ReplayStep::Cancel;
    let ready = webhook_replays::table
        .filter(webhook_replays::endpoint_id.eq(endpoint))
        .filter(webhook_replays::state.eq_any(step.from()))
        .filter(webhook_replays::partner_id.eq(tenant.partner_id()));
    Ok(diesel::update(ready)
        .set((
            webhook_replays::state.eq(step.to()),
            webhook_replays::ended_at.eq(now),
        ))
        .execute(db)?)
}

/// The replay that is an endpoint's turn: of those that run, the one that was started first. `None`: none
/// does.
pub fn running(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
) -> Result<Option<Replay>, StoreError> {
    Ok(webhook_replays::table
        .filter(webhook_replays::endpoint_id.eq(endpoint))
        .filter(webhook_replays::state.eq(ReplayState::Running))
        .filter(webhook_replays::partner_id.eq(tenant.partner_id()))
        // By their ids, one that was previewed long ago would come between another and its end.
        .order((webhook_replays::started_at.asc(), webhook_replays::id.asc()))
        .first(db)
        .optional()?)
}

/// Holds a replay to the commit, so that nobody cancels it meanwhile. `false`: it was cancelled.
pub fn hold_uncancelled(db: &mut Db, tenant: &Tenant, id: &ReplayId) -> Result<bool, StoreError> {
    let replay = webhook_replays::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_replays::state.ne(ReplayState::Cancelled));
    let held = diesel::update(replay)
        .set(webhook_replays::state.eq(webhook_replays::state))
        .execute(db)?;
    Ok(held == 1)
}

/// Notes how far a replay has come.
pub fn move_on(db: &mut Db, tenant: &Tenant, id: &ReplayId, upto: i64) -> Result<(), StoreError> {
    let replay = webhook_replays::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_replays::done_upto.lt(upto));
    diesel::update(replay)
        .set(webhook_replays::done_upto.eq(upto))
        .execute(db)?;
    Ok(())
}

/// The events above a number that a replay means, of the types that the endpoint asks for now.
macro_rules! meant {
    ($replay:expr, $above:expr, $types:expr) => {{
        let replay: &Replay = $replay;
        let mut query = events::table
            .filter(events::partner_id.eq(&replay.partner_id))
            .filter(events::realm.eq(replay.realm))
            .filter(events::seq.gt($above))
            .filter(events::seq.le(replay.upto))
            .into_boxed();
        if let Some(from) = replay.from_at {
            query = query.filter(events::created_at.ge(from));
        }
        if let Some(to) = replay.to_at {
            query = query.filter(events::created_at.lt(to));
        }
        if let Some(kinds) = kinds(replay, $types) {
            query = query.filter(events::kind.eq_any(kinds));
        }
        let rows = webhook_deliveries::table
            .filter(webhook_deliveries::endpoint_id.eq(replay.endpoint_id.clone()))
            .filter(webhook_deliveries::seq.eq(events::seq));
        // What is on its way has no row yet, and is above the cursor: it is the live traffic's.
        let passed = webhook_endpoints::table
            .filter(webhook_endpoints::id.eq(replay.endpoint_id.clone()))
            .filter(webhook_endpoints::cursor.ge(events::seq));
        let tried = rows.clone().filter(webhook_deliveries::replay_id.eq(""));
        let own = replay.id.to_string();
        let arrived = rows
            .clone()
            .filter(webhook_deliveries::state.eq(WebhookDeliveryState::Succeeded));
        let others = rows.filter(webhook_deliveries::replay_id.ne(own));
        // What was on its way when it was counted, and has landed since.
        let landed = tried
            .clone()
            .filter(webhook_deliveries::created_at.gt(replay.created_at));
        match replay.selection {
            Selection::All => query
                .filter(exists(passed).or(exists(tried)))
                .filter(not(exists(landed))),
            Selection::Missing => query.filter(not(exists(others))),
            Selection::Failed => query
                .filter(exists(others))
                .filter(not(exists(arrived)))
                .filter(not(exists(landed))),
        }
    }};
}

/// The kinds that are meant. `None`: all.
fn kinds(replay: &Replay, types: &EventTypes) -> Option<Vec<EventKind>> {
    let asked = replay.event_types.as_ref().and_then(EventTypes::only);
    match (asked, types.only()) {
        (None, None) => None,
        (Some(only), None) | (None, Some(only)) => Some(only.to_vec()),
        (Some(asked), Some(_)) => Some(
            asked
                .iter()
                .copied()
                .filter(|kind| types.take(*kind))
                .collect(),
        ),
    }
}

/// How many events a replay means.
pub fn count(
    db: &mut Db,
    tenant: &Tenant,
    replay: &Replay,
    types: &EventTypes,
) -> Result<i64, StoreError> {
    debug_assert_eq!(&replay.tenant(), tenant);
    Ok(meant!(replay, replay.done_upto, types)
        .count()
        .get_result(db)?)
}

/// The next events that a replay means, above a number, in order.
pub fn next(
    db: &mut Db,
    tenant: &Tenant,
    replay: &Replay,
    types: &EventTypes,
    above: i64,
    most: i64,
) -> Result<Vec<Outgoing>, StoreError> {
    debug_assert_eq!(&replay.tenant(), tenant);
    Ok(meant!(replay, above, types)
        .order(events::seq.asc())
        .select(OUTGOING)
        .limit(most)
        .load(db)?)
}

/// What became of a replay's events so far.
pub fn progress(db: &mut Db, tenant: &Tenant, replay: &Replay) -> Result<Progress, StoreError> {
    let rows: Vec<(WebhookDeliveryState, i64)> = webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(&replay.endpoint_id))
        .filter(webhook_deliveries::replay_id.eq(replay.id.as_str()))
        .filter(webhook_deliveries::partner_id.eq(tenant.partner_id()))
        .group_by(webhook_deliveries::state)
        .select((webhook_deliveries::state, diesel::dsl::count_star()))
        .load(db)?;
    let mut progress = Progress::default();
    for (state, count) in rows {
        match state {
            WebhookDeliveryState::Succeeded => progress.succeeded += count,
            WebhookDeliveryState::Pending | WebhookDeliveryState::Retrying => {
                progress.retrying += count;
            }
            WebhookDeliveryState::Exhausted | WebhookDeliveryState::Cancelled => {
                progress.failed += count;
            }
        }
    }
    Ok(progress)
}

/// Takes away replays that are over and were asked for before a moment, at most so many; answers how many.
pub fn purge(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let old: Vec<ReplayId> = webhook_replays::table
        .filter(webhook_replays::created_at.lt(before))
        .filter(webhook_replays::state.ne(ReplayState::Running))
        .select(webhook_replays::id)
        .limit(most)
        .load(db)?;
    let those = webhook_replays::table.filter(webhook_replays::id.eq_any(old));
    Ok(diesel::delete(those).execute(db)?)
}
