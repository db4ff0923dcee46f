//! Operators: clients of the admin realm, and how the first one comes to be.

use std::time::Duration;

use super::credentials::{self, Issued};
use super::{Actor, AdminError};
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::{ADMIN_SCOPES, ScopeSet};
use crate::keys::MasterKey;
use crate::store::changes::{Change, Subject};
use crate::store::clients::{self, Client};

/// How long a first operator lives where the server is not on loopback.
const FIRST_OPERATOR: Duration = Duration::from_secs(24 * 3600);

/// Makes an operator. It gets its credential like any client.
pub fn create(
    db: &mut Change<'_>,
    actor: &Actor,
    name: String,
    scopes: ScopeSet,
    now: Instant,
) -> Result<Client, AdminError> {
    insert(db, actor, name, scopes, None, now)
}

/// The very first operator, made by who holds the machine; only while there is none.
///
/// On loopback it may do everything, for good. Elsewhere it may only make operators,
/// for 24 hours: nobody should work with the key that came with the house.
pub fn bootstrap(
    db: &mut Change<'_>,
    master: &MasterKey,
    loopback: bool,
    now: Instant,
) -> Result<Issued, AdminError> {
    if clients::any_operator(db)? {
        let detail = "there is an operator already; if its credential is lost, use `onyx-auth operator recover`";
        return Err(AdminError::conflict("operator_exists", detail));
    }
    first(db, master, "bootstrap operator", loopback, now)
}

/// An operator for the day when no credential of any is left; made by who holds the machine.
pub fn recover(
    db: &mut Change<'_>,
    master: &MasterKey,
    loopback: bool,
    now: Instant,
) -> Result<Issued, AdminError> {
    first(db, master, "recovery operator", loopback, now)
}

fn first(
    db: &mut Change<'_>,
    master: &MasterKey,
    name: &str,
    loopback: bool,
    now: Instant,
) -> Result<Issued, AdminError> {
    let (scopes, expires_at) = if loopback {
        (ScopeSet::of(ADMIN_SCOPES), None)
    } else {
        (
            ScopeSet::of(&["operators:write"]),
            Some(now.plus(FIRST_OPERATOR)),
        )
    };
    let operator = insert(db, &Actor::host(), name.to_owned(), scopes, expires_at, now)?;
    log::warn!("{name} {} was made on this machine", operator.id);
    credentials::issue(db, master, &Actor::host(), &operator.id, expires_at, now)
}

fn insert(
    db: &mut Change<'_>,
    actor: &Actor,
    name: String,
    scopes: ScopeSet,
    expires_at: Option<Instant>,
    now: Instant,
) -> Result<Client, AdminError> {
    let unknown = scopes.difference(&ScopeSet::of(ADMIN_SCOPES));
    if !unknown.is_empty() || scopes.is_empty() {
        let detail = format!("must be one or more of {}", ADMIN_SCOPES.join(", "));
        return Err(AdminError::invalid("/scopes", detail));
    }
    let operator = Client {
        id: ClientId::generate(Realm::Admin, now),
        realm: Realm::Admin,
        kind: ClientKind::Operator,
        partner_id: None,
        resource_server_id: None,
        name,
        state: ClientState::Active,
        scopes,
        default_scopes: None,
        token_ttl: None,
        expires_at,
        created_by: actor.to_string(),
        created_at: now,
        updated_at: now,
    };
    clients::insert(db, &operator)?;
    db.touch(Subject::Client(operator.id.clone()));
    Ok(operator)
}
