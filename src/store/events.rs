//! What partners are told: numbered without gaps for a partner and realm, save where a backup was restored.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::fixed::fixed;
use super::schema::{event_counters, events};
use crate::domain::event::{EventData, EventKind};
use crate::domain::id::{EventId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// A row of `events`.
#[derive(Clone, Debug, Queryable)]
pub struct Event {
    pub partner_id: PartnerId,
    pub realm: Realm,
    /// Its place among what the partner is told in the realm, from 1; without gaps, save where a backup was restored.
    pub seq: i64,
    pub id: EventId,
    pub kind: EventKind,
    pub created_at: Instant,
    pub data: EventData,
}

/// From where to where a tenant's events are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Queryable)]
pub struct Span {
    /// The number of the last event; 0: there was none.
    pub last: i64,
    /// The highest number that was forgotten, or passed over by a restore; 0: none was.
    pub purged: i64,
}

/// Writes an event under the partner's next number. `data` holds the ids of what it is about.
///
/// The counter's row is held to the commit, so no two writers take one number.
pub fn append(
    db: &mut Db,
    (partner, realm): (&PartnerId, Realm),
    kind: EventKind,
    data: &serde_json::Value,
    now: Instant,
) -> Result<EventId, StoreError> {
    let next = Next { partner, realm };
    let seq: i64 = on_engine!(db, conn => next.get_result(conn))?;
    let id = EventId::generate(now);
    let row = (
        events::partner_id.eq(partner),
        events::realm.eq(realm),
        events::seq.eq(seq),
        events::id.eq(&id),
        events::kind.eq(kind),
        events::created_at.eq(now),
        events::data.eq(data.to_string()),
    );
    on_engine!(db, conn => diesel::insert_into(events::table).values(row).execute(conn))?;
    Ok(id)
}

fixed! {
    /// Takes the partner's next number.
    Next -> BigInt {
        "INSERT INTO event_counters (partner_id, realm, value) VALUES (" [partner: Text = &'a PartnerId]
        ", " [realm: Text = Realm]
        ", 1) ON CONFLICT (partner_id, realm) DO UPDATE SET value = event_counters.value + 1 RETURNING value"
    }
}

/// A tenant's events with a number above one, the lowest first, and from where to where events are kept.
///
/// The span is read after the events: what it calls kept had not been forgotten when they were read,
/// and each that it does not call forgotten is among them. What was told before a restore is delivered,
/// and found by its id, and is in no list.
pub fn after(
    db: &mut Db,
    tenant: &Tenant,
    seq: i64,
    limit: i64,
) -> Result<(Vec<Event>, Span), StoreError> {
    let seq = seq.max(purged(db, tenant)?);
    let rows = events::table
        .filter(events::partner_id.eq(tenant.partner_id()))
        .filter(events::realm.eq(tenant.realm()))
        .filter(events::seq.gt(seq))
        .order(events::seq.asc())
        .limit(limit);
    let rows = on_engine!(db, conn => rows.load(conn))?;
    Ok((rows, span(db, tenant)?))
}

/// A tenant's event by id. `None`: unknown, forgotten, or another's.
pub fn find(db: &mut Db, tenant: &Tenant, id: &EventId) -> Result<Option<Event>, StoreError> {
    let event = events::table
        .filter(events::partner_id.eq(tenant.partner_id()))
        .filter(events::realm.eq(tenant.realm()))
        .filter(events::id.eq(id));
    Ok(event.first(db).optional()?)
}

fn span(db: &mut Db, tenant: &Tenant) -> Result<Span, StoreError> {
    let counter = event_counters::table
        .find((tenant.partner_id(), tenant.realm()))
        .select((event_counters::value, event_counters::purged));
    let span = on_engine!(db, conn => counter.first(conn));
    Ok(span.optional()?.unwrap_or_default())
}

/// Forgets events from before a moment, the oldest first, about so many at most, and remembers up to
/// which number; answers how many. A partner's numbers go on as if nothing had been forgotten.
pub fn purge(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let old = events::table
        .filter(events::created_at.lt(before))
        .order(events::created_at.asc())
        .select((events::partner_id, events::realm, events::seq))
        .limit(most);
    let old: Vec<(PartnerId, Realm, i64)> = old.load(db)?;
    let mut upto = BTreeMap::new();
    for (partner, realm, seq) in old {
        let last = upto.entry((partner, realm)).or_insert(seq);
        *last = seq.max(*last);
    }
    let mut gone = 0;
    for ((partner, realm), last) in upto {
        let counter = event_counters::table
            .find((&partner, realm))
            .filter(event_counters::purged.lt(last));
        diesel::update(counter)
            .set(event_counters::purged.eq(last))
            .execute(db)?;
        let those = events::table
            .filter(events::partner_id.eq(&partner).and(events::realm.eq(realm)))
            .filter(events::seq.le(last));
        gone += diesel::delete(those).execute(db)?;
    }
    Ok(gone)
}

/// The highest number among a partner's events that are kept no more; 0: all are.
fn purged(db: &mut Db, tenant: &Tenant) -> Result<i64, StoreError> {
    let counter = event_counters::table
        .find((tenant.partner_id(), tenant.realm()))
        .select(event_counters::purged);
    Ok(counter.first(db).optional()?.unwrap_or(0))
}
