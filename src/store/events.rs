//! What partners are told: numbered without gaps for a partner and realm.

use diesel::prelude::*;

use super::changes::Change;
use super::error::StoreError;
use super::schema::{event_counters, events};
use crate::domain::event::EventKind;
use crate::domain::id::{EventId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;

/// Writes an event under the partner's next number. `data` holds the ids of what it is about.
///
/// The change's own number is held to the commit, so no two writers take one number.
pub fn append(
    db: &mut Change<'_>,
    (partner, realm): (&PartnerId, Realm),
    kind: EventKind,
    data: &serde_json::Value,
    now: Instant,
) -> Result<EventId, StoreError> {
    let counter = event_counters::table.find((partner, realm));
    let next = diesel::update(counter)
        .set(event_counters::value.eq(event_counters::value + 1))
        .returning(event_counters::value)
        .get_result(&mut **db)
        .optional()?;
    let seq: i64 = match next {
        Some(seq) => seq,
        None => {
            let first = (
                event_counters::partner_id.eq(partner),
                event_counters::realm.eq(realm),
                event_counters::value.eq(1_i64),
            );
            diesel::insert_into(event_counters::table)
                .values(first)
                .execute(&mut **db)?;
            1
        }
    };
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
    diesel::insert_into(events::table)
        .values(row)
        .execute(&mut **db)?;
    Ok(id)
}
