//! Scope grants.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::scope_grants;
use crate::domain::grant::GrantState;
use crate::domain::id::{GrantId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::scope::Scope;

/// A row of `scope_grants`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = scope_grants, treat_none_as_default_value = false)]
pub struct Grant {
    pub id: GrantId,
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub scope: Scope,
    /// `None`: the partner API.
    pub resource_server_id: Option<ResourceServerId>,
    pub purpose: String,
    pub lawful_basis: Option<String>,
    /// A JSON list of words.
    pub data_classes: String,
    pub retention_days: i32,
    pub state: GrantState,
    pub requested_by: String,
    pub requested_at: Instant,
    pub decided_by: Option<String>,
    pub decided_at: Option<Instant>,
    pub expires_at: Instant,
}

/// Writes a new grant.
pub fn insert(db: &mut Db, grant: &Grant) -> Result<(), StoreError> {
    diesel::insert_into(scope_grants::table)
        .values(grant)
        .execute(db)?;
    Ok(())
}

/// A grant by id. `None`: unknown.
pub fn find(db: &mut Db, id: &GrantId) -> Result<Option<Grant>, StoreError> {
    Ok(scope_grants::table.find(id).first(db).optional()?)
}

/// A page of a partner's grants, oldest first.
pub fn page(
    db: &mut Db,
    partner: &PartnerId,
    page: &PageRequest,
) -> Result<Page<Grant>, StoreError> {
    let rows = scope_grants::table
        .filter(
            scope_grants::partner_id
                .eq(partner)
                .and(scope_grants::id.gt(page.after())),
        )
        .order(scope_grants::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |g: &Grant| g.id.as_str()))
}

/// A partner's grants in an environment that let tokens carry their scope now.
pub fn in_force(
    db: &mut Db,
    partner: &PartnerId,
    realm: Realm,
    now: Instant,
) -> Result<Vec<Grant>, StoreError> {
    let rows = scope_grants::table
        .filter(
            scope_grants::partner_id
                .eq(partner)
                .and(scope_grants::realm.eq(realm)),
        )
        .filter(
            scope_grants::state
                .eq(GrantState::Approved)
                .and(scope_grants::expires_at.gt(now)),
        )
        .order(scope_grants::id.asc())
        .load(db)?;
    Ok(rows)
}

/// What a grant gives: all that a token request needs of it.
#[derive(Clone, Debug, Queryable)]
pub struct Terms {
    pub scope: Scope,
    /// `None`: the partner API.
    pub resource_server_id: Option<ResourceServerId>,
    pub expires_at: Instant,
}

/// What a partner's grants in an environment give now.
pub fn terms_in_force(
    db: &mut Db,
    partner: &PartnerId,
    realm: Realm,
    now: Instant,
) -> Result<Vec<Terms>, StoreError> {
    let in_force = scope_grants::table
        .filter(
            scope_grants::partner_id
                .eq(partner)
                .and(scope_grants::realm.eq(realm)),
        )
        .filter(
            scope_grants::state
                .eq(GrantState::Approved)
                .and(scope_grants::expires_at.gt(now)),
        )
        .order(scope_grants::id.asc())
        .select((
            scope_grants::scope,
            scope_grants::resource_server_id,
            scope_grants::expires_at,
        ));
    Ok(on_engine!(db, conn => in_force.load(conn))?)
}

/// Decides a grant that is still requested, by somebody other than who asked. `false`: it is not.
pub fn decide(
    db: &mut Db,
    id: &GrantId,
    to: GrantState,
    decided_by: &str,
    now: Instant,
) -> Result<bool, StoreError> {
    let open = scope_grants::table
        .find(id)
        .filter(scope_grants::state.eq(GrantState::Requested))
        .filter(scope_grants::requested_by.ne(decided_by));
    let changed = diesel::update(open)
        .set((
            scope_grants::state.eq(to),
            scope_grants::decided_by.eq(decided_by),
            scope_grants::decided_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}
