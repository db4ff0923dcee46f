//! Invoices and what they bill.

use std::collections::BTreeSet;

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{invoice_counters, invoice_lines, invoices};
use crate::domain::id::{InvoiceId, LedgerEntryId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::invoice::{InvoiceState, InvoiceStep};
use crate::domain::lifecycle::Step;
use crate::domain::money::{Currency, Money};
use crate::domain::month::Month;
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// A row of `invoices`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = invoices, treat_none_as_default_value = false)]
pub struct Invoice {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub id: InvoiceId,
    /// Counted without gaps for a partner and realm; a draft has none.
    pub number: Option<i64>,
    pub period: Month,
    pub currency: Currency,
    pub total_amount: i64,
    pub state: InvoiceState,
    /// Why it was voided or given up.
    pub reason: Option<String>,
    pub created_at: Instant,
    pub opened_at: Option<Instant>,
    pub due_at: Option<Instant>,
    pub ended_at: Option<Instant>,
    pub ended_by: Option<String>,
}

impl Invoice {
    /// Whose it is.
    pub fn tenant(&self) -> Tenant {
        Tenant::of_record(self.partner_id.clone(), self.realm)
    }

    /// What it comes to.
    pub fn total(&self) -> Money {
        Money::new(self.total_amount, self.currency)
    }
}

/// Which invoices a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub partner_id: Option<PartnerId>,
    pub realm: Option<Realm>,
    pub state: Option<InvoiceState>,
    pub period: Option<Month>,
}

/// Waits for whoever bills the same tenant, and holds its count of invoices to the commit.
pub fn hold(db: &mut Db, tenant: &Tenant) -> Result<(), StoreError> {
    count_up(db, tenant, 0).map(|_| ())
}

/// Takes a tenant's next number; it is given back where the transaction fails.
pub fn next_number(db: &mut Db, tenant: &Tenant) -> Result<i64, StoreError> {
    count_up(db, tenant, 1)
}

fn count_up(db: &mut Db, tenant: &Tenant, by: i64) -> Result<i64, StoreError> {
    let first = (
        invoice_counters::partner_id.eq(tenant.partner_id()),
        invoice_counters::realm.eq(tenant.realm()),
        invoice_counters::value.eq(by),
    );
    let value = on_engine!(db, conn => diesel::insert_into(invoice_counters::table)
        .values(first)
        .on_conflict((invoice_counters::partner_id, invoice_counters::realm))
        .do_update()
        .set(invoice_counters::value.eq(invoice_counters::value + by))
        .returning(invoice_counters::value)
        .get_result(conn))?;
    Ok(value)
}

/// How many lines are written at a time: on PostgreSQL each statement is a journey.
const LINES: usize = 1000;

/// Writes an invoice with the entries that it bills. An entry that another bills is
/// [`StoreError::Duplicate`].
pub fn insert(
    db: &mut Db,
    tenant: &Tenant,
    invoice: &Invoice,
    entries: &[LedgerEntryId],
) -> Result<(), StoreError> {
    debug_assert_eq!(&invoice.tenant(), tenant);
    diesel::insert_into(invoices::table)
        .values(invoice)
        .execute(db)?;
    let line = |entry| {
        (
            invoice_lines::partner_id.eq(tenant.partner_id()),
            invoice_lines::realm.eq(tenant.realm()),
            invoice_lines::invoice_id.eq(&invoice.id),
            invoice_lines::entry_id.eq(entry),
            invoice_lines::voided.eq(false),
        )
    };
    for some in entries.chunks(LINES) {
        let lines: Vec<_> = some.iter().map(line).collect();
        let insert = diesel::insert_into(invoice_lines::table).values(lines);
        on_engine!(db, conn => insert.execute(conn))?;
    }
    Ok(())
}

/// A tenant's invoice by id. `None`: it has none of that id.
pub fn find(db: &mut Db, tenant: &Tenant, id: &InvoiceId) -> Result<Option<Invoice>, StoreError> {
    let invoice = invoices::table.find((tenant.partner_id(), tenant.realm(), id));
    Ok(invoice.first(db).optional()?)
}

/// Any invoice by id, for operators. `None`: unknown.
pub fn anywhere(db: &mut Db, id: &InvoiceId) -> Result<Option<Invoice>, StoreError> {
    let invoice = invoices::table.filter(invoices::id.eq(id));
    Ok(invoice.first(db).optional()?)
}

/// A page of a tenant's invoices, the newest first.
pub fn of_tenant(
    db: &mut Db,
    tenant: &Tenant,
    filter: Filter,
    asked: &PageRequest,
) -> Result<Page<Invoice>, StoreError> {
    let filter = Filter {
        partner_id: Some(tenant.partner_id().clone()),
        realm: Some(tenant.realm()),
        ..filter
    };
    page(db, &filter, asked)
}

/// A page of invoices, the newest first, for operators.
pub fn page(db: &mut Db, filter: &Filter, page: &PageRequest) -> Result<Page<Invoice>, StoreError> {
    let mut query = invoices::table.into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(invoices::id.lt(after));
    }
    if let Some(partner) = &filter.partner_id {
        query = query.filter(invoices::partner_id.eq(partner));
    }
    if let Some(realm) = filter.realm {
        query = query.filter(invoices::realm.eq(realm));
    }
    if let Some(state) = filter.state {
        query = query.filter(invoices::state.eq(state));
    }
    if let Some(period) = filter.period {
        query = query.filter(invoices::period.eq(period));
    }
    let rows = query
        .order(invoices::id.desc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |invoice: &Invoice| invoice.id.as_str()))
}

/// Opens a draft under a number. `false`: it is none.
pub fn open(
    db: &mut Db,
    tenant: &Tenant,
    id: &InvoiceId,
    number: i64,
    (now, due): (Instant, Instant),
) -> Result<bool, StoreError> {
    let step = InvoiceStep::Open;
    let ready = invoices::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(invoices::state.eq_any(step.from()));
    let changed = diesel::update(ready)
        .set((
            invoices::state.eq(step.to()),
            invoices::number.eq(number),
            invoices::opened_at.eq(now),
            invoices::due_at.eq(due),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Ends an invoice. `false`: the step does not lead on from its state.
pub fn end(
    db: &mut Db,
    tenant: &Tenant,
    id: &InvoiceId,
    step: InvoiceStep,
    reason: Option<&str>,
    by: &str,
    now: Instant,
) -> Result<bool, StoreError> {
    let ready = invoices::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(invoices::state.eq_any(step.from()));
    let changed = diesel::update(ready)
        .set((
            invoices::state.eq(step.to()),
            invoices::reason.eq(reason),
            invoices::ended_at.eq(now),
            invoices::ended_by.eq(by),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Which of a tenant's entries stand on invoices that were voided then or later.
pub fn released(
    db: &mut Db,
    tenant: &Tenant,
    from: Instant,
) -> Result<BTreeSet<LedgerEntryId>, StoreError> {
    let voided = invoices::table
        .filter(invoices::partner_id.eq(tenant.partner_id()))
        .filter(invoices::realm.eq(tenant.realm()))
        .filter(invoices::state.eq(InvoiceState::Void))
        .filter(invoices::ended_at.ge(from))
        .select(invoices::id);
    let voided: Vec<InvoiceId> = voided.load(db)?;
    let lines = invoice_lines::table
        .filter(invoice_lines::partner_id.eq(tenant.partner_id()))
        .filter(invoice_lines::realm.eq(tenant.realm()))
        .filter(invoice_lines::invoice_id.eq_any(voided))
        .select(invoice_lines::entry_id);
    let ids: Vec<LedgerEntryId> = lines.load(db)?;
    Ok(ids.into_iter().collect())
}

/// Lets go of what a voided invoice billed, so that another can bill it.
pub fn release(db: &mut Db, tenant: &Tenant, id: &InvoiceId) -> Result<(), StoreError> {
    let lines = invoice_lines::table
        .filter(invoice_lines::partner_id.eq(tenant.partner_id()))
        .filter(invoice_lines::realm.eq(tenant.realm()))
        .filter(invoice_lines::invoice_id.eq(id));
    diesel::update(lines)
        .set(invoice_lines::voided.eq(true))
        .execute(db)?;
    Ok(())
}
