//! What an account can hold.

use super::PartnerError;
use crate::domain::money::{LARGEST, Money};
use crate::domain::tenant::Tenant;
use crate::store::Db;
use crate::store::ledger;

/// The largest entry that is written without a look at the account: it takes nine million of them to come to
/// [`LARGEST`], and to add an account up costs as much as it has entries.
const SMALL: u64 = 1_000_000_000;

/// Refuses an entry that would take a tenant's account beyond what is handled; `at` is where its amount was said.
pub(super) fn takes(
    db: &mut Db,
    tenant: &Tenant,
    entry: Money,
    at: &'static str,
) -> Result<(), PartnerError> {
    if entry.amount.unsigned_abs() <= SMALL {
        return Ok(());
    }
    let balances = ledger::balances(db, tenant)?;
    let owed = balances
        .iter()
        .find(|owed| owed.currency == entry.currency)
        .map_or(0, |owed| owed.amount);
    let after = owed.saturating_add(entry.amount);
    // What brings it nearer to nothing is taken, however much there is.
    if after.unsigned_abs() > LARGEST.unsigned_abs().max(owed.unsigned_abs()) {
        let detail = format!(
            "takes the account beyond {LARGEST} minor units, which is the most that it can hold"
        );
        return Err(PartnerError::Invalid(at, detail));
    }
    Ok(())
}
