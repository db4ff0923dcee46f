//! Clients of partners.

use super::{Act, AdminError, partners, readiness};
use crate::audit::{Action, Deed};
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation::Revoked;
use crate::domain::scope::{Scope, ScopeSet};
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
    if new.scopes.is_empty() {
        return Err(AdminError::invalid(
            "/scopes",
            "must name at least one scope",
        ));
    }
    let granted: ScopeSet = grants::in_force(db, partner, new.realm, now)?
        .into_iter()
        .map(|g| g.scope)
        .collect();
    let missing = new.scopes.difference(&granted);
    if !missing.is_empty() {
        let detail = format!("not granted to this partner in {}: {missing}", new.realm);
        return Err(AdminError::invalid("/scopes", detail));
    }
    if new
        .default_scopes
        .as_ref()
        .is_some_and(|default| !default.is_subset(&new.scopes))
    {
        return Err(AdminError::invalid(
            "/default_scopes",
            "must be among scopes",
        ));
    }
    if new.expires_at.is_some_and(|end| end <= now) {
        return Err(AdminError::invalid("/expires_at", "must lie in the future"));
    }
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
        ip_allowlist: None,
        self_rotation: None,
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

/// Takes a scope away from a client, and with it every token from before.
///
/// `client` is as it was read within this change; one that is no longer so is left alone.
pub fn narrow(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    scope: &Scope,
) -> Result<Client, AdminError> {
    let without = |held: &ScopeSet| -> ScopeSet {
        let kept = held.iter().filter(|one| *one != scope);
        kept.cloned().collect()
    };
    let scopes = without(&client.scopes);
    // Never none: that would widen it to all that is held.
    let default_scopes = client.default_scopes.as_ref().map(without);
    if !clients::replace_scopes(db, client, &scopes, default_scopes.as_ref(), act.now)? {
        return Err(AdminError::conflict(
            "client_changed",
            "the client was changed meanwhile: look at it again",
        ));
    }
    db.touch(Subject::Client(client.id.clone()));
    act.revoke(
        db,
        client.realm,
        Revoked::Client(client.id.clone()),
        "narrowed",
    )?;
    let deed = Deed::new(Action::ClientChanged, &client.id)
        .partner_if(client.partner_id.as_ref())
        .realm(client.realm)
        .detail("scopes", scopes.as_str())
        .detail("removed", scope.as_str());
    act.record(db, deed)?;
    get(db, &client.id)
}

/// A client by id.
pub fn get(db: &mut Db, id: &ClientId) -> Result<Client, AdminError> {
    clients::find(db, id)?.ok_or(AdminError::NotFound)
}
