//! Events that a partner asks for in the sandbox, to try its receiver with.

use crate::domain::event::EventKind;
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::events::example;
use crate::partner::PartnerError;
use crate::store::Db;
use crate::store::events::{self, Event};

/// Writes an event that nothing caused, with data that say so. It has its number like any other, and is sent
/// like any other.
pub fn trigger(
    db: &mut Db,
    tenant: &Tenant,
    kind: EventKind,
    now: Instant,
) -> Result<Event, PartnerError> {
    let whom = (tenant.partner_id(), tenant.realm());
    let id = events::append(db, whom, kind, &example::marked(kind, now), now)?;
    events::find(db, tenant, &id)?.ok_or(PartnerError::NotFound)
}
