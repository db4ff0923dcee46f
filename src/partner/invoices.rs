//! Invoices: a month's entries of the ledger, billed once each.

use std::time::Duration;

use serde_json::json;

use super::{Act, PartnerError};
use crate::audit::{Action, Deed};
use crate::domain::event::EventKind;
use crate::domain::id::{InvoiceId, LedgerEntryId};
use crate::domain::invoice::{InvoiceState, InvoiceStep};
use crate::domain::ledger::{Account, EntryKind, Movement};
use crate::domain::money::Currency;
use crate::domain::month::Month;
use crate::domain::tenant::Tenant;
use crate::events::data::InvoiceReached;
use crate::store::invoices::{self, Invoice};
use crate::store::ledger::{self, LedgerEntry};
use crate::store::{Db, StoreError};

/// How long a partner has to pay.
const DUE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whether an invoice is looked at before it gets its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It stays a draft.
    Draft,
    /// It is opened at once.
    Open,
    /// The same, because the month has ended. What was voided since then is left to whoever voided it, or to the end of
    /// this month: billed again at once, nothing could be corrected in between.
    Ended,
}

/// Whether anything of a tenant's is to be billed because a month has ended. Changes nothing: while what is left was
/// voided, nobody need wait for a look at all of it.
pub fn is_due(db: &mut Db, tenant: &Tenant, ended: Month) -> Result<bool, StoreError> {
    let end = ended.next().start();
    if !ledger::is_to_bill(db, tenant, end)? {
        return Ok(false);
    }
    let released = invoices::released(db, tenant, end)?;
    if released.is_empty() {
        return Ok(true);
    }
    let entries = ledger::unbilled(db, tenant, end)?;
    Ok(entries.iter().any(|entry| !released.contains(&entry.id)))
}

/// Bills what a tenant's entries from before the end of a month come to: an invoice for each
/// currency in which that is more than nothing. What is less is carried over to the next.
pub fn close(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    period: Month,
    closing: Closing,
) -> Result<Vec<Invoice>, PartnerError> {
    // Whoever else bills this tenant waits here, and then finds these entries billed.
    invoices::hold(db, tenant)?;
    let end = period.next().start();
    let mut entries = ledger::unbilled(db, tenant, end)?;
    if closing == Closing::Ended {
        let released = invoices::released(db, tenant, end)?;
        entries.retain(|entry| !released.contains(&entry.id));
    }
    let mut currencies: Vec<Currency> = entries.iter().map(|entry| entry.currency).collect();
    currencies.sort();
    currencies.dedup();
    let mut made = Vec::new();
    for currency in currencies {
        let billed: Vec<&LedgerEntry> = entries
            .iter()
            .filter(|entry| entry.currency == currency)
            .collect();
        let total: i64 = billed
            .iter()
            .map(|entry| entry.movement().signed(entry.amount))
            .sum();
        if total <= 0 {
            continue;
        }
        let invoice = Invoice {
            partner_id: tenant.partner_id().clone(),
            realm: tenant.realm(),
            id: InvoiceId::generate(act.now),
            number: None,
            period,
            currency,
            total_amount: total,
            state: InvoiceState::Draft,
            reason: None,
            created_at: act.now,
            opened_at: None,
            due_at: None,
            ended_at: None,
            ended_by: None,
        };
        let lines: Vec<LedgerEntryId> = billed.iter().map(|entry| entry.id.clone()).collect();
        invoices::insert(db, tenant, &invoice, &lines)?;
        made.push(match closing {
            Closing::Draft => invoice,
            Closing::Open | Closing::Ended => open(db, tenant, act, &invoice.id)?,
        });
    }
    Ok(made)
}

/// Opens a draft: it gets its number, and the partner is told.
pub fn open(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &InvoiceId,
) -> Result<Invoice, PartnerError> {
    let number = invoices::next_number(db, tenant)?;
    let times = (act.now, act.now.plus(DUE));
    if !invoices::open(db, tenant, id, number, times)? {
        return Err(stuck(db, tenant, id)?);
    }
    let invoice = invoices::find(db, tenant, id)?.ok_or(PartnerError::NotFound)?;
    let deed = deed(Action::InvoiceOpened, &invoice).detail("number", number);
    act.record(db, tenant, deed)?;
    tell(db, tenant, act, EventKind::InvoiceOpened, &invoice)?;
    Ok(invoice)
}

/// Notes that an open invoice was paid: the money is in the bank, and the partner owes it no more.
pub fn pay(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &InvoiceId,
) -> Result<Invoice, PartnerError> {
    let invoice = end(db, tenant, act, id, InvoiceStep::Pay, None)?;
    settle(db, tenant, act, &invoice, EntryKind::Payment, Account::Bank)?;
    act.record(db, tenant, deed(Action::InvoicePaid, &invoice))?;
    tell(db, tenant, act, EventKind::InvoicePaid, &invoice)?;
    Ok(invoice)
}

/// Voids an open invoice: it keeps its number, and what it billed is billed by the next.
pub fn void(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &InvoiceId,
    reason: Option<&str>,
) -> Result<Invoice, PartnerError> {
    let invoice = end(db, tenant, act, id, InvoiceStep::Void, reason)?;
    invoices::release(db, tenant, id)?;
    let deed = deed(Action::InvoiceVoided, &invoice).detail("reason", reason);
    act.record(db, tenant, deed)?;
    Ok(invoice)
}

/// Gives an open invoice up: what it comes to is written off.
pub fn give_up(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &InvoiceId,
    reason: Option<&str>,
) -> Result<Invoice, PartnerError> {
    let invoice = end(db, tenant, act, id, InvoiceStep::GiveUp, reason)?;
    settle(
        db,
        tenant,
        act,
        &invoice,
        EntryKind::WriteOff,
        Account::BadDebt,
    )?;
    let deed = deed(Action::InvoiceUncollectible, &invoice).detail("reason", reason);
    act.record(db, tenant, deed)?;
    Ok(invoice)
}

fn end(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &InvoiceId,
    step: InvoiceStep,
    reason: Option<&str>,
) -> Result<Invoice, PartnerError> {
    let by = act.actor.as_str();
    if !invoices::end(db, tenant, id, step, reason, by, act.now)? {
        return Err(stuck(db, tenant, id)?);
    }
    invoices::find(db, tenant, id)?.ok_or(PartnerError::NotFound)
}

/// Why a step did not lead on.
fn stuck(db: &mut Db, tenant: &Tenant, id: &InvoiceId) -> Result<PartnerError, StoreError> {
    let found = invoices::find(db, tenant, id)?;
    Ok(found.map_or(PartnerError::NotFound, |invoice| {
        PartnerError::illegal::<InvoiceStep>("the invoice", invoice.state)
    }))
}

/// Takes what an invoice comes to from what the partner owes.
fn settle(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    invoice: &Invoice,
    kind: EntryKind,
    account: Account,
) -> Result<(), StoreError> {
    let movement = Movement::credit(account);
    let entry = LedgerEntry {
        partner_id: tenant.partner_id().clone(),
        realm: tenant.realm(),
        id: LedgerEntryId::generate(act.now),
        kind,
        debit_account: movement.debit,
        credit_account: movement.credit,
        amount: invoice.total_amount,
        currency: invoice.currency,
        order_id: None,
        invoice_id: Some(invoice.id.clone()),
        corrects: None,
        // Once an invoice, whichever way it is settled.
        reference: format!("invoice:{}", invoice.id),
        actor: act.actor.to_string(),
        created_at: act.now,
    };
    ledger::insert(db, tenant, &entry)
}

fn deed(action: Action, invoice: &Invoice) -> Deed {
    Deed::new(action, &invoice.id)
        .detail("period", invoice.period.to_string())
        .detail("total_amount", invoice.total_amount)
        .detail("currency", invoice.currency.as_str())
}

fn tell(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    kind: EventKind,
    invoice: &Invoice,
) -> Result<(), StoreError> {
    let data = json!(InvoiceReached {
        invoice_id: invoice.id.clone(),
        number: invoice.number,
    });
    act.tell(db, tenant, kind, &data)
}
