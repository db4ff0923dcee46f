//! Clients: made for partners, changed, suspended, resumed, revoked.

mod edit;
mod life;
mod narrow;

pub(super) use edit::ADDED;
pub use edit::{ClientEdit, edit};
pub use life::step;
pub use narrow::narrow;

use super::{Act, AdminError, partners, readiness};
use crate::audit::{Action, Deed};
use crate::domain::allowlist::Allowlist;
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::ScopeSet;
use crate::store::changes::{Change, Subject};
use crate::store::clients::{self, Client};
use crate::store::{Db, grants};

/// A client to be made for a partner.
#[derive(Clone, Debug)]
pub struct NewClient {
    pub realm: Realm,
    pub name: String,
    pub scopes: ScopeSet,
    pub default_scopes: Option<ScopeSet>,
    pub token_ttl: Option<i32>,
    pub expires_at: Option<Instant>,
    pub ip_allowlist: Option<Allowlist>,
    pub self_rotation: Option<bool>,
}

/// Makes a client, whose scopes must be granted to its partner in that environment now.
pub fn create(
    db: &mut Change<'_>,
    act: &Act,
    partner: &PartnerId,
    new: NewClient,
) -> Result<Client, AdminError> {
    let now = act.now;
    partners::approved(db, partner)?;
    if !new.realm.is_environment() {
        return Err(AdminError::invalid(
            "/realm",
            "must be one of sandbox, live",
        ));
    }
    if new.realm == Realm::Live {
        readiness::demand(db, partner, now)?;
    }
    AdminError::all([
        check_granted(db, partner, new.realm, &new.scopes, now),
        check_default(new.default_scopes.as_ref(), &new.scopes),
        check_end(new.expires_at, now),
    ])?;
    let client = Client {
        id: ClientId::generate(new.realm, now),
        realm: new.realm,
        kind: ClientKind::Partner,
        partner_id: Some(partner.clone()),
        resource_server_id: None,
        name: new.name,
        state: ClientState::Active,
        scopes: new.scopes,
        default_scopes: new.default_scopes,
        token_ttl: new.token_ttl,
        expires_at: new.expires_at,
        created_by: act.actor.to_string(),
        created_at: now,
        updated_at: now,
        ip_allowlist: new.ip_allowlist,
        self_rotation: new.self_rotation,
    };
    clients::insert(db, &client)?;
    db.touch(Subject::Client(client.id.clone()));
    let deed = Deed::new(Action::ClientCreated, &client.id)
        .partner(partner)
        .realm(client.realm)
        .detail("scopes", client.scopes.as_str());
    act.record(db, deed)?;
    Ok(client)
}

/// A client's scopes must be granted to its partner in that environment now.
fn check_granted(
    db: &mut Db,
    partner: &PartnerId,
    realm: Realm,
    scopes: &ScopeSet,
    now: Instant,
) -> Result<(), AdminError> {
    if scopes.is_empty() {
        return Err(AdminError::invalid(
            "/scopes",
            "must name at least one scope",
        ));
    }
    let granted: ScopeSet = grants::in_force(db, partner, realm, now)?
        .into_iter()
        .map(|g| g.scope)
        .collect();
    let missing = scopes.difference(&granted);
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!("not granted to this partner in {realm}: {missing}");
    Err(AdminError::invalid("/scopes", detail))
}

fn check_default(default: Option<&ScopeSet>, scopes: &ScopeSet) -> Result<(), AdminError> {
    if default.is_none_or(|default| default.is_subset(scopes)) {
        return Ok(());
    }
    Err(AdminError::invalid(
        "/default_scopes",
        "must be among scopes",
    ))
}

fn check_end(end: Option<Instant>, now: Instant) -> Result<(), AdminError> {
    if end.is_none_or(|end| now < end) {
        return Ok(());
    }
    Err(AdminError::invalid("/expires_at", "must lie in the future"))
}

/// A client by id.
pub fn get(db: &mut Db, id: &ClientId) -> Result<Client, AdminError> {
    clients::find(db, id)?.ok_or(AdminError::NotFound)
}
