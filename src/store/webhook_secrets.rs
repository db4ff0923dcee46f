//! What an endpoint's messages are signed with, sealed: the current secret, and during a rotation the one
//! before it.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::webhook_secrets;
use crate::domain::id::{PartnerId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// A row of `webhook_secrets`.
#[derive(Clone, Queryable, Insertable)]
#[diesel(table_name = webhook_secrets, treat_none_as_default_value = false)]
pub struct Sealed {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub endpoint_id: WebhookEndpointId,
    /// How many there have been.
    pub version: i64,
    pub sealed: String,
    /// What verifies `v1a`.
    pub public_key: Option<String>,
    pub created_at: Instant,
    /// Until when it signs beside its successor. `None`: it is the current one.
    pub usable_until: Option<Instant>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}

/// Writes a secret. An endpoint has one current one: see [`supersede`].
pub fn insert(db: &mut Db, tenant: &Tenant, secret: &Sealed) -> Result<(), StoreError> {
    debug_assert_eq!(&secret.partner_id, tenant.partner_id());
    diesel::insert_into(webhook_secrets::table)
        .values(secret)
        .execute(db)?;
    Ok(())
}

/// The secrets that sign for a tenant's endpoint at a moment, the newest first: one or two.
pub fn usable(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
    now: Instant,
) -> Result<Vec<Sealed>, StoreError> {
    let unended = webhook_secrets::usable_until
        .is_null()
        .or(webhook_secrets::usable_until.gt(now));
    Ok(webhook_secrets::table
        .filter(webhook_secrets::partner_id.eq(tenant.partner_id()))
        .filter(webhook_secrets::realm.eq(tenant.realm()))
        .filter(webhook_secrets::endpoint_id.eq(endpoint))
        .filter(unended)
        .order(webhook_secrets::version.desc())
        .load(db)?)
}

/// Lets the current secret of a tenant's endpoint sign until a moment, and forgets all before it; answers
/// its version. `None`: there is none. Whoever rotates holds the endpoint's row.
pub fn supersede(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
    until: Instant,
) -> Result<Option<i64>, StoreError> {
    let all = webhook_secrets::table
        .filter(webhook_secrets::partner_id.eq(tenant.partner_id()))
        .filter(webhook_secrets::realm.eq(tenant.realm()))
        .filter(webhook_secrets::endpoint_id.eq(endpoint));
    let superseded = all.filter(webhook_secrets::usable_until.is_not_null());
    diesel::delete(superseded).execute(db)?;
    let version: Option<i64> = all.select(webhook_secrets::version).first(db).optional()?;
    diesel::update(all)
        .set(webhook_secrets::usable_until.eq(until))
        .execute(db)?;
    Ok(version)
}

/// Forgets the secrets of a tenant's endpoint.
pub fn forget(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
) -> Result<(), StoreError> {
    let all = webhook_secrets::table
        .filter(webhook_secrets::partner_id.eq(tenant.partner_id()))
        .filter(webhook_secrets::realm.eq(tenant.realm()))
        .filter(webhook_secrets::endpoint_id.eq(endpoint));
    diesel::delete(all).execute(db)?;
    Ok(())
}

/// Forgets secrets that signed until before a moment, at most about so many; answers how many.
pub fn purge(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let old = webhook_secrets::table
        .filter(webhook_secrets::usable_until.lt(before))
        .select((webhook_secrets::endpoint_id, webhook_secrets::version))
        .limit(most);
    let old: Vec<(WebhookEndpointId, i64)> = old.load(db)?;
    let mut gone = 0;
    for (endpoint, version) in old {
        let row = webhook_secrets::table
            .filter(webhook_secrets::endpoint_id.eq(endpoint))
            .filter(webhook_secrets::version.eq(version));
        gone += diesel::delete(row).execute(db)?;
    }
    Ok(gone)
}
