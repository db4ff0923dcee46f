//! Who asked for what is another's: noted once a partner and day.

use std::collections::HashMap;

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::{
    audit_events, clients, credentials, events, invoices, ledger_entries, orders, request_log,
    scope_grants, trespasses, webhook_endpoints, webhook_replays,
};
use crate::domain::day::Day;
use crate::domain::id::{AnyId, PartnerId, ReviewId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;

/// Whose something is.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Owner {
    pub id: AnyId,
    pub partner_id: Option<PartnerId>,
    pub realm: Option<Realm>,
}

/// Those of some ids that there are, and whose they are.
type Look = fn(&mut Db, &[&str]) -> QueryResult<Vec<Owner>>;

/// Looks ids up in a table that says whose its rows are.
macro_rules! rows {
    ($table:ident, $id:ident) => {
        |db, ids| {
            $table::table
                .filter($table::$id.eq_any(ids))
                .select((
                    $table::$id,
                    $table::partner_id.nullable(),
                    $table::realm.nullable(),
                ))
                .load(db)
        }
    };
}

/// What partners can ask for by id, by how the id begins: one line a kind.
const KINDS: &[(&str, Look)] = &[
    ("aud_", rows!(audit_events, id)),
    ("cl_live_", rows!(clients, id)),
    ("cl_sbx_", rows!(clients, id)),
    ("crd_", of_credentials),
    ("evt_", rows!(events, id)),
    ("grt_", rows!(scope_grants, id)),
    ("inv_", rows!(invoices, id)),
    ("led_", rows!(ledger_entries, id)),
    ("ord_", rows!(orders, id)),
    ("rpl_", rows!(webhook_replays, id)),
    ("req_", rows!(request_log, request_id)),
    ("whe_", rows!(webhook_endpoints, id)),
];

fn of_credentials(db: &mut Db, ids: &[&str]) -> QueryResult<Vec<Owner>> {
    credentials::table
        .inner_join(clients::table)
        .filter(credentials::id.eq_any(ids))
        .select((
            credentials::id,
            clients::partner_id.nullable(),
            clients::realm.nullable(),
        ))
        .load(db)
}

/// Whose each of some ids is; what is not in the answer does not exist, or is of no kind that partners
/// can ask for.
pub fn owners(db: &mut Db, ids: &[AnyId]) -> Result<HashMap<AnyId, Owner>, StoreError> {
    let mut owners = HashMap::new();
    for (prefix, look) in KINDS {
        let of_kind = ids.iter().filter(|id| id.prefix() == *prefix);
        let of_kind: Vec<&str> = of_kind.map(AnyId::as_str).collect();
        if !of_kind.is_empty() {
            let found = look(db, &of_kind)?;
            owners.extend(found.into_iter().map(|owner| (owner.id.clone(), owner)));
        }
    }
    Ok(owners)
}

/// Whether a partner was noted on a day.
pub fn is_noted(db: &mut Db, partner: &PartnerId, day: Day) -> Result<bool, StoreError> {
    let row = trespasses::table.find((partner, day.to_string()));
    let found: Option<String> = row.select(trespasses::review_id).first(db).optional()?;
    Ok(found.is_some())
}

/// Notes a partner on a day.
pub fn note(
    db: &mut Db,
    partner: &PartnerId,
    day: Day,
    review: &ReviewId,
) -> Result<(), StoreError> {
    let row = (
        trespasses::partner_id.eq(partner),
        trespasses::day.eq(day.to_string()),
        trespasses::review_id.eq(review),
    );
    diesel::insert_into(trespasses::table)
        .values(row)
        .execute(db)?;
    Ok(())
}

/// Forgets who was noted before the day of a moment; answers how many.
pub fn purge(db: &mut Db, before: Instant, _most: i64) -> Result<usize, StoreError> {
    let old = trespasses::table.filter(trespasses::day.lt(Day::of(before).to_string()));
    Ok(diesel::delete(old).execute(db)?)
}
