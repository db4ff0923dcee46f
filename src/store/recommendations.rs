//! Who holds what it does not need: the queries behind recommendations.

use diesel::prelude::*;

use super::clients::Client;
use super::db::Db;
use super::error::StoreError;
use super::grants::{Grant, is_last};
use super::schema::{clients, credentials, scope_grants};
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::credential::CredentialState;
use crate::domain::grant::GrantState;
use crate::domain::id::{ClientId, CredentialId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::Scope;

/// Whose.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub partner_id: Option<PartnerId>,
    pub realm: Option<Realm>,
}

/// Which rows of those that match.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// The first so many past an id; the empty text is before all.
    Past(&'a str, i64),
    /// From this id on, itself included.
    From(&'a str, i64),
    /// This one alone.
    This(&'a str),
}

/// A credential as a recommendation shows it.
#[derive(Clone, Debug, Queryable)]
pub struct Held {
    pub id: CredentialId,
    pub client_id: ClientId,
    pub realm: Realm,
    pub partner_id: Option<PartnerId>,
    pub created_at: Instant,
    pub last_used_at: Option<Instant>,
    pub expires_at: Option<Instant>,
}

/// Narrows a query over a table by which rows are asked for.
macro_rules! which {
    ($query:ident, $which:expr, $id:expr) => {
        match $which {
            Which::Past(id, limit) => $query = $query.filter($id.gt(id.to_owned())).limit(limit),
            Which::From(id, limit) => $query = $query.filter($id.ge(id.to_owned())).limit(limit),
            Which::This(id) => $query = $query.filter($id.eq(id.to_owned())),
        }
    };
}

/// Active clients whose scopes are old enough to be judged, in the order of their ids.
///
/// Resource servers' clients are not among them: they need what they hold to do their work.
pub fn holders(
    db: &mut Db,
    which: Which<'_>,
    filter: &Filter,
    made_by: Instant,
    now: Instant,
) -> Result<Vec<Client>, StoreError> {
    let mut query = clients::table
        .filter(clients::state.eq(ClientState::Active))
        .filter(clients::kind.ne(ClientKind::ResourceServer))
        .filter(clients::created_at.le(made_by))
        .filter(
            clients::expires_at
                .is_null()
                .or(clients::expires_at.gt(now)),
        )
        .order(clients::id.asc())
        .into_boxed();
    which!(query, which, clients::id);
    if let Some(partner) = &filter.partner_id {
        query = query.filter(clients::partner_id.eq(partner));
    }
    if let Some(realm) = filter.realm {
        query = query.filter(clients::realm.eq(realm));
    }
    Ok(query.load(db)?)
}

/// A grant that once let a partner's clients have a scope.
#[derive(Clone, Debug, Queryable)]
pub struct Granted {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub scope: Scope,
    /// `None`: at the partner API.
    pub resource_server_id: Option<ResourceServerId>,
    pub decided_at: Option<Instant>,
    pub expires_at: Instant,
}

/// Grants of these partners that were approved, and not taken back, in the order of their decision.
pub fn granted(db: &mut Db, partners: &[&PartnerId]) -> Result<Vec<Granted>, StoreError> {
    let rows = scope_grants::table
        .filter(scope_grants::partner_id.eq_any(partners))
        .filter(scope_grants::state.eq_any([GrantState::Approved, GrantState::Expired]))
        .select((
            scope_grants::partner_id,
            scope_grants::realm,
            scope_grants::scope,
            scope_grants::resource_server_id,
            scope_grants::decided_at,
            scope_grants::expires_at,
        ))
        .order(scope_grants::decided_at.asc())
        .load(db)?;
    Ok(rows)
}

/// What a list of credentials shows of each.
macro_rules! held {
    () => {
        (
            credentials::id,
            credentials::client_id,
            clients::realm,
            clients::partner_id,
            credentials::created_at,
            credentials::last_used_at,
            credentials::expires_at,
        )
    };
}

/// Credentials that could be used, and were not since a moment, in the order of their ids.
pub fn unused(
    db: &mut Db,
    which: Which<'_>,
    filter: &Filter,
    since: Instant,
    now: Instant,
) -> Result<Vec<Held>, StoreError> {
    let mut query = credentials::table
        .inner_join(clients::table)
        .filter(credentials::state.eq(CredentialState::Active))
        .filter(clients::state.ne(ClientState::Revoked))
        .filter(
            credentials::expires_at
                .is_null()
                .or(credentials::expires_at.gt(now)),
        )
        .filter(credentials::created_at.le(since))
        // The first use is on record at once, the last within moments.
        .filter(
            credentials::first_used_at
                .is_null()
                .or(credentials::first_used_at.le(since)),
        )
        .filter(
            credentials::last_used_at
                .is_null()
                .or(credentials::last_used_at.le(since)),
        )
        .order(credentials::id.asc())
        .select(held!())
        .into_boxed();
    which!(query, which, credentials::id);
    if let Some(partner) = &filter.partner_id {
        query = query.filter(clients::partner_id.eq(partner));
    }
    if let Some(realm) = filter.realm {
        query = query.filter(clients::realm.eq(realm));
    }
    Ok(query.load(db)?)
}

/// When credentials count as near their end.
#[derive(Clone, Copy, Debug)]
pub struct NearEnd {
    pub now: Instant,
    /// Who ends by then.
    pub ends_by: Instant,
    /// Who was made by then is near or past the sandbox's longest age.
    pub sandbox_made_by: Instant,
    /// The same in live.
    pub live_made_by: Instant,
}

/// Credentials that can be used and end soon, or are near or past their longest age, in the
/// order of their ids. One that has a successor is not among them.
pub fn near_end(
    db: &mut Db,
    which: Which<'_>,
    filter: &Filter,
    near: NearEnd,
) -> Result<Vec<Held>, StoreError> {
    let of_age = |realm: Realm, made_by: Instant| {
        clients::realm
            .eq(realm)
            .and(credentials::created_at.le(made_by))
    };
    let aged =
        of_age(Realm::Sandbox, near.sandbox_made_by).or(of_age(Realm::Live, near.live_made_by));
    let mut query = credentials::table
        .inner_join(clients::table)
        .filter(credentials::state.eq(CredentialState::Active))
        .filter(clients::state.ne(ClientState::Revoked))
        .filter(
            credentials::expires_at
                .is_null()
                .or(credentials::expires_at.gt(near.now)),
        )
        .filter(credentials::expires_at.le(near.ends_by).or(aged))
        .order(credentials::id.asc())
        .select(held!())
        .into_boxed();
    which!(query, which, credentials::id);
    if let Some(partner) = &filter.partner_id {
        query = query.filter(clients::partner_id.eq(partner));
    }
    if let Some(realm) = filter.realm {
        query = query.filter(clients::realm.eq(realm));
    }
    Ok(query.load(db)?)
}

/// Grants in force that end by a moment, in the order of their ids. One that another of the
/// same scope outlives is not among them.
pub fn grants_near_end(
    db: &mut Db,
    which: Which<'_>,
    filter: &Filter,
    (now, ends_by): (Instant, Instant),
) -> Result<Vec<Grant>, StoreError> {
    let mut query = scope_grants::table
        .filter(scope_grants::state.eq(GrantState::Approved))
        .filter(scope_grants::expires_at.gt(now))
        .filter(scope_grants::expires_at.le(ends_by))
        .filter(is_last!())
        .order(scope_grants::id.asc())
        .into_boxed();
    which!(query, which, scope_grants::id);
    if let Some(partner) = &filter.partner_id {
        query = query.filter(scope_grants::partner_id.eq(partner));
    }
    if let Some(realm) = filter.realm {
        query = query.filter(scope_grants::realm.eq(realm));
    }
    Ok(query.load(db)?)
}
