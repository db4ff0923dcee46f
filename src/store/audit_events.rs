//! The audit trail's rows.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::audit_events;
use crate::domain::id::{AuditEventId, CredentialId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;

/// A row of `audit_events`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = audit_events, treat_none_as_default_value = false)]
pub struct AuditEvent {
    pub id: AuditEventId,
    pub at: Instant,
    pub actor: String,
    /// What the actor authenticated with.
    pub credential_id: Option<CredentialId>,
    pub action: String,
    pub target: String,
    pub partner_id: Option<PartnerId>,
    pub realm: Option<Realm>,
    /// `done` or `refused`.
    pub outcome: String,
    pub request_id: Option<String>,
    pub source_ip: Option<String>,
    /// A JSON object without secrets.
    pub details: String,
}

/// Writes an entry.
pub fn insert(db: &mut Db, event: &AuditEvent) -> Result<(), StoreError> {
    on_engine!(db, conn => diesel::insert_into(audit_events::table)
        .values(event)
        .execute(conn))?;
    Ok(())
}

/// What was done to each of these since a moment, under one name: to what, and the details.
pub fn done_to(
    db: &mut Db,
    targets: &[&str],
    action: &str,
    since: Instant,
) -> Result<Vec<(String, String)>, StoreError> {
    let rows = audit_events::table
        .filter(audit_events::target.eq_any(targets))
        .filter(audit_events::action.eq(action))
        .filter(audit_events::outcome.eq("done"))
        .filter(audit_events::at.gt(since))
        .select((audit_events::target, audit_events::details))
        .load(db)?;
    Ok(rows)
}
