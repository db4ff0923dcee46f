//! Scope grants.

use diesel::dsl::not;
use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::scope_grants;
use crate::domain::grant::{GrantState, GrantStep};
use crate::domain::id::{GrantId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
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
    /// Who revoked it, or let it expire.
    pub ended_by: Option<String>,
    pub ended_at: Option<Instant>,
    pub ended_reason: Option<String>,
}

/// Whether no other grant of the same scope, to the same partner and for the same audience,
/// outlives this one: what has a successor does not end.
macro_rules! is_last {
    () => {{
        use diesel::prelude::*;
        let later = diesel::alias!(crate::store::schema::scope_grants as later);
        let same_audience = later
            .field(scope_grants::resource_server_id)
            .eq(scope_grants::resource_server_id.nullable())
            .or(later
                .field(scope_grants::resource_server_id)
                .is_null()
                .and(scope_grants::resource_server_id.is_null()));
        let outlives = later
            .filter(
                later
                    .field(scope_grants::partner_id)
                    .eq(scope_grants::partner_id),
            )
            .filter(later.field(scope_grants::realm).eq(scope_grants::realm))
            .filter(later.field(scope_grants::scope).eq(scope_grants::scope))
            .filter(same_audience)
            .filter(later.field(scope_grants::state).eq(GrantState::Approved))
            .filter(
                later
                    .field(scope_grants::expires_at)
                    .gt(scope_grants::expires_at),
            );
        diesel::dsl::not(diesel::dsl::exists(outlives))
    }};
}
pub(super) use is_last;

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

/// Which of a partner's grants a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub realm: Option<Realm>,
    pub state: Option<GrantState>,
    pub scope: Option<Scope>,
}

/// A page of a partner's grants, oldest first.
pub fn page(
    db: &mut Db,
    partner: &PartnerId,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Grant>, StoreError> {
    let mut query = scope_grants::table
        .filter(
            scope_grants::partner_id
                .eq(partner)
                .and(scope_grants::id.gt(page.after())),
        )
        .into_boxed();
    if let Some(realm) = filter.realm {
        query = query.filter(scope_grants::realm.eq(realm));
    }
    if let Some(state) = filter.state {
        query = query.filter(scope_grants::state.eq(state));
    }
    if let Some(scope) = &filter.scope {
        query = query.filter(scope_grants::scope.eq(scope));
    }
    let rows = query
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
        // Said so that SQLite does not take the index by state, in which everybody's grants are.
        .filter(not(scope_grants::state.ne(GrantState::Approved)))
        .filter(scope_grants::expires_at.gt(now))
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
    step: GrantStep,
    decided_by: &str,
    now: Instant,
) -> Result<bool, StoreError> {
    let open = scope_grants::table
        .find(id)
        .filter(scope_grants::state.eq_any(step.from()))
        .filter(scope_grants::requested_by.ne(decided_by));
    let changed = diesel::update(open)
        .set((
            scope_grants::state.eq(step.to()),
            scope_grants::decided_by.eq(decided_by),
            scope_grants::decided_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Ends an approved grant by `Revoke` or `Expire`. `false`: it is not approved.
pub fn end(
    db: &mut Db,
    id: &GrantId,
    step: GrantStep,
    ended_by: &str,
    reason: &str,
    now: Instant,
) -> Result<bool, StoreError> {
    let standing = scope_grants::table
        .find(id)
        .filter(scope_grants::state.eq_any(step.from()));
    let changed = diesel::update(standing)
        .set((
            scope_grants::state.eq(step.to()),
            scope_grants::ended_by.eq(ended_by),
            scope_grants::ended_at.eq(now),
            scope_grants::ended_reason.eq(reason),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Approved grants whose end has come, the longest overdue first.
pub fn overdue(db: &mut Db, now: Instant, limit: i64) -> Result<Vec<Grant>, StoreError> {
    let rows = scope_grants::table
        .filter(
            scope_grants::state
                .eq(GrantState::Approved)
                .and(scope_grants::expires_at.le(now)),
        )
        .order((scope_grants::expires_at.asc(), scope_grants::id.asc()))
        .limit(limit);
    let mut rows: Vec<Grant> = rows.load(db)?;
    // Partners are told in the order in which everybody holds their counters.
    rows.sort_by(|one, other| {
        let key = |grant: &Grant| (grant.partner_id.to_string(), grant.realm.as_str());
        key(one).cmp(&key(other))
    });
    Ok(rows)
}

/// Grants at a resource server that are asked for, or approved and not over.
pub fn open_at(
    db: &mut Db,
    server: &ResourceServerId,
    now: Instant,
) -> Result<Vec<Grant>, StoreError> {
    let rows = scope_grants::table
        .filter(
            scope_grants::resource_server_id
                .eq(server)
                .and(scope_grants::expires_at.gt(now)),
        )
        .filter(scope_grants::state.eq_any([GrantState::Requested, GrantState::Approved]))
        .order(scope_grants::id.asc())
        .load(db)?;
    Ok(rows)
}
