//! The audit trail's rows.

use diesel::prelude::*;

use super::columns::FoundInstant;
use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{audit_events, sequences};
use super::together::Together;
use crate::domain::id::AuditEventId;
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;

mod listing;
mod placing;
pub use listing::{Filter, page, page_of_tenant};
pub use placing::{Placed, place};

/// Below which place retention may delete.
const KEPT_FROM: &str = "audit_kept_from";

/// A row of `audit_events`, as it is found: for evidence, also what nobody here would have written.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = audit_events, treat_none_as_default_value = false)]
pub struct AuditEvent {
    pub id: String,
    pub at: FoundInstant,
    pub actor: String,
    /// What the actor authenticated with.
    pub credential_id: Option<String>,
    pub action: String,
    pub target: String,
    pub partner_id: Option<String>,
    pub realm: Option<String>,
    /// `done` or `refused`.
    pub outcome: String,
    pub request_id: Option<String>,
    /// Personal: it goes early.
    pub source_ip: Option<String>,
    /// A JSON object without secrets.
    pub details: String,
    /// `None`: from before there were MACs, or forged.
    pub mac: Option<String>,
    /// It goes with the address.
    pub source_ip_salt: Option<String>,
    /// What stands for the address in the leaf.
    pub source_ip_commitment: Option<String>,
    /// Its place in the tree. `None`: not yet.
    pub leaf_index: Option<i64>,
    pub leaf_mac: Option<String>,
    /// Why it gets no place.
    pub set_aside: Option<String>,
}

/// Writes an entry.
pub fn insert(db: &mut Db, event: &AuditEvent) -> Result<(), StoreError> {
    on_engine!(db, conn => diesel::insert_into(audit_events::table)
        .values(event)
        .execute(conn))?;
    Ok(())
}

/// The same at the transaction's end.
pub fn insert_with(rows: &mut Together, event: AuditEvent) {
    rows.add(diesel::insert_into(audit_events::table).values(event));
}

/// What was done to each of these since a moment, under one name: to what, and the details.
pub fn done_to(
    db: &mut Db,
    targets: &[&str],
    action: &str,
    since: Instant,
) -> Result<Vec<(String, String)>, StoreError> {
    let rows = audit_events::table
        .filter(audit_events::target.eq_any(targets))
        .filter(audit_events::action.eq(action))
        .filter(audit_events::outcome.eq("done"))
        .filter(audit_events::at.gt(since))
        .select((audit_events::target, audit_events::details))
        .load(db)?;
    Ok(rows)
}

/// An event by id. `None`: unknown.
pub fn find(db: &mut Db, id: &AuditEventId) -> Result<Option<AuditEvent>, StoreError> {
    let row = audit_events::table.find(id.as_str()).first(db);
    Ok(row.optional()?)
}

/// An event of a tenant's own. `None`: unknown, or another's.
pub fn of_tenant(
    db: &mut Db,
    tenant: &Tenant,
    id: &AuditEventId,
) -> Result<Option<AuditEvent>, StoreError> {
    let own = audit_events::table
        .filter(audit_events::partner_id.eq(tenant.partner_id()))
        .filter(audit_events::realm.eq(tenant.realm()))
        .filter(audit_events::id.eq(id.as_str()));
    Ok(own.first(db).optional()?)
}

/// Events without a MAC, from before there were any.
pub fn without_mac(db: &mut Db, limit: i64) -> Result<Vec<AuditEvent>, StoreError> {
    let rows = audit_events::table
        .filter(audit_events::mac.is_null())
        .order(audit_events::id.asc())
        .limit(limit);
    Ok(rows.load(db)?)
}

/// Gives an event that has none its MAC.
pub fn give_mac(db: &mut Db, event: &AuditEvent) -> Result<(), StoreError> {
    let row = audit_events::table
        .find(&event.id)
        .filter(audit_events::mac.is_null());
    diesel::update(row)
        .set((
            audit_events::mac.eq(&event.mac),
            audit_events::source_ip_salt.eq(&event.source_ip_salt),
            audit_events::source_ip_commitment.eq(&event.source_ip_commitment),
        ))
        .execute(db)?;
    Ok(())
}

/// Events that wait for their place, in the order in which they get it: by id.
///
/// Asked for by what they lack and not by a cursor: a transaction that took long commits an event
/// whose id is older than that of others which have their places.
pub fn pending(db: &mut Db, after: &str, limit: i64) -> Result<Vec<AuditEvent>, StoreError> {
    let rows = audit_events::table
        .filter(audit_events::leaf_index.is_null())
        .filter(audit_events::set_aside.is_null())
        .filter(audit_events::id.gt(after))
        .order(audit_events::id.asc())
        .limit(limit);
    Ok(rows.load(db)?)
}

/// Gives an event no place, for a reason. `false`: it was set aside or has its place by now.
pub fn set_aside(db: &mut Db, id: &str, reason: &str) -> Result<bool, StoreError> {
    let row = audit_events::table
        .find(id)
        .filter(audit_events::leaf_index.is_null())
        .filter(audit_events::set_aside.is_null());
    let changed = diesel::update(row)
        .set(audit_events::set_aside.eq(reason))
        .execute(db)?;
    Ok(changed == 1)
}

/// Events that were set aside, after one of them.
pub fn all_set_aside(db: &mut Db, after: &str, limit: i64) -> Result<Vec<AuditEvent>, StoreError> {
    let rows = audit_events::table
        .filter(audit_events::set_aside.is_not_null())
        .filter(audit_events::id.gt(after))
        .order(audit_events::id.asc())
        .limit(limit);
    Ok(rows.load(db)?)
}

/// Events with a place, in its order, after a place and, within it, an id: places should be unique,
/// and evidence is also read where they are not.
pub fn by_place(
    db: &mut Db,
    (place, id): (i64, &str),
    limit: i64,
) -> Result<Vec<AuditEvent>, StoreError> {
    let behind = audit_events::leaf_index
        .gt(place)
        .or(audit_events::leaf_index
            .eq(place)
            .and(audit_events::id.gt(id)));
    let rows = audit_events::table
        .filter(audit_events::leaf_index.ge(place))
        .filter(behind)
        .order((audit_events::leaf_index.asc(), audit_events::id.asc()))
        .limit(limit);
    Ok(rows.load(db)?)
}

/// Drops addresses, and their salts, from events of before a moment; answers of how many.
pub fn drop_addresses(db: &mut Db, before: Instant, limit: i64) -> Result<usize, StoreError> {
    let ids: Vec<String> = audit_events::table
        .filter(audit_events::source_ip.is_not_null())
        .filter(audit_events::at.lt(before))
        .order(audit_events::at.asc())
        .limit(limit)
        .select(audit_events::id)
        .load(db)?;
    let rows = audit_events::table.filter(audit_events::id.eq_any(ids));
    Ok(diesel::update(rows)
        .set((
            audit_events::source_ip.eq(None::<String>),
            audit_events::source_ip_salt.eq(None::<String>),
        ))
        .execute(db)?)
}

/// What was done last to a target under one name, newest first.
pub fn newest_of(
    db: &mut Db,
    target: &str,
    action: &str,
    limit: i64,
) -> Result<Vec<AuditEvent>, StoreError> {
    let rows = audit_events::table
        .filter(audit_events::target.eq(target))
        .filter(audit_events::action.eq(action))
        .order(audit_events::id.desc())
        .limit(limit);
    Ok(rows.load(db)?)
}

/// Deletes events below a place, some at a time; answers how many.
pub fn delete_below(db: &mut Db, place: i64, limit: i64) -> Result<usize, StoreError> {
    // The fence lets through what this says.
    let row = sequences::table
        .find(KEPT_FROM)
        .filter(sequences::value.lt(place));
    diesel::update(row)
        .set(sequences::value.eq(place))
        .execute(db)?;
    let ids: Vec<String> = audit_events::table
        .filter(audit_events::leaf_index.lt(place))
        .order(audit_events::leaf_index.asc())
        .limit(limit)
        .select(audit_events::id)
        .load(db)?;
    let rows = audit_events::table.filter(audit_events::id.eq_any(ids));
    Ok(diesel::delete(rows).execute(db)?)
}
