//! Resource servers: audiences with their scopes, each with a client of its own.

use url::Url;

use super::{Act, AdminError};
use crate::audit::{Action, Deed};
use crate::domain::Algorithm;
use crate::domain::audience::Addresses;
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::id::{ClientId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::{RESOURCE_SERVER_SCOPES, ScopeSet};
use crate::store::changes::{Change, Subject};
use crate::store::clients::{self, Client};
use crate::store::resource_servers::{self, ResourceServer};
use crate::store::{Db, StoreError, grants};

/// An audience to be registered.
#[derive(Clone, Debug)]
pub struct NewResourceServer {
    pub realm: Realm,
    pub identifier: String,
    pub name: String,
    pub scopes: ScopeSet,
    pub signing_alg: Algorithm,
}

/// Registers an audience and makes its client, which may follow revocations.
pub fn create(
    db: &mut Change<'_>,
    act: &Act,
    addresses: &Addresses,
    new: NewResourceServer,
) -> Result<(ResourceServer, ClientId), AdminError> {
    let now = act.now;
    check(addresses, &new)?;
    let server = ResourceServer {
        id: ResourceServerId::generate(now),
        realm: new.realm,
        identifier: new.identifier,
        name: new.name.clone(),
        scopes: new.scopes,
        signing_alg: new.signing_alg,
        created_by: act.actor.to_string(),
        created_at: now,
    };
    resource_servers::insert(db, &server).map_err(|error| match error {
        StoreError::Duplicate(_) => AdminError::conflict(
            "identifier_taken",
            "this identifier is registered in this realm already",
        ),
        other => other.into(),
    })?;
    let client = Client {
        id: ClientId::generate(new.realm, now),
        realm: new.realm,
        kind: ClientKind::ResourceServer,
        partner_id: None,
        resource_server_id: Some(server.id.clone()),
        name: new.name,
        state: ClientState::Active,
        scopes: ScopeSet::of(RESOURCE_SERVER_SCOPES),
        default_scopes: None,
        token_ttl: None,
        expires_at: None,
        created_by: act.actor.to_string(),
        created_at: now,
        updated_at: now,
        ip_allowlist: None,
        self_rotation: None,
    };
    clients::insert(db, &client)?;
    db.touch(Subject::Client(client.id.clone()));
    db.touch(Subject::ResourceServer {
        realm: server.realm,
        identifier: server.identifier.clone(),
    });
    let deed = Deed::new(Action::ResourceServerRegistered, &server.id)
        .realm(server.realm)
        .detail("identifier", server.identifier.as_str());
    act.record(db, deed)?;
    Ok((server, client.id))
}

/// What is to change of an audience. Its identifier and realm are what it is.
#[derive(Clone, Debug, Default)]
pub struct ResourceServerEdit {
    pub name: Option<String>,
    pub scopes: Option<ScopeSet>,
    pub signing_alg: Option<Algorithm>,
}

/// Changes an audience. A scope goes only when no grant names it any more: whose tokens die is
/// then decided grant by grant, by those who decide grants.
pub fn edit(
    db: &mut Change<'_>,
    act: &Act,
    id: &ResourceServerId,
    edit: ResourceServerEdit,
) -> Result<(ResourceServer, Option<ClientId>), AdminError> {
    let (before, client) = get(db, id)?;
    let after = ResourceServer {
        name: edit.name.unwrap_or_else(|| before.name.clone()),
        scopes: edit.scopes.unwrap_or_else(|| before.scopes.clone()),
        signing_alg: edit.signing_alg.unwrap_or(before.signing_alg),
        ..before.clone()
    };
    let members = [
        ("name", before.name != after.name),
        ("scopes", before.scopes != after.scopes),
        ("signing_alg", before.signing_alg != after.signing_alg),
    ];
    let changed: Vec<&str> = members
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect();
    if changed.is_empty() {
        return Ok((before, client));
    }
    check_scopes(db, &before, &after, act.now)?;
    if !resource_servers::edit(db, &after)? {
        return Err(AdminError::NotFound);
    }
    db.touch(Subject::ResourceServer {
        realm: after.realm,
        identifier: after.identifier.clone(),
    });
    let deed = Deed::new(Action::ResourceServerChanged, id)
        .realm(after.realm)
        .detail("changed", changed)
        .detail("scopes", after.scopes.as_str())
        .detail("signing_alg", after.signing_alg.as_str());
    act.record(db, deed)?;
    Ok((after, client))
}

fn check_scopes(
    db: &mut Db,
    before: &ResourceServer,
    after: &ResourceServer,
    now: Instant,
) -> Result<(), AdminError> {
    if after.scopes.is_empty() {
        return Err(AdminError::invalid(
            "/scopes",
            "must name at least one scope",
        ));
    }
    let gone = before.scopes.difference(&after.scopes);
    if gone.is_empty() {
        return Ok(());
    }
    let in_use: ScopeSet = grants::open_at(db, &before.id, now)?
        .into_iter()
        .map(|grant| grant.scope)
        .filter(|scope| gone.contains(scope))
        .collect();
    if in_use.is_empty() {
        return Ok(());
    }
    let detail =
        format!("grants that are requested or approved name {in_use}: deny or revoke them first");
    Err(AdminError::conflict("scope_in_use", detail))
}

/// What can be said against an audience without asking the database.
pub fn check(addresses: &Addresses, new: &NewResourceServer) -> Result<(), AdminError> {
    if !new.realm.is_environment() {
        return Err(AdminError::invalid(
            "/realm",
            "must be one of sandbox, live",
        ));
    }
    let is_absolute = Url::parse(&new.identifier).is_ok() && !new.identifier.contains('#');
    let is_plain = new.identifier.bytes().all(|b| b.is_ascii_graphic());
    if !is_absolute || !is_plain {
        return Err(AdminError::invalid(
            "/identifier",
            "must be an absolute URI without a fragment",
        ));
    }
    // A registered name for one of the server's own audiences would speak for it.
    let own = Realm::ALL
        .iter()
        .flat_map(|r| [addresses.issuer(*r), addresses.api(*r)])
        .any(|own| **own == *new.identifier);
    if own {
        return Err(AdminError::invalid(
            "/identifier",
            "must not be one of this server's own",
        ));
    }
    if new.scopes.is_empty() {
        return Err(AdminError::invalid(
            "/scopes",
            "must name at least one scope",
        ));
    }
    Ok(())
}

/// A resource server by id, and its client.
pub fn get(
    db: &mut Db,
    id: &ResourceServerId,
) -> Result<(ResourceServer, Option<ClientId>), AdminError> {
    let server = resource_servers::find(db, id)?.ok_or(AdminError::NotFound)?;
    let client = clients::of_resource_server(db, id)?.map(|client| client.id);
    Ok((server, client))
}
