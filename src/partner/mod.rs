//! The partner API's use cases: each is one function over one transaction.
//!
//! An order writes order, ledger, event, audit and idempotency rows together, or none of them.
//! Nothing here is held in a node's memory, so nothing here takes the global number of changes:
//! partners do not queue behind each other. This room refuses to know HTTP.

mod account;
pub mod error;
pub mod events;
pub mod idempotency;
pub mod invoices;
pub mod ledger;
pub mod orders;
pub mod quotas;
pub mod replays;
pub mod usage;
pub mod webhook_endpoints;

pub use error::PartnerError;

use std::sync::Arc;

use crate::audit::{self, Actor, Deed};
use crate::domain::event::EventKind;
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::keys::AuditKeys;
use crate::store::events::append_with;
use crate::store::together::Together;
use crate::store::{Db, StoreError};

/// Who acts, and when.
#[derive(Clone, Debug)]
pub struct Act {
    pub actor: Actor,
    pub now: Instant,
    /// What the record of it is made safe with.
    pub trail: Arc<AuditKeys>,
}

impl Act {
    /// Puts a deed on a tenant's data into the audit trail, in the transaction that does it.
    pub fn record(&self, db: &mut Db, tenant: &Tenant, deed: Deed) -> Result<(), StoreError> {
        let mut rows = Together::new();
        self.record_with(&mut rows, tenant, deed);
        rows.write(db)
    }

    /// The same at the transaction's end.
    pub fn record_with(&self, rows: &mut Together, tenant: &Tenant, deed: Deed) {
        log::info!("{deed}, by {}", self.actor);
        let deed = deed.partner(tenant.partner_id()).realm(tenant.realm());
        audit::record_with(rows, &self.trail, &self.actor, deed, self.now);
    }

    /// Tells the partner. The number that it takes is held to the commit: so late in a transaction
    /// as can be.
    pub fn tell(
        &self,
        db: &mut Db,
        tenant: &Tenant,
        kind: EventKind,
        data: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let mut rows = Together::new();
        self.tell_with(&mut rows, tenant, kind, data);
        rows.write(db)
    }

    /// The same at the transaction's end.
    pub fn tell_with(
        &self,
        rows: &mut Together,
        tenant: &Tenant,
        kind: EventKind,
        data: &serde_json::Value,
    ) {
        let whom = (tenant.partner_id(), tenant.realm());
        append_with(rows, whom, kind, data, self.now);
    }
}
