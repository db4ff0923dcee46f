//! Corrections of the ledger: refunds of orders, and adjustments. Nothing in it is ever changed: a
//! correction is an entry of its own, which names what it corrects.

use super::{Act, PartnerError, account, quotas};
use crate::audit::{Action, Deed};
use crate::domain::id::{LedgerEntryId, OrderId};
use crate::domain::ledger::{Account, EntryKind, Movement};
use crate::domain::money::Money;
use crate::domain::tenant::Tenant;
use crate::store::ledger::{self, LedgerEntry};
use crate::store::{Db, orders};

/// What stands before the references that operators give, in the ledger.
const BY_OPERATORS: &str = "operator:";

/// A reference that an operator gives, apart from the names that the server itself gives.
fn stored(reference: &str) -> String {
    format!("{BY_OPERATORS}{reference}")
}

/// An entry's reference as it was given.
pub fn reference(entry: &LedgerEntry) -> &str {
    let stored = &entry.reference;
    stored.strip_prefix(BY_OPERATORS).unwrap_or(stored)
}

/// A refund to be.
#[derive(Clone, Debug)]
pub struct NewRefund {
    pub order_id: OrderId,
    /// Minor units; `None`: all that the order costs still.
    pub amount: Option<i64>,
    /// What the operator calls it: one refund or adjustment a name.
    pub reference: String,
    pub reason: String,
}

/// An adjustment to be.
#[derive(Clone, Debug)]
pub struct NewAdjustment {
    /// Positive: the partner owes more.
    pub amount: Money,
    /// The entry that it corrects.
    pub corrects: LedgerEntryId,
    pub reference: String,
    pub reason: String,
}

/// Gives back what an order cost, or a part of it; never more than it costs still.
pub fn refund(db: &mut Db, act: &Act, new: NewRefund) -> Result<LedgerEntry, PartnerError> {
    let unknown = || PartnerError::Invalid("/order_id", "is not the id of an order".to_owned());
    let order = orders::anywhere(db, &new.order_id)?.ok_or_else(unknown)?;
    let tenant = order.tenant();
    // Two refunds at once would each find room for itself.
    orders::hold(db, &tenant, &order.id)?;
    // Sent again it is the refund that there is, also where that left nothing to give back.
    if let Some(taken) = ledger::by_reference(db, &tenant, &stored(&new.reference))? {
        return Err(PartnerError::EntryTaken(taken.id));
    }
    let charge = ledger::by_reference(db, &tenant, &super::orders::charge_of(&order.id))?;
    let charge = charge.ok_or_else(|| {
        PartnerError::Invalid(
            "/order_id",
            "names an order that was not charged".to_owned(),
        )
    })?;
    let left = ledger::cost_of(db, &tenant, &order.id)?;
    let amount = new.amount.unwrap_or(left);
    if left < 1 {
        let detail = "names an order that costs nothing any more: all of it was given back or adjusted already".to_owned();
        return Err(PartnerError::Invalid("/order_id", detail));
    }
    if amount > left || amount < 1 {
        let detail = format!("must be from 1 to {left}, which is what the order costs still");
        return Err(PartnerError::Invalid("/amount", detail));
    }
    let movement = Movement::credit(Account::Sales);
    let entry = LedgerEntry {
        order_id: Some(order.id),
        ..correction(
            &tenant,
            act,
            EntryKind::Refund,
            movement,
            &charge,
            amount,
            &new.reference,
        )
    };
    write(
        db,
        &tenant,
        act,
        entry,
        (Action::LedgerRefunded, &new.reason),
    )
}

/// Adds to what a tenant owes, or takes from it.
pub fn adjust(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    new: NewAdjustment,
) -> Result<LedgerEntry, PartnerError> {
    let corrected = ledger::find(db, tenant, &new.corrects)?.ok_or_else(|| {
        let detail = "is not the id of an entry of this partner in this realm".to_owned();
        PartnerError::Invalid("/corrects", detail)
    })?;
    if corrected.currency != new.amount.currency {
        let detail = format!("must be {}, as what it corrects", corrected.currency);
        return Err(PartnerError::Invalid("/amount/currency", detail));
    }
    if let Some(order) = &corrected.order_id {
        // Whoever gives back what it costs waits, and counts this in.
        orders::hold(db, tenant, order)?;
    }
    let movement = if new.amount.amount > 0 {
        Movement::charge(Account::Adjustments)
    } else {
        Movement::credit(Account::Adjustments)
    };
    account::takes(db, tenant, new.amount, "/amount/amount")?;
    let amount = i64::try_from(new.amount.amount.unsigned_abs()).unwrap_or(i64::MAX);
    let kind = EntryKind::Adjustment;
    let entry = correction(
        tenant,
        act,
        kind,
        movement,
        &corrected,
        amount,
        &new.reference,
    );
    write(
        db,
        tenant,
        act,
        entry,
        (Action::LedgerAdjusted, &new.reason),
    )
}

fn correction(
    tenant: &Tenant,
    act: &Act,
    kind: EntryKind,
    movement: Movement,
    corrected: &LedgerEntry,
    amount: i64,
    reference: &str,
) -> LedgerEntry {
    LedgerEntry {
        partner_id: tenant.partner_id().clone(),
        realm: tenant.realm(),
        id: LedgerEntryId::generate(act.now),
        kind,
        debit_account: movement.debit,
        credit_account: movement.credit,
        amount,
        currency: corrected.currency,
        order_id: corrected.order_id.clone(),
        invoice_id: None,
        corrects: Some(corrected.id.clone()),
        reference: stored(reference),
        actor: act.actor.to_string(),
        created_at: act.now,
    }
}

fn write(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    entry: LedgerEntry,
    (action, reason): (Action, &str),
) -> Result<LedgerEntry, PartnerError> {
    if !ledger::insert_new(db, tenant, &entry)? {
        let taken = ledger::by_reference(db, tenant, &entry.reference)?;
        return Err(taken.map_or(PartnerError::InProgress, |taken| {
            PartnerError::EntryTaken(taken.id)
        }));
    }
    if let Some(order) = &entry.order_id {
        quotas::correct_spend(db, tenant, order, &entry)?;
    }
    let deed = Deed::new(action, &entry.id)
        .detail("amount", entry.movement().signed(entry.amount))
        .detail("currency", entry.currency.as_str())
        .detail("corrects", entry.corrects.as_ref().map(|id| id.to_string()))
        .detail("reason", reason);
    act.record(db, tenant, deed)?;
    Ok(entry)
}
