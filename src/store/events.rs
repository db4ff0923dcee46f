//! What partners are told: numbered without gaps for a partner and realm.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{event_counters, events};
use crate::domain::event::EventKind;
use crate::domain::id::{EventId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;

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
    let first = (
        event_counters::partner_id.eq(partner),
        event_counters::realm.eq(realm),
        event_counters::value.eq(1_i64),
    );
    let seq: i64 = on_engine!(db, conn => diesel::insert_into(event_counters::table)
        .values(first)
        .on_conflict((event_counters::partner_id, event_counters::realm))
        .do_update()
        .set(event_counters::value.eq(event_counters::value + 1))
        .returning(event_counters::value)
        .get_result(conn))?;
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
