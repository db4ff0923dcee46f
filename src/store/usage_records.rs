//! Usage records: what the holders of orders used.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::usage_records;
use crate::domain::id::{OrderId, PartnerId, UsageRecordId};
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// A row of `usage_records`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = usage_records)]
pub struct UsageRecord {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub id: UsageRecordId,
    pub order_id: OrderId,
    pub quantity: i64,
    pub unit: String,
    /// When it was used.
    pub recorded_at: Instant,
    pub created_by: String,
    pub created_at: Instant,
}

/// Which records are meant.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub order_id: Option<OrderId>,
    /// Used then or later.
    pub from: Option<Instant>,
    /// Used before.
    pub to: Option<Instant>,
}

/// A unit, and how much of it was used.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Total {
    pub unit: String,
    pub quantity: i64,
}

/// Writes a record.
pub fn insert(db: &mut Db, tenant: &Tenant, record: &UsageRecord) -> Result<(), StoreError> {
    debug_assert_eq!(&record.partner_id, tenant.partner_id());
    diesel::insert_into(usage_records::table)
        .values(record)
        .execute(db)?;
    Ok(())
}

/// A tenant's records that a filter lets through; a macro, since boxed queries of two shapes have two types.
macro_rules! of_tenant {
    ($tenant:expr, $filter:expr, $query:expr) => {{
        let mut query = $query
            .filter(usage_records::partner_id.eq($tenant.partner_id()))
            .filter(usage_records::realm.eq($tenant.realm()))
            .into_boxed();
        if let Some(order) = &$filter.order_id {
            query = query.filter(usage_records::order_id.eq(order));
        }
        if let Some(from) = $filter.from {
            query = query.filter(usage_records::recorded_at.ge(from));
        }
        if let Some(to) = $filter.to {
            query = query.filter(usage_records::recorded_at.lt(to));
        }
        query
    }};
}

/// A page of a tenant's records, the newest first.
pub fn page(
    db: &mut Db,
    tenant: &Tenant,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<UsageRecord>, StoreError> {
    let mut query = of_tenant!(tenant, filter, usage_records::table);
    if let Some(after) = &page.after {
        query = query.filter(usage_records::id.lt(after));
    }
    let rows = query
        .order(usage_records::id.desc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |record: &UsageRecord| record.id.as_str()))
}

/// What all of a tenant's records that a filter lets through come to, unit by unit.
pub fn totals(db: &mut Db, tenant: &Tenant, filter: &Filter) -> Result<Vec<Total>, StoreError> {
    use diesel::dsl::sql;
    use diesel::sql_types::BigInt;
    let grouped = usage_records::table.group_by(usage_records::unit).select((
        usage_records::unit,
        sql::<BigInt>("CAST(SUM(quantity) AS BIGINT)"),
    ));
    let mut totals: Vec<Total> = of_tenant!(tenant, filter, grouped).load(db)?;
    // Here, since databases sort by their languages.
    totals.sort_by(|one, other| one.unit.cmp(&other.unit));
    Ok(totals)
}
