//! The ledger: movements of money, which are written and never changed.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::ledger_entries;
use crate::domain::id::{InvoiceId, LedgerEntryId, OrderId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::ledger::{Account, EntryKind};
use crate::domain::money::Currency;
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
