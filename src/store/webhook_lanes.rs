//! Which node delivers to which endpoint, and how far it has come.
//!
//! A lease is a claim on an endpoint: whoever holds it is the only one who delivers there and who
//! writes the endpoint's cursor and health. Holders renew all their leases in one statement; one who
//! stops renewing loses them by time alone. Conditional UPDATEs decide between two who claim at once.

use std::time::Duration;

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{
    event_counters, events, partners, webhook_deliveries, webhook_endpoints, webhook_replays,
    webhook_workers,
};
use crate::domain::id::{PartnerId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::partner::PartnerState;
use crate::domain::realm::Realm;
use crate::domain::replay::ReplayState;
use crate::domain::tenant::Tenant;
use crate::domain::webhook::{EndpointState, EventTypes, SignatureKind};
use crate::domain::webhook_delivery::Health;

/// An endpoint that was claimed, and up to which event it was done.
#[derive(Clone, Debug, Queryable)]
pub struct Claimed {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub endpoint_id: WebhookEndpointId,
    pub cursor: i64,
}

/// An endpoint that may be delivered to at this moment, as it is now.
#[derive(Clone, Debug, Queryable)]
pub struct Ready {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub endpoint_id: WebhookEndpointId,
    pub url: String,
    pub event_types: EventTypes,
    pub signature: SignatureKind,
    /// When the partner last changed it, its secrets among them.
    pub updated_at: Instant,
    /// The number of the partner's last event.
    pub head: Option<i64>,
}

impl Ready {
    /// Whose it is.
    pub fn tenant(&self) -> Tenant {
        Tenant::of_record(self.partner_id.clone(), self.realm)
    }
}

/// Why an endpoint is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There are events above its cursor.
    News,
    /// Something that failed is to be tried again.
    Due(Instant),
    /// A replay runs.
    Replay,
}

/// What may be delivered to: active endpoints of approved partners. Looked up a row: a list of all
/// approved partners would be made anew at each look.
macro_rules! deliverable {
    () => {
        webhook_endpoints::state
            .eq(EndpointState::Active)
            .and(diesel::dsl::exists(
                partners::table
                    .filter(partners::id.eq(webhook_endpoints::partner_id))
                    .filter(partners::state.eq(PartnerState::Approved)),
            ))
    };
}

/// How long a claim holds that is not renewed: a killed node's endpoints are free after that.
pub const LEASE: Duration = Duration::from_secs(12);

/// Later than any claim ends, whatever small steps a clock makes: what does was left by a clock that was ahead.
fn too_late(now: Instant) -> Instant {
    now.plus(2 * LEASE)
}

/// A claim that is free to be made.
macro_rules! free {
    ($now:expr) => {
        webhook_endpoints::lease_owner
            .is_null()
            .or(webhook_endpoints::lease_until.is_null())
            .or(webhook_endpoints::lease_until.le($now))
            .or(webhook_endpoints::lease_until.gt(too_late($now)))
    };
}

/// Says that a node is there to deliver, and answers how many are.
pub fn report(db: &mut Db, node: &str, now: Instant, until: Instant) -> Result<i64, StoreError> {
    let alive = webhook_workers::alive_until;
    let gone = webhook_workers::table.filter(alive.le(now).or(alive.gt(too_late(now))));
    diesel::delete(gone).execute(db)?;
    let row = (
        webhook_workers::node.eq(node),
        webhook_workers::alive_until.eq(until),
    );
    on_engine!(db, conn => diesel::insert_into(webhook_workers::table)
        .values(row)
        .on_conflict(webhook_workers::node)
        .do_update()
        .set(webhook_workers::alive_until.eq(until))
        .execute(conn))?;
    Ok(webhook_workers::table.count().get_result(db)?)
}

/// Gives up what a node holds and must not deliver to any more, and extends its other leases; answers
/// what it holds still.
pub fn renew(
    db: &mut Db,
    node: &str,
    until: Instant,
) -> Result<Vec<WebhookEndpointId>, StoreError> {
    let mine = webhook_endpoints::table.filter(webhook_endpoints::lease_owner.eq(node));
    let silent = mine.filter(diesel::dsl::not(deliverable!()));
    let none: Option<String> = None;
    diesel::update(silent)
        .set(webhook_endpoints::lease_owner.eq(none))
        .execute(db)?;
    Ok(diesel::update(mine)
        .set(webhook_endpoints::lease_until.eq(until))
        .returning(webhook_endpoints::id)
        .get_results(db)?)
}

/// How many endpoints there are to be delivered to.
pub fn deliverable(db: &mut Db) -> Result<i64, StoreError> {
    let those = webhook_endpoints::table.filter(deliverable!());
    Ok(those.count().get_result(db)?)
}

/// Whether somebody could claim an endpoint.
pub fn is_claimable(db: &mut Db, now: Instant) -> Result<bool, StoreError> {
    let free = webhook_endpoints::table
        .filter(deliverable!())
        .filter(free!(now));
    Ok(diesel::select(diesel::dsl::exists(free)).get_result(db)?)
}

/// Claims endpoints that nobody holds, at most so many.
pub fn claim(
    db: &mut Db,
    node: &str,
    most: i64,
    now: Instant,
    until: Instant,
) -> Result<Vec<Claimed>, StoreError> {
    let free: Vec<WebhookEndpointId> = webhook_endpoints::table
        .filter(deliverable!())
        .filter(free!(now))
        .order(webhook_endpoints::id)
        .select(webhook_endpoints::id)
        .limit(most)
        .load(db)?;
    // Asked again within the UPDATE: another may have come first.
    let mine = webhook_endpoints::table
        .filter(webhook_endpoints::id.eq_any(free))
        .filter(free!(now));
    Ok(diesel::update(mine)
        .set((
            webhook_endpoints::lease_owner.eq(node),
            webhook_endpoints::lease_until.eq(until),
        ))
        .returning((
            webhook_endpoints::partner_id,
            webhook_endpoints::realm,
            webhook_endpoints::id,
            webhook_endpoints::cursor,
        ))
        .get_results(db)?)
}

/// Gives endpoints back, for others to claim at once.
pub fn give_back(
    db: &mut Db,
    node: &str,
    endpoints: &[WebhookEndpointId],
) -> Result<(), StoreError> {
    let mine = webhook_endpoints::table
        .filter(webhook_endpoints::lease_owner.eq(node))
        .filter(webhook_endpoints::id.eq_any(endpoints));
    let none: Option<String> = None;
    diesel::update(mine)
        .set(webhook_endpoints::lease_owner.eq(none))
        .execute(db)?;
    Ok(())
}

/// Gives back all that a node holds, and says that it is gone.
pub fn leave(db: &mut Db, node: &str) -> Result<(), StoreError> {
    let mine = webhook_endpoints::table.filter(webhook_endpoints::lease_owner.eq(node));
    let none: Option<String> = None;
    diesel::update(mine)
        .set(webhook_endpoints::lease_owner.eq(none))
        .execute(db)?;
    diesel::delete(webhook_workers::table.find(node)).execute(db)?;
    Ok(())
}

/// Those of a node's endpoints that there is something for, and that may be delivered to now.
pub fn ready(db: &mut Db, node: &str, why: Why) -> Result<Vec<Ready>, StoreError> {
    let mine = webhook_endpoints::table
        .left_join(
            event_counters::table.on(event_counters::partner_id
                .eq(webhook_endpoints::partner_id)
                .and(event_counters::realm.eq(webhook_endpoints::realm))),
        )
        .filter(webhook_endpoints::lease_owner.eq(node))
        .filter(deliverable!())
        .select((
            webhook_endpoints::partner_id,
            webhook_endpoints::realm,
            webhook_endpoints::id,
            webhook_endpoints::url,
            webhook_endpoints::event_types,
            webhook_endpoints::signature,
            webhook_endpoints::updated_at,
            event_counters::value.nullable(),
        ));
    let found = match why {
        Why::News => {
            let news = event_counters::value.gt(webhook_endpoints::cursor);
            on_engine!(db, conn => mine.filter(news).load(conn))
        }
        Why::Due(now) => {
            let due = webhook_deliveries::table
                .filter(webhook_deliveries::endpoint_id.eq(webhook_endpoints::id))
                .filter(webhook_deliveries::next_attempt_at.le(now));
            on_engine!(db, conn => mine.filter(diesel::dsl::exists(due)).load(conn))
        }
        Why::Replay => {
            let runs = webhook_replays::table
                .filter(webhook_replays::endpoint_id.eq(webhook_endpoints::id))
                .filter(webhook_replays::state.eq(ReplayState::Running));
            on_engine!(db, conn => mine.filter(diesel::dsl::exists(runs)).load(conn))
        }
    };
    Ok(found?)
}

/// Moves an endpoint's cursor on, and writes down how it does where that is said. `false`: the node does
/// not hold it any more, and nothing was changed.
pub fn move_on(
    db: &mut Db,
    node: &str,
    endpoint: &WebhookEndpointId,
    cursor: i64,
    health: Option<Health>,
) -> Result<bool, StoreError> {
    let held = webhook_endpoints::table
        .filter(webhook_endpoints::id.eq(endpoint))
        .filter(webhook_endpoints::lease_owner.eq(node));
    let cursor = webhook_endpoints::cursor.eq(cursor);
    let moved = match health {
        None => on_engine!(db, conn => diesel::update(held).set(cursor).execute(conn)),
        Some(health) => {
            let health = (
                webhook_endpoints::failing_since.eq(health.failing_since),
                webhook_endpoints::warned.eq(health.warned),
            );
            on_engine!(db, conn => diesel::update(held).set((cursor, health)).execute(conn))
        }
    };
    Ok(moved? == 1)
}

/// How an endpoint does.
pub fn health(db: &mut Db, endpoint: &WebhookEndpointId) -> Result<Health, StoreError> {
    let (failing_since, warned) = webhook_endpoints::table
        .filter(webhook_endpoints::id.eq(endpoint))
        .select((webhook_endpoints::failing_since, webhook_endpoints::warned))
        .first(db)?;
    Ok(Health {
        failing_since,
        warned,
    })
}

/// What is measured of endpoints.
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// By state.
    pub states: Vec<(EndpointState, i64)>,
    /// Active ones that fail, by how many warnings were given.
    pub failing: Vec<(i32, i64)>,
    /// The oldest event that an endpoint of this node which works was not sent yet.
    pub oldest: Option<Instant>,
}

/// Counts endpoints.
pub fn count(db: &mut Db, node: &str) -> Result<Count, StoreError> {
    use diesel::dsl::{count_star, min};
    let states = webhook_endpoints::table
        .group_by(webhook_endpoints::state)
        .select((webhook_endpoints::state, count_star()))
        .load(db)?;
    let failing = webhook_endpoints::table
        .filter(webhook_endpoints::state.eq(EndpointState::Active))
        .filter(webhook_endpoints::failing_since.is_not_null())
        .group_by(webhook_endpoints::warned)
        .select((webhook_endpoints::warned, count_star()))
        .load(db)?;
    let oldest = webhook_endpoints::table
        .inner_join(
            events::table.on(events::partner_id
                .eq(webhook_endpoints::partner_id)
                .and(events::realm.eq(webhook_endpoints::realm))
                .and(events::seq.eq(webhook_endpoints::cursor + 1))),
        )
        .filter(webhook_endpoints::lease_owner.eq(node))
        .filter(webhook_endpoints::failing_since.is_null())
        .filter(deliverable!())
        .select(min(events::created_at))
        .first(db)?;
    Ok(Count {
        states,
        failing,
        oldest,
    })
}
