//! What a partner has shown in the sandbox, as far as a launch review asks.

use crate::domain::id::PartnerId;
use crate::domain::launch::CheckName;
use crate::domain::order::OrderState;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::store::{Db, StoreError, orders, request_log, webhook_endpoints};

/// What shows that a check is passed: ids and times for who reads it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence(String);

impl Evidence {
    /// Evidence in words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the computed checks are looked up.
pub trait SandboxRecord: Sync {
    /// What shows that the partner passes a computed check. `None`: nothing does yet.
    fn evidence(
        &self,
        db: &mut Db,
        partner: &PartnerId,
        check: CheckName,
    ) -> Result<Option<Evidence>, StoreError>;
}

/// The sandbox as the database knows it.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox;

impl SandboxRecord for Sandbox {
    /// The last two are people's.
    fn evidence(
        &self,
        db: &mut Db,
        partner: &PartnerId,
        check: CheckName,
    ) -> Result<Option<Evidence>, StoreError> {
        let sandbox = Tenant::of_record(partner.clone(), Realm::Sandbox);
        match check {
            CheckName::SandboxOrder => fulfilled(db, &sandbox),
            CheckName::IdempotentRetry => retried(db, &sandbox),
            CheckName::FailureRecovery => recovered(db, &sandbox),
            CheckName::BillingReconciled => reconciled(db, &sandbox),
            CheckName::WebhookVerified => verified(db, &sandbox),
            CheckName::PrivacyReview | CheckName::SupportPath => Ok(None),
        }
    }
}

/// An order went all the way.
fn fulfilled(db: &mut Db, sandbox: &Tenant) -> Result<Option<Evidence>, StoreError> {
    let order = orders::first_in(db, sandbox, OrderState::Fulfilled, None)?;
    Ok(order.map(|order| {
        let at = order.updated_at;
        Evidence::new(format!("{} was fulfilled at {at}", order.id))
    }))
}

/// An order was asked for again under its key, and there was one.
fn retried(db: &mut Db, sandbox: &Tenant) -> Result<Option<Evidence>, StoreError> {
    let order = orders::first_retried(db, sandbox)?;
    Ok(order.and_then(|order| {
        let at = order.retried_at?;
        let id = order.id;
        Some(Evidence::new(format!(
            "{id} was asked for again under its key at {at}"
        )))
    }))
}

/// After an order that failed, another was placed and went all the way.
fn recovered(db: &mut Db, sandbox: &Tenant) -> Result<Option<Evidence>, StoreError> {
    let Some(failed) = orders::first_in(db, sandbox, OrderState::Failed, None)? else {
        return Ok(None);
    };
    let after = orders::first_in(db, sandbox, OrderState::Fulfilled, Some(&failed.id))?;
    Ok(after.map(|order| {
        let (failed, at) = (failed.id, order.updated_at);
        Evidence::new(format!(
            "{failed} failed, and {} was fulfilled at {at}",
            order.id
        ))
    }))
}

/// A webhook endpoint answered its challenge.
fn verified(db: &mut Db, sandbox: &Tenant) -> Result<Option<Evidence>, StoreError> {
    let endpoint = webhook_endpoints::first_verified(db, sandbox)?;
    Ok(endpoint.and_then(|endpoint| {
        let at = endpoint.activated_at?;
        let id = endpoint.id;
        Some(Evidence::new(format!(
            "{id} answered its challenge at {at}"
        )))
    }))
}

/// The ledger and an invoice were read, which is what there is to compare.
fn reconciled(db: &mut Db, sandbox: &Tenant) -> Result<Option<Evidence>, StoreError> {
    let ledger = request_log::first_good(db, sandbox, "/{env}/v1/ledger/entries")?;
    let invoice = request_log::first_good(db, sandbox, "/{env}/v1/invoices/{id}")?;
    let (Some(ledger), Some(invoice)) = (ledger, invoice) else {
        return Ok(None);
    };
    Ok(Some(Evidence::new(format!(
        "the ledger was read at {} ({}), an invoice at {} ({})",
        ledger.at, ledger.request_id, invoice.at, invoice.request_id
    ))))
}
