//! Orders, and what became of them.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{order_events, orders};
use super::together::Together;
use crate::domain::id::{ClientId, CredentialId, OrderId, PackageId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Metadata, OrderRef, OrderState, OrderStep};
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// A row of `orders`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = orders, treat_none_as_default_value = false)]
pub struct Order {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub id: OrderId,
    pub client_id: ClientId,
    pub credential_id: CredentialId,
    pub package_id: PackageId,
    pub package_version: i64,
    pub quantity: i64,
    pub unit_amount: i64,
    pub total_amount: i64,
    pub currency: Currency,
    pub partner_order_ref: OrderRef,
    pub metadata: Option<Metadata>,
    pub state: OrderState,
    pub reason: Option<String>,
    /// In the sandbox: when the simulator moves it on. `None`: it does not.
    pub simulate_at: Option<Instant>,
    /// When its stored answer was first shown again.
    pub retried_at: Option<Instant>,
    pub created_at: Instant,
    pub updated_at: Instant,
}

impl Order {
    /// Whose it is.
    pub fn tenant(&self) -> Tenant {
        Tenant::of_record(self.partner_id.clone(), self.realm)
    }

    /// What one cost.
    pub fn unit_price(&self) -> Money {
        Money::new(self.unit_amount, self.currency)
    }

    /// What all of it cost.
    pub fn total(&self) -> Money {
        Money::new(self.total_amount, self.currency)
    }
}

/// A row of `order_events`: a state that an order reached.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = order_events, treat_none_as_default_value = false)]
pub struct OrderEvent {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub order_id: OrderId,
    pub state: OrderState,
    pub at: Instant,
    pub actor: String,
    pub reason: Option<String>,
}

/// Which of a tenant's orders a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<OrderState>,
    pub package_id: Option<PackageId>,
    /// Made then or later.
    pub from: Option<Instant>,
    /// Made before.
    pub to: Option<Instant>,
}

/// Which of all orders a list shows.
#[derive(Clone, Debug, Default)]
pub struct Anywhere {
    pub partner_id: Option<PartnerId>,
    pub realm: Option<Realm>,
    pub state: Option<OrderState>,
}

/// Writes a new order. `false`: the tenant has one with this reference, which is committed.
pub fn insert(db: &mut Db, tenant: &Tenant, order: &Order) -> Result<bool, StoreError> {
    debug_assert_eq!(&order.tenant(), tenant);
    let reference = (orders::partner_id, orders::realm, orders::partner_order_ref);
    // On PostgreSQL this waits for another transaction that has written the reference.
    let written = on_engine!(db, conn => diesel::insert_into(orders::table)
        .values(order)
        .on_conflict(reference)
        .do_nothing()
        .execute(conn))?;
    Ok(written == 1)
}

/// Writes down that an order reached a state, at the transaction's end.
pub fn note_with(rows: &mut Together, tenant: &Tenant, event: OrderEvent) {
    debug_assert_eq!(&event.partner_id, tenant.partner_id());
    rows.add(diesel::insert_into(order_events::table).values(event));
}

/// A tenant's order by id. `None`: it has none of that id.
pub fn find(db: &mut Db, tenant: &Tenant, id: &OrderId) -> Result<Option<Order>, StoreError> {
    let order = orders::table.find((tenant.partner_id(), tenant.realm(), id));
    let order = on_engine!(db, conn => order.first(conn));
    Ok(order.optional()?)
}

/// A tenant's order by its reference. `None`: it has none of that name.
pub fn by_reference(
    db: &mut Db,
    tenant: &Tenant,
    reference: &OrderRef,
) -> Result<Option<Order>, StoreError> {
    let order = orders::table
        .filter(orders::partner_id.eq(tenant.partner_id()))
        .filter(orders::realm.eq(tenant.realm()))
        .filter(orders::partner_order_ref.eq(reference));
    let order = on_engine!(db, conn => order.first(conn));
    Ok(order.optional()?)
}

/// The states that a tenant's order reached, in order, up to the one that it was found in.
pub fn history(db: &mut Db, tenant: &Tenant, order: &Order) -> Result<Vec<OrderEvent>, StoreError> {
    let mut events: Vec<OrderEvent> = order_events::table
        .filter(order_events::partner_id.eq(tenant.partner_id()))
        .filter(order_events::realm.eq(tenant.realm()))
        .filter(order_events::order_id.eq(&order.id))
        .load(db)?;
    // It may have moved on since it was read.
    events.retain(|event| event.state <= order.state);
    // In the drawing's order: nodes' clocks may tell another.
    events.sort_by_key(|event| event.state);
    Ok(events)
}

/// A page of a tenant's orders, the newest first.
///
/// Moments become bounds of the id, which begins with one: whatever is asked for, an index leads
/// to the page's first row.
pub fn page(
    db: &mut Db,
    tenant: &Tenant,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Order>, StoreError> {
    let query = orders::table
        .filter(orders::partner_id.eq(tenant.partner_id()))
        .filter(orders::realm.eq(tenant.realm()))
        .order(orders::id.desc())
        .limit(page.probe());
    if let (None, None, None, None) = (filter.state, &filter.package_id, filter.from, filter.to) {
        // What is asked most: built once.
        let rows = match &page.after {
            None => on_engine!(db, conn => query.load(conn)),
            Some(after) => {
                on_engine!(db, conn => query.filter(orders::id.lt(after)).load(conn))
            }
        };
        return Ok(page.page(rows?, |order: &Order| order.id.as_str()));
    }
    let mut query = query.into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(orders::id.lt(after));
    }
    if let Some(state) = filter.state {
        query = query.filter(orders::state.eq(state));
    }
    if let Some(package) = &filter.package_id {
        query = query.filter(orders::package_id.eq(package));
    }
    if let Some(from) = filter.from {
        query = query
            .filter(orders::id.ge(OrderId::first_of(from)))
            .filter(orders::created_at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query
            .filter(orders::id.le(OrderId::last_of(to)))
            .filter(orders::created_at.lt(to));
    }
    let rows = query.load(db)?;
    Ok(page.page(rows, |order: &Order| order.id.as_str()))
}

/// Takes a tenant's order a step on. `false`: it has none of that id, or the step does not lead on
/// from its state.
pub fn step(
    db: &mut Db,
    tenant: &Tenant,
    id: &OrderId,
    step: OrderStep,
    reason: Option<&str>,
    simulate_at: Option<Instant>,
    now: Instant,
) -> Result<bool, StoreError> {
    let ready = orders::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(orders::state.eq_any(step.from()));
    let changed = diesel::update(ready)
        .set((
            orders::state.eq(step.to()),
            orders::reason.eq(reason),
            orders::simulate_at.eq(simulate_at),
            orders::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Notes that a tenant's order was asked for again under its key. Only the first time counts.
pub fn note_retry(
    db: &mut Db,
    tenant: &Tenant,
    id: &OrderId,
    now: Instant,
) -> Result<(), StoreError> {
    let first = orders::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(orders::retried_at.is_null());
    diesel::update(first)
        .set(orders::retried_at.eq(now))
        .execute(db)?;
    Ok(())
}

/// Holds a tenant's order to the commit: who corrects what it was charged goes one after the other.
pub fn hold(db: &mut Db, tenant: &Tenant, id: &OrderId) -> Result<(), StoreError> {
    let order = orders::table.find((tenant.partner_id(), tenant.realm(), id));
    diesel::update(order)
        .set(orders::state.eq(orders::state))
        .execute(db)?;
    Ok(())
}

/// Any order by id, for operators and for the server itself. `None`: unknown.
pub fn anywhere(db: &mut Db, id: &OrderId) -> Result<Option<Order>, StoreError> {
    Ok(orders::table
        .filter(orders::id.eq(id))
        .first(db)
        .optional()?)
}

/// A page of all partners' orders, the newest first, for operators.
pub fn page_anywhere(
    db: &mut Db,
    filter: &Anywhere,
    page: &PageRequest,
) -> Result<Page<Order>, StoreError> {
    let mut query = orders::table.into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(orders::id.lt(after));
    }
    if let Some(partner) = &filter.partner_id {
        query = query.filter(orders::partner_id.eq(partner));
    }
    if let Some(realm) = filter.realm {
        query = query.filter(orders::realm.eq(realm));
    }
    if let Some(state) = filter.state {
        query = query.filter(orders::state.eq(state));
    }
    let rows = query
        .order(orders::id.desc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |order: &Order| order.id.as_str()))
}

/// Orders whose time with the simulator has come, at most so many.
pub fn to_simulate(db: &mut Db, now: Instant, most: i64) -> Result<Vec<Order>, StoreError> {
    let due = orders::table
        .filter(orders::simulate_at.le(now))
        .order(orders::simulate_at.asc())
        .limit(most);
    Ok(on_engine!(db, conn => due.load(conn))?)
}

/// A tenant's first order that reached a state, with when it did. `None`: none has.
pub fn first_in(
    db: &mut Db,
    tenant: &Tenant,
    state: OrderState,
    after: Option<&OrderId>,
) -> Result<Option<Order>, StoreError> {
    let mut query = orders::table
        .filter(orders::partner_id.eq(tenant.partner_id()))
        .filter(orders::realm.eq(tenant.realm()))
        .filter(orders::state.eq(state))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(orders::id.gt(after));
    }
    Ok(query.order(orders::id.asc()).first(db).optional()?)
}

/// A tenant's first order that was asked for again under its key. `None`: there is none.
pub fn first_retried(db: &mut Db, tenant: &Tenant) -> Result<Option<Order>, StoreError> {
    Ok(orders::table
        .filter(orders::partner_id.eq(tenant.partner_id()))
        .filter(orders::realm.eq(tenant.realm()))
        .filter(orders::retried_at.is_not_null())
        .order(orders::id.asc())
        .first(db)
        .optional()?)
}
