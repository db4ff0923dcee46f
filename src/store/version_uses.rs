//! Who calls which version of the partner API, and when last.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::request_log::Call;
use super::schema::version_uses;
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::version::ApiVersion;

/// A row of `version_uses`.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable)]
#[diesel(table_name = version_uses)]
pub struct VersionUse {
    pub id: String,
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub client_id: ClientId,
    pub version: ApiVersion,
    pub route: String,
    pub calls: i64,
    pub first_at: Instant,
    pub last_at: Instant,
}

/// Which uses a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub version: Option<ApiVersion>,
    pub partner_id: Option<PartnerId>,
    pub realm: Option<Realm>,
}

/// Adds calls up: one row for each partner, client, version and route among them.
pub(super) fn add(db: &mut Db, calls: &[&Call]) -> Result<(), StoreError> {
    let mut sums: BTreeMap<String, VersionUse> = BTreeMap::new();
    for call in calls {
        let Some(version) = call.version else {
            continue;
        };
        let (partner, realm, client) = (&call.partner_id, call.realm, &call.client_id);
        let id = format!(
            "{partner} {realm} {client} {version} {} {}",
            call.method, call.route
        );
        sums.entry(id)
            .and_modify(|sum| {
                sum.calls += 1;
                sum.last_at = sum.last_at.max(call.at);
            })
            .or_insert_with_key(|id| VersionUse {
                id: id.clone(),
                partner_id: partner.clone(),
                realm,
                client_id: client.clone(),
                version,
                route: format!("{} {}", call.method, call.route),
                calls: 1,
                first_at: call.at,
                last_at: call.at,
            });
    }
    // In the order of the key, so that two nodes that write the same rows do not wait for each other.
    for sum in sums.into_values() {
        on_engine!(db, conn => diesel::insert_into(version_uses::table)
            .values(&sum)
            .on_conflict(version_uses::id)
            .do_update()
            .set((
                version_uses::calls.eq(version_uses::calls + excluded(version_uses::calls)),
                version_uses::last_at.eq(excluded(version_uses::last_at)),
            ))
            .execute(conn))?;
    }
    Ok(())
}

/// A page of uses, by partner, realm, client, version and route.
pub fn page(
    db: &mut Db,
    filter: Filter,
    page: &PageRequest,
) -> Result<Page<VersionUse>, StoreError> {
    let mut query = version_uses::table
        .filter(version_uses::id.gt(page.after()))
        .into_boxed();
    if let Some(version) = filter.version {
        query = query.filter(version_uses::version.eq(version));
    }
    if let Some(partner) = filter.partner_id {
        query = query.filter(version_uses::partner_id.eq(partner));
    }
    if let Some(realm) = filter.realm {
        query = query.filter(version_uses::realm.eq(realm));
    }
    let rows = query
        .order(version_uses::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |row: &VersionUse| row.id.as_str()))
}
