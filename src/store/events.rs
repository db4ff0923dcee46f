//! What partners are told: numbered without gaps for a partner and realm, save where a backup was restored.

use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::SqliteConnection;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::fixed::fixed;
use super::schema::{event_counters, events};
use super::together::{Together, Written};
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
    whom: (&PartnerId, Realm),
    kind: EventKind,
    data: &serde_json::Value,
    now: Instant,
) -> Result<EventId, StoreError> {
    let mut rows = Together::new();
    let id = append_with(&mut rows, whom, kind, data, now);
    rows.write(db)?;
    Ok(id)
}

/// The same at the transaction's end: the partner's others wait for its commit, and for nothing before.
pub fn append_with(
    rows: &mut Together,
    (partner, realm): (&PartnerId, Realm),
    kind: EventKind,
    data: &serde_json::Value,
    now: Instant,
) -> EventId {
    let id = EventId::generate(now);
    rows.add(Unnumbered {
        next: Next {
            partner: partner.clone(),
            realm,
        },
        id: id.clone(),
        kind,
        created_at: now,
        data: data.to_string(),
    });
    id
}

/// An event that takes its number when it is written.
struct Unnumbered {
    /// Whose it is.
    next: Next,
    id: EventId,
    kind: EventKind,
    created_at: Instant,
    data: String,
}

impl Written for Unnumbered {
    fn on_sqlite(self: Box<Self>, conn: &mut SqliteConnection) -> QueryResult<()> {
        let (partner, realm) = (self.next.partner.clone(), self.next.realm);
        let seq: i64 = self.next.get_result(conn)?;
        let row = (
            events::partner_id.eq(partner),
            events::realm.eq(realm),
            events::seq.eq(seq),
            events::id.eq(&self.id),
            events::kind.eq(self.kind),
            events::created_at.eq(self.created_at),
            events::data.eq(&self.data),
        );
        let insert = diesel::insert_into(events::table).values(row);
        insert.execute(conn).map(|_| ())
    }

    #[cfg(feature = "postgres")]
    fn on_postgres<'b>(
        &'b self,
        number: usize,
        mut out: AstPass<'_, 'b, diesel::pg::Pg>,
    ) -> QueryResult<()> {
        out.push_sql(&format!("n{number} AS ("));
        self.next.walk_ast(out.reborrow())?;
        out.push_sql(&format!(
            "), r{number} AS (INSERT INTO events (seq, partner_id, realm, id, kind, created_at, data) SELECT value"
        ));
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.next.partner)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.next.realm)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<diesel::sql_types::Timestamp, _>(&self.created_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.data)?;
        out.push_sql(&format!(" FROM n{number})"));
        Ok(())
    }
}

fixed! {
    /// Takes the partner's next number.
    Next -> BigInt {
        "INSERT INTO event_counters (partner_id, realm, value) VALUES (" [partner: Text = PartnerId]
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
///
/// From the lowest number on, and none above one that is young: one that was written by a clock that was behind
/// takes none along.
pub fn purge(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    // Whoever's lowest is old; those passed over by a restore stand below the number.
    let lowest_is_old = events::table
        .filter(events::partner_id.eq(event_counters::partner_id))
        .filter(events::realm.eq(event_counters::realm))
        .filter(events::seq.le(event_counters::purged + 1))
        .filter(events::created_at.lt(before));
    let tenants: Vec<(PartnerId, Realm)> = event_counters::table
        .filter(diesel::dsl::exists(lowest_is_old))
        .select((event_counters::partner_id, event_counters::realm))
        // In the order of all who hold several counters to the commit.
        .order((
            event_counters::partner_id.asc(),
            event_counters::realm.asc(),
        ))
        .limit(most)
        .load(db)?;
    let mut left = most;
    for (partner, realm) in tenants {
        let lowest: Vec<(i64, Instant)> = events::table
            .filter(events::partner_id.eq(&partner).and(events::realm.eq(realm)))
            .order(events::seq.asc())
            .select((events::seq, events::created_at))
            .limit(left)
            .load(db)?;
        let old = lowest.iter().take_while(|(_, at)| *at < before);
        let Some((last, _)) = old.last().copied() else {
            continue;
        };
        let counter = event_counters::table
            .find((&partner, realm))
            .filter(event_counters::purged.lt(last));
        diesel::update(counter)
            .set(event_counters::purged.eq(last))
            .execute(db)?;
        let those = events::table
            .filter(events::partner_id.eq(&partner).and(events::realm.eq(realm)))
            .filter(events::seq.le(last));
        left -= i64::try_from(diesel::delete(those).execute(db)?).unwrap_or(most);
        if left <= 0 {
            break;
        }
    }
    Ok(usize::try_from(most - left).unwrap_or(0))
}

/// The highest number among a partner's events that are kept no more; 0: all are.
fn purged(db: &mut Db, tenant: &Tenant) -> Result<i64, StoreError> {
    let counter = event_counters::table
        .find((tenant.partner_id(), tenant.realm()))
        .select(event_counters::purged);
    Ok(counter.first(db).optional()?.unwrap_or(0))
}
