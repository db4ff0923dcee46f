//! The ledger: movements of money, which are written and never changed.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{invoice_lines, ledger_entries};
use super::together::Together;
use crate::domain::id::{InvoiceId, LedgerEntryId, OrderId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::ledger::{Account, EntryKind, Movement};
use crate::domain::money::{Currency, Money};
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// A row of `ledger_entries`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = ledger_entries, treat_none_as_default_value = false)]
pub struct LedgerEntry {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub id: LedgerEntryId,
    pub kind: EntryKind,
    pub debit_account: Account,
    pub credit_account: Account,
    pub amount: i64,
    pub currency: Currency,
    pub order_id: Option<OrderId>,
    pub invoice_id: Option<InvoiceId>,
    /// The entry that it corrects.
    pub corrects: Option<LedgerEntryId>,
    /// What it is about, once.
    pub reference: String,
    pub actor: String,
    pub created_at: Instant,
}

impl LedgerEntry {
    /// From which account to which.
    pub fn movement(&self) -> Movement {
        Movement {
            debit: self.debit_account,
            credit: self.credit_account,
        }
    }
}

/// Writes an entry. One of the same reference is [`StoreError::Duplicate`].
pub fn insert(db: &mut Db, tenant: &Tenant, entry: &LedgerEntry) -> Result<(), StoreError> {
    debug_assert_eq!(
        (&entry.partner_id, entry.realm),
        (tenant.partner_id(), tenant.realm())
    );
    on_engine!(db, conn => diesel::insert_into(ledger_entries::table)
        .values(entry)
        .execute(conn))?;
    Ok(())
}

/// The same. `false`: the tenant has one with this reference, which is committed.
pub fn insert_new(db: &mut Db, tenant: &Tenant, entry: &LedgerEntry) -> Result<bool, StoreError> {
    debug_assert_eq!(
        (&entry.partner_id, entry.realm),
        (tenant.partner_id(), tenant.realm())
    );
    let reference = (
        ledger_entries::reference,
        ledger_entries::partner_id,
        ledger_entries::realm,
    );
    // On PostgreSQL this waits for another transaction that has written the reference.
    let written = on_engine!(db, conn => diesel::insert_into(ledger_entries::table)
        .values(entry)
        .on_conflict(reference)
        .do_nothing()
        .execute(conn))?;
    Ok(written == 1)
}

/// The same at the transaction's end.
pub fn insert_with(rows: &mut Together, tenant: &Tenant, entry: LedgerEntry) {
    debug_assert_eq!(
        (&entry.partner_id, entry.realm),
        (tenant.partner_id(), tenant.realm())
    );
    rows.add(diesel::insert_into(ledger_entries::table).values(entry));
}

/// A tenant's entry by what it is about. `None`: there is none.
pub fn by_reference(
    db: &mut Db,
    tenant: &Tenant,
    reference: &str,
) -> Result<Option<LedgerEntry>, StoreError> {
    Ok(ledger_entries::table
        .filter(ledger_entries::partner_id.eq(tenant.partner_id()))
        .filter(ledger_entries::realm.eq(tenant.realm()))
        .filter(ledger_entries::reference.eq(reference))
        .first(db)
        .optional()?)
}

/// Which entries a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub kind: Option<EntryKind>,
    pub order_id: Option<OrderId>,
    pub invoice_id: Option<InvoiceId>,
    /// Written then or later.
    pub from: Option<Instant>,
    /// Written before.
    pub to: Option<Instant>,
}

/// A page of a tenant's entries, the newest first. Moments become bounds of the id, as with orders.
pub fn page(
    db: &mut Db,
    tenant: &Tenant,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<LedgerEntry>, StoreError> {
    let mut query = ledger_entries::table
        .filter(ledger_entries::partner_id.eq(tenant.partner_id()))
        .filter(ledger_entries::realm.eq(tenant.realm()))
        .into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(ledger_entries::id.lt(after));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(ledger_entries::kind.eq(kind));
    }
    if let Some(order) = &filter.order_id {
        query = query.filter(ledger_entries::order_id.eq(order));
    }
    if let Some(invoice) = &filter.invoice_id {
        query = query.filter(ledger_entries::invoice_id.eq(invoice));
    }
    if let Some(from) = filter.from {
        query = query
            .filter(ledger_entries::id.ge(LedgerEntryId::first_of(from)))
            .filter(ledger_entries::created_at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query
            .filter(ledger_entries::id.le(LedgerEntryId::last_of(to)))
            .filter(ledger_entries::created_at.lt(to));
    }
    let rows = query
        .order(ledger_entries::id.desc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |entry: &LedgerEntry| entry.id.as_str()))
}

/// A tenant's entry by id. `None`: it has none of that id.
pub fn find(
    db: &mut Db,
    tenant: &Tenant,
    id: &LedgerEntryId,
) -> Result<Option<LedgerEntry>, StoreError> {
    let entry = ledger_entries::table.find((tenant.partner_id(), tenant.realm(), id));
    Ok(entry.first(db).optional()?)
}

/// What an entry does to what the partner owes, as SQL.
pub(super) const SIGNED: &str =
    "CAST(SUM(CASE WHEN debit_account = 'partner' THEN amount ELSE -amount END) AS BIGINT)";

/// What a tenant owes, currency by currency: the sum of its entries, whatever else is on record.
pub fn balances(db: &mut Db, tenant: &Tenant) -> Result<Vec<Money>, StoreError> {
    use diesel::dsl::sql;
    use diesel::sql_types::BigInt;
    let sums: Vec<(Currency, i64)> = ledger_entries::table
        .filter(ledger_entries::partner_id.eq(tenant.partner_id()))
        .filter(ledger_entries::realm.eq(tenant.realm()))
        .group_by(ledger_entries::currency)
        .order(ledger_entries::currency.asc())
        .select((ledger_entries::currency, sql::<BigInt>(SIGNED)))
        .load(db)?;
    let money = |(currency, amount)| Money::new(amount, currency);
    Ok(sums.into_iter().map(money).collect())
}

/// What an order costs a tenant by now: its charge, what was adjusted of it, and less what was given back.
pub fn cost_of(db: &mut Db, tenant: &Tenant, order: &OrderId) -> Result<i64, StoreError> {
    let entries: Vec<LedgerEntry> = ledger_entries::table
        .filter(ledger_entries::partner_id.eq(tenant.partner_id()))
        .filter(ledger_entries::realm.eq(tenant.realm()))
        .filter(ledger_entries::order_id.eq(order))
        .filter(ledger_entries::kind.eq_any(EntryKind::BILLED))
        .load(db)?;
    let signed = |entry: &LedgerEntry| entry.movement().signed(entry.amount);
    Ok(entries.iter().map(signed).sum())
}

/// Entries from before a moment that no invoice bills and that one must.
///
/// `NOT voided` as the index of what is billed has it: with a bound value SQLite would go through all of a tenant's
/// lines for each of its entries.
macro_rules! to_bill {
    ($before:expr) => {
        ledger_entries::table
            .filter(ledger_entries::created_at.lt($before))
            .filter(ledger_entries::kind.eq_any(EntryKind::BILLED))
            .filter(diesel::dsl::not(diesel::dsl::exists(
                invoice_lines::table
                    .filter(invoice_lines::partner_id.eq(ledger_entries::partner_id))
                    .filter(invoice_lines::realm.eq(ledger_entries::realm))
                    .filter(invoice_lines::entry_id.eq(ledger_entries::id))
                    .filter(diesel::dsl::not(invoice_lines::voided)),
            )))
    };
}

/// Entries of a tenant that no invoice bills and that one must, from before a moment, the oldest first.
pub fn unbilled(
    db: &mut Db,
    tenant: &Tenant,
    before: Instant,
) -> Result<Vec<LedgerEntry>, StoreError> {
    Ok(to_bill!(before)
        .filter(ledger_entries::partner_id.eq(tenant.partner_id()))
        .filter(ledger_entries::realm.eq(tenant.realm()))
        .order(ledger_entries::id.asc())
        .load(db)?)
}

/// Whether a tenant has entries from before a moment that no invoice bills. Asked tenant by tenant: no statement
/// takes longer than one tenant's ledger is long.
pub fn is_to_bill(db: &mut Db, tenant: &Tenant, before: Instant) -> Result<bool, StoreError> {
    let entry = to_bill!(before)
        .filter(ledger_entries::partner_id.eq(tenant.partner_id()))
        .filter(ledger_entries::realm.eq(tenant.realm()))
        .select(ledger_entries::amount);
    let first: Option<i64> = entry.first(db).optional()?;
    Ok(first.is_some())
}

/// The entries that an invoice bills, the oldest first.
pub fn of_invoice(
    db: &mut Db,
    tenant: &Tenant,
    invoice: &InvoiceId,
) -> Result<Vec<LedgerEntry>, StoreError> {
    Ok(ledger_entries::table
        .inner_join(
            invoice_lines::table.on(invoice_lines::partner_id
                .eq(ledger_entries::partner_id)
                .and(invoice_lines::realm.eq(ledger_entries::realm))
                .and(invoice_lines::entry_id.eq(ledger_entries::id))),
        )
        .filter(invoice_lines::partner_id.eq(tenant.partner_id()))
        .filter(invoice_lines::realm.eq(tenant.realm()))
        .filter(invoice_lines::invoice_id.eq(invoice))
        .order(ledger_entries::id.asc())
        .select(ledger_entries::all_columns)
        .load(db)?)
}

#[cfg(test)]
mod tests {
    use diesel::sqlite::{Sqlite, SqliteConnection};

    use super::*;
    use crate::store::migrate;

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }

    #[test]
    fn whether_an_entry_is_billed_is_found_by_the_entry() {
        let mut db = Db::Sqlite(SqliteConnection::establish(":memory:").unwrap());
        migrate::run(&mut db).unwrap();
        let Db::Sqlite(conn) = &mut db else {
            unreachable!()
        };
        let query = to_bill!(Instant::from_epoch_seconds(0));
        let text = diesel::debug_query::<Sqlite, _>(&query).to_string();
        let (text, _) = text.split_once(" -- binds").unwrap();
        let plan: Vec<Step> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}"))
            .load(conn)
            .unwrap();
        let plan: Vec<String> = plan.into_iter().map(|step| step.detail).collect();
        let by_entry = "USING INDEX invoice_lines_once (partner_id=? AND realm=? AND entry_id=?)";
        assert!(plan.iter().any(|step| step.contains(by_entry)), "{plan:?}");
    }
}
