//! What orders include, and how much of it was used.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::allowances;
use super::together::Together;
use crate::domain::id::{OrderId, PackageId, PartnerId};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// A row of `allowances`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = allowances)]
pub struct Allowance {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub order_id: OrderId,
    pub package_id: PackageId,
    pub unit: String,
    pub included: i64,
    pub used: i64,
}

/// Writes down what an order includes, at the transaction's end.
pub fn insert_with(rows: &mut Together, tenant: &Tenant, allowance: Allowance) {
    debug_assert_eq!(&allowance.partner_id, tenant.partner_id());
    rows.add(diesel::insert_into(allowances::table).values(allowance));
}

/// Adds to what was used of a tenant's order; answers what there is of it then. `None`: the order includes nothing
/// that is measured in this unit.
///
/// Its row is held to the commit, so of any number of records that come at once each finds the sum of all before
/// it: a threshold is passed by exactly one.
pub fn spend(
    db: &mut Db,
    tenant: &Tenant,
    order: &OrderId,
    (quantity, unit): (i64, &str),
) -> Result<Option<Allowance>, StoreError> {
    let known = allowances::table
        .find((order, tenant.partner_id(), tenant.realm()))
        .filter(allowances::unit.eq(unit));
    let spent = on_engine!(db, conn => diesel::update(known)
        .set(allowances::used.eq(allowances::used + quantity))
        .returning(allowances::all_columns)
        .get_result(conn));
    Ok(spent.optional()?)
}
