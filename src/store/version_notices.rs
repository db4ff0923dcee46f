//! Which partners speak a version that has a successor, and which of them were told.

use std::collections::BTreeSet;

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{clients, partners, version_notices, version_uses};
use crate::domain::client::ClientState;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::partner::PartnerState;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::domain::version::ApiVersion;

/// Notes that a tenant is told of a version's end. `false`: it was told before.
pub fn insert(
    db: &mut Db,
    tenant: &Tenant,
    version: ApiVersion,
    now: Instant,
) -> Result<bool, StoreError> {
    let row = (
        version_notices::partner_id.eq(tenant.partner_id()),
        version_notices::realm.eq(tenant.realm()),
        version_notices::version.eq(version),
        version_notices::given_at.eq(now),
    );
    let written = on_engine!(db, conn => diesel::insert_into(version_notices::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(conn))?;
    Ok(written == 1)
}

/// Some of those who were not told of a version's end and speak it: they are pinned to it and have a client, or
/// have called in it since a moment.
pub fn due(
    db: &mut Db,
    version: ApiVersion,
    since: Instant,
    limit: i64,
) -> Result<BTreeSet<(PartnerId, Realm)>, StoreError> {
    const WITH_US: [PartnerState; 2] = [PartnerState::Approved, PartnerState::Suspended];
    let told = version_notices::table.filter(version_notices::version.eq(version));
    let pinned = clients::table
        .inner_join(partners::table.on(clients::partner_id.eq(partners::id.nullable())))
        .filter(partners::pinned_version.eq(version))
        .filter(partners::state.eq_any(WITH_US))
        .filter(clients::state.ne(ClientState::Revoked))
        .filter(not(exists(
            told.filter(version_notices::partner_id.eq(partners::id))
                .filter(version_notices::realm.eq(clients::realm)),
        )))
        .select((partners::id, clients::realm))
        .distinct()
        .limit(limit);
    let called = version_uses::table
        .inner_join(partners::table.on(version_uses::partner_id.eq(partners::id)))
        .filter(version_uses::version.eq(version))
        .filter(version_uses::last_at.ge(since))
        .filter(partners::state.eq_any(WITH_US))
        .filter(not(exists(
            told.filter(version_notices::partner_id.eq(version_uses::partner_id))
                .filter(version_notices::realm.eq(version_uses::realm)),
        )))
        .select((version_uses::partner_id, version_uses::realm))
        .distinct()
        .limit(limit);
    let mut due: BTreeSet<_> = pinned.load::<(PartnerId, Realm)>(db)?.into_iter().collect();
    due.extend(called.load::<(PartnerId, Realm)>(db)?);
    Ok(due)
}
