//! Operators: clients of the admin realm, and how the first one comes to be.

use std::time::Duration;

use super::credentials::{self, Issued};
use super::{Act, AdminError};
use crate::audit::{Action, Deed};
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::{ADMIN_SCOPES, ScopeSet};
use crate::keys::MasterKey;
use crate::store::Db;
use crate::store::changes::{Change, Subject};
use crate::store::clients::{self, Client};

/// How long a first operator lives where the server is not on loopback.
const FIRST_OPERATOR: Duration = Duration::from_secs(24 * 3600);

/// Makes an operator. It gets its credential like any client.
pub fn create(
    db: &mut Change<'_>,
    act: &Act,
    name: String,
    scopes: ScopeSet,
) -> Result<Client, AdminError> {
    insert(db, act, name, scopes, None)
}

/// The very first operator, made by who holds the machine; only while there is none.
///
/// On loopback it may do everything, for good. Elsewhere it may only make operators,
/// for 24 hours: nobody should work with the key that came with the house.
pub fn bootstrap(
    db: &mut Change<'_>,
    master: &MasterKey,
    act: &Act,
    loopback: bool,
) -> Result<Issued, AdminError> {
    check_none(db)?;
    first(db, master, act, "bootstrap operator", loopback)
}

/// Refuses where there is an operator already.
pub fn check_none(db: &mut Db) -> Result<(), AdminError> {
    if clients::any_operator(db)? {
        let detail = "there is an operator already; if its credential is lost, use `onyx-auth operator recover`";
        return Err(AdminError::conflict("operator_exists", detail));
    }
    Ok(())
}

/// An operator for the day when no credential of any is left; made by who holds the machine.
pub fn recover(
    db: &mut Change<'_>,
    master: &MasterKey,
    act: &Act,
    loopback: bool,
) -> Result<Issued, AdminError> {
    first(db, master, act, "recovery operator", loopback)
}

fn first(
    db: &mut Change<'_>,
    master: &MasterKey,
    act: &Act,
    name: &str,
    loopback: bool,
) -> Result<Issued, AdminError> {
    let (scopes, expires_at) = if loopback {
        (ScopeSet::of(ADMIN_SCOPES), None)
    } else {
        (
            ScopeSet::of(&["operators:write"]),
            Some(act.now.plus(FIRST_OPERATOR)),
        )
    };
    let operator = insert(db, act, name.to_owned(), scopes, expires_at)?;
    log::warn!("{name} {} was made on this machine", operator.id);
    credentials::issue(db, master, act, &operator.id, expires_at)
}

fn insert(
    db: &mut Change<'_>,
    act: &Act,
    name: String,
    scopes: ScopeSet,
    expires_at: Option<Instant>,
) -> Result<Client, AdminError> {
    let unknown = scopes.difference(&ScopeSet::of(ADMIN_SCOPES));
    if !unknown.is_empty() || scopes.is_empty() {
        let detail = format!("must be one or more of {}", ADMIN_SCOPES.join(", "));
        return Err(AdminError::invalid("/scopes", detail));
    }
    let operator = Client {
        id: ClientId::generate(Realm::Admin, act.now),
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
        created_by: act.actor.to_string(),
        created_at: act.now,
        updated_at: act.now,
        ip_allowlist: None,
        self_rotation: None,
    };
    clients::insert(db, &operator)?;
    db.touch(Subject::Client(operator.id.clone()));
    let deed = Deed::new(Action::OperatorCreated, &operator.id)
        .realm(Realm::Admin)
        .detail("scopes", operator.scopes.as_str());
    act.record(db, deed)?;
    Ok(operator)
}
