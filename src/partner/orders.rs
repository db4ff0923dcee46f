//! Orders: accepted once, charged once, moved on, and credited where they come to nothing.

use serde_json::json;

use super::idempotency::{self, Answer, Once, Outcome};
use super::quotas::{self, OrderQuotas};
use super::usage::{self, NewUsage};
use super::{Act, PartnerError, account};
use crate::audit::{Action, Deed};
use crate::domain::event::EventKind;
use crate::domain::id::{ClientId, CredentialId, LedgerEntryId, OrderId, PackageId};
use crate::domain::instant::Instant;
use crate::domain::ledger::{Account, EntryKind, Movement};
use crate::domain::lifecycle::Step;
use crate::domain::money::TooMuch;
use crate::domain::order::{Metadata, OrderRef, OrderState, OrderStep};
use crate::domain::realm::Realm;
use crate::domain::simulation::Script;
use crate::domain::tenant::Tenant;
use crate::events::data::OrderReached;
use crate::store::allowances::{self, Allowance};
use crate::store::ledger::{self, LedgerEntry};
use crate::store::orders::{self, Order, OrderEvent};
use crate::store::together::Together;
use crate::store::{Db, StoreError, packages};

/// The most of a package that one order has.
pub const MOST: i64 = 1_000_000;

/// What an order of the sandbox is used in.
const SIMULATED_UNIT: &str = "activation";

/// An order to be.
#[derive(Clone, Debug)]
pub struct NewOrder {
    pub package_id: PackageId,
    pub quantity: i64,
    pub partner_order_ref: OrderRef,
    pub metadata: Option<Metadata>,
}

/// Who orders.
#[derive(Clone, Debug)]
pub struct Buyer {
    pub tenant: Tenant,
    pub client_id: ClientId,
    pub credential_id: CredentialId,
    pub quotas: OrderQuotas,
}

/// Accepts an order under a key, or answers what was answered before; `show` writes the answer that
/// is kept.
pub fn place(
    db: &mut Db,
    buyer: &Buyer,
    act: &Act,
    once: &Once,
    new: NewOrder,
    show: impl FnOnce(&Order) -> Result<Answer, PartnerError>,
) -> Result<Outcome, PartnerError> {
    let outcome = idempotency::once(db, once, act.now, |db, rows| {
        let order = accept(db, rows, buyer, act, new)?;
        show(&order)
    })?;
    if let Outcome::Replayed(answer) = &outcome
        && let Some(id) = answer.resource.as_deref().and_then(|id| id.parse().ok())
    {
        orders::note_retry(db, &buyer.tenant, &id, act.now)?;
    }
    Ok(outcome)
}

/// Accepts an order: the order itself, its charge, what is told and what is recorded.
fn accept(
    db: &mut Db,
    rows: &mut Together,
    buyer: &Buyer,
    act: &Act,
    new: NewOrder,
) -> Result<Order, PartnerError> {
    let (tenant, now) = (&buyer.tenant, act.now);
    let package = packages::visible(db, tenant, &new.package_id)?.ok_or_else(|| {
        let detail = "is not a package that you can order: see /catalogue/packages";
        PartnerError::Invalid("/package_id", detail.to_owned())
    })?;
    let too_much = |error: TooMuch| PartnerError::Invalid("/quantity", error.to_string());
    let total = package.price().times(new.quantity).map_err(too_much)?;
    account::takes(db, tenant, total, "/quantity")?;
    let included = package.included();
    let order = Order {
        partner_id: tenant.partner_id().clone(),
        realm: tenant.realm(),
        id: OrderId::generate(now),
        client_id: buyer.client_id.clone(),
        credential_id: buyer.credential_id.clone(),
        package_id: package.id,
        package_version: package.version,
        quantity: new.quantity,
        unit_amount: package.price_amount,
        total_amount: total.amount,
        currency: total.currency,
        simulate_at: simulated(tenant, &new.partner_order_ref, OrderState::Accepted, now),
        partner_order_ref: new.partner_order_ref,
        metadata: new.metadata,
        state: OrderState::Accepted,
        reason: None,
        retried_at: None,
        created_at: now,
        updated_at: now,
    };
    if !orders::insert(db, tenant, &order)? {
        let taken = orders::by_reference(db, tenant, &order.partner_order_ref)?;
        return Err(taken.map_or(PartnerError::InProgress, |order| {
            PartnerError::ReferenceTaken(order.id)
        }));
    }
    if let Some(included) = included {
        let allowance = Allowance {
            partner_id: order.partner_id.clone(),
            realm: order.realm,
            order_id: order.id.clone(),
            package_id: order.package_id.clone(),
            included: included.quantity.saturating_mul(order.quantity),
            unit: included.unit,
            used: 0,
        };
        allowances::insert_with(rows, tenant, allowance);
    }
    if order.total_amount > 0 {
        let movement = Movement::charge(Account::Sales);
        let charge = entry(
            &order,
            act,
            EntryKind::Order,
            movement,
            charge_of(&order.id),
        );
        ledger::insert_with(rows, tenant, charge);
    }
    // Before the partner's event counter: see `store/usage_counters`.
    quotas::reserve(db, &buyer.quotas, &order, now)?;
    let deed = Deed::new(Action::OrderAccepted, &order.id)
        .detail("package_id", order.package_id.as_str())
        .detail("quantity", order.quantity)
        .detail("total_amount", order.total_amount)
        .detail("currency", order.currency.as_str());
    reached(rows, tenant, act, &order, (deed, EventKind::OrderAccepted));
    Ok(order)
}

/// Takes an order a step on. One that fails or is cancelled is credited what it was charged.
pub fn step(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &OrderId,
    step: OrderStep,
    reason: Option<&str>,
) -> Result<Order, PartnerError> {
    let before = orders::find(db, tenant, id)?.ok_or(PartnerError::NotFound)?;
    let next = simulated(tenant, &before.partner_order_ref, step.to(), act.now);
    if !orders::step(db, tenant, id, step, reason, next, act.now)? {
        // Read again: it may have moved on since.
        let state = orders::find(db, tenant, id)?.map_or(before.state, |order| order.state);
        return Err(PartnerError::illegal::<OrderStep>("the order", state));
    }
    let order = orders::find(db, tenant, id)?.ok_or(PartnerError::NotFound)?;
    let told = match step {
        OrderStep::Prepare => (Action::OrderPreparing, EventKind::OrderPreparing),
        OrderStep::Fulfil => (Action::OrderFulfilled, EventKind::OrderFulfilled),
        OrderStep::Fail => (Action::OrderFailed, EventKind::OrderFailed),
        OrderStep::Cancel => (Action::OrderCancelled, EventKind::OrderCancelled),
    };
    if matches!(step, OrderStep::Fail | OrderStep::Cancel) {
        credit(db, tenant, act, &order)?;
    }
    let deed = Deed::new(told.0, id).detail("reason", reason);
    let mut rows = Together::new();
    reached(&mut rows, tenant, act, &order, (deed, told.1));
    rows.write(db)?;
    Ok(order)
}

/// The same of whoever's order it is: for operators, and for those who fulfil.
pub fn step_anywhere(
    db: &mut Db,
    act: &Act,
    id: &OrderId,
    taken: OrderStep,
    reason: Option<&str>,
) -> Result<Order, PartnerError> {
    let order = orders::anywhere(db, id)?.ok_or(PartnerError::NotFound)?;
    step(db, &order.tenant(), act, id, taken, reason)
}

/// Plays the next step with an order of the sandbox. `false`: another was quicker, or it is over.
pub fn simulate(db: &mut Db, act: &Act, order: &Order) -> Result<bool, PartnerError> {
    let Some((next, _)) = Script::of(&order.partner_order_ref).next(order.state) else {
        return Ok(false);
    };
    let reason = Script::reason(next);
    match step(db, &order.tenant(), act, &order.id, next, reason) {
        Ok(order) if order.state == OrderState::Fulfilled => {
            // Whoever gets something uses it: there is something to read under /usage.
            let used = NewUsage {
                order_id: order.id.clone(),
                quantity: order.quantity,
                unit: SIMULATED_UNIT.to_owned(),
                recorded_at: act.now,
            };
            usage::write(db, &order.tenant(), act, used)?;
            Ok(true)
        }
        Ok(_) => Ok(true),
        Err(PartnerError::Illegal { .. } | PartnerError::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// When the simulator moves an order on that has just reached a state.
fn simulated(
    tenant: &Tenant,
    reference: &OrderRef,
    state: OrderState,
    now: Instant,
) -> Option<Instant> {
    let script = (tenant.realm() == Realm::Sandbox).then(|| Script::of(reference))?;
    script.next(state).map(|(_, wait)| now.plus(wait))
}

/// Writes down that an order reached its state, records it, and tells the partner.
fn reached(
    rows: &mut Together,
    tenant: &Tenant,
    act: &Act,
    order: &Order,
    (deed, event): (Deed, EventKind),
) {
    let step = OrderEvent {
        partner_id: order.partner_id.clone(),
        realm: order.realm,
        order_id: order.id.clone(),
        state: order.state,
        at: act.now,
        actor: act.actor.to_string(),
        reason: order.reason.clone(),
    };
    orders::note_with(rows, tenant, step);
    act.record_with(rows, tenant, deed);
    let data = json!(OrderReached {
        order_id: order.id.clone(),
        package_id: order.package_id.clone(),
        partner_order_ref: order.partner_order_ref.clone(),
    });
    act.tell_with(rows, tenant, event, &data);
}

/// What the entry that charges an order is called in the ledger.
pub(super) fn charge_of(order: &OrderId) -> String {
    format!("order:{order}")
}

/// Gives back what an order was charged. One that cost nothing was never charged.
fn credit(db: &mut Db, tenant: &Tenant, act: &Act, order: &Order) -> Result<(), StoreError> {
    let Some(charge) = ledger::by_reference(db, tenant, &charge_of(&order.id))? else {
        return Ok(());
    };
    // What was refunded before is not given back twice, nor what it was made cheaper by.
    let left = ledger::cost_of(db, tenant, &order.id)?;
    if left < 1 {
        return Ok(());
    }
    let reference = format!("reversal:{}", order.id);
    let movement = Movement::credit(Account::Sales);
    let credit = LedgerEntry {
        amount: left,
        corrects: Some(charge.id),
        ..entry(order, act, EntryKind::Refund, movement, reference)
    };
    ledger::insert(db, tenant, &credit)?;
    quotas::correct_spend(db, tenant, &order.id, &credit)
}

fn entry(
    order: &Order,
    act: &Act,
    kind: EntryKind,
    movement: Movement,
    reference: String,
) -> LedgerEntry {
    LedgerEntry {
        partner_id: order.partner_id.clone(),
        realm: order.realm,
        id: LedgerEntryId::generate(act.now),
        kind,
        debit_account: movement.debit,
        credit_account: movement.credit,
        amount: order.total_amount,
        currency: order.currency,
        order_id: Some(order.id.clone()),
        invoice_id: None,
        corrects: None,
        reference,
        actor: act.actor.to_string(),
        created_at: act.now,
    }
}
