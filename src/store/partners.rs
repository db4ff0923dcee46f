//! Partners.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::partners;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::page::{Page, PageRequest};
use crate::domain::partner::{PartnerState, PartnerStep};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::domain::version::ApiVersion;

/// A row of `partners`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = partners)]
pub struct Partner {
    pub id: PartnerId,
    pub name: String,
    pub legal_name: String,
    pub security_contact: String,
    pub state: PartnerState,
    pub created_by: String,
    pub created_at: Instant,
    pub updated_at: Instant,
    /// Whether a leaked live secret is accepted for one more hour.
    pub leaked_secret_grace: bool,
    /// The version of the API that it used first, and is spoken to in.
    pub pinned_version: Option<ApiVersion>,
}

/// Writes a new partner.
pub fn insert(db: &mut Db, partner: &Partner) -> Result<(), StoreError> {
    diesel::insert_into(partners::table)
        .values(partner)
        .execute(db)?;
    Ok(())
}

/// A partner by id. `None`: unknown.
pub fn find(db: &mut Db, id: &PartnerId) -> Result<Option<Partner>, StoreError> {
    Ok(partners::table.find(id).get_result(db).optional()?)
}

/// Which of these there are.
pub fn known(db: &mut Db, ids: &[PartnerId]) -> Result<Vec<PartnerId>, StoreError> {
    let mut known = Vec::new();
    for some in ids.chunks(500) {
        let those = partners::table.filter(partners::id.eq_any(some));
        let found: Vec<PartnerId> = those.select(partners::id).load(db)?;
        known.extend(found);
    }
    Ok(known)
}

/// A partner's state, and the version that it is spoken to in. `None`: unknown.
pub fn standing(
    db: &mut Db,
    id: &PartnerId,
) -> Result<Option<(PartnerState, Option<ApiVersion>)>, StoreError> {
    let standing = partners::table
        .find(id)
        .select((partners::state, partners::pinned_version));
    let standing = on_engine!(db, conn => standing.get_result(conn));
    Ok(standing.optional()?)
}

/// Pins the version that a partner used first. `false`: it has one.
pub fn pin_version(db: &mut Db, id: &PartnerId, version: ApiVersion) -> Result<bool, StoreError> {
    let unpinned = partners::table
        .find(id)
        .filter(partners::pinned_version.is_null());
    let pinned = diesel::update(unpinned)
        .set(partners::pinned_version.eq(version))
        .execute(db)?;
    Ok(pinned == 1)
}

/// What may be edited; `None`: it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = partners)]
pub struct Edit {
    pub name: Option<String>,
    pub legal_name: Option<String>,
    pub security_contact: Option<String>,
    pub leaked_secret_grace: Option<bool>,
}

/// Edits a partner; at least one member must change. `false`: unknown.
pub fn edit(db: &mut Db, id: &PartnerId, edit: &Edit, now: Instant) -> Result<bool, StoreError> {
    let changed = diesel::update(partners::table.find(id))
        .set((edit, partners::updated_at.eq(now)))
        .execute(db)?;
    Ok(changed == 1)
}

/// A page of partners, oldest first: of all, or of those in a state.
pub fn page(
    db: &mut Db,
    state: Option<PartnerState>,
    page: &PageRequest,
) -> Result<Page<Partner>, StoreError> {
    let mut query = partners::table
        .filter(partners::id.gt(page.after()))
        .into_boxed();
    if let Some(state) = state {
        query = query.filter(partners::state.eq(state));
    }
    let rows = query
        .order(partners::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |p: &Partner| p.id.as_str()))
}

/// All partners in each of their environments, in order, for the server itself.
pub fn tenants(db: &mut Db) -> Result<Vec<Tenant>, StoreError> {
    let ids: Vec<PartnerId> = partners::table
        .select(partners::id)
        .order(partners::id.asc())
        .load(db)?;
    let both = |id: PartnerId| {
        let of = |realm| Tenant::of_record(id.clone(), realm);
        [of(Realm::Live), of(Realm::Sandbox)]
    };
    Ok(ids.into_iter().flat_map(both).collect())
}

/// Takes a partner a step on. `false`: unknown, or in a state from which the step does not lead on.
pub fn step(
    db: &mut Db,
    id: &PartnerId,
    step: PartnerStep,
    now: Instant,
) -> Result<bool, StoreError> {
    let ready = partners::table
        .find(id)
        .filter(partners::state.eq_any(step.from()));
    let changed = diesel::update(ready)
        .set((partners::state.eq(step.to()), partners::updated_at.eq(now)))
        .execute(db)?;
    Ok(changed == 1)
}
