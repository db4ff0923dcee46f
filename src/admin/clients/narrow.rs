//! A client narrowed: a scope that it does not need is taken away.

use super::get;
use crate::admin::{Act, AdminError, last_operator};
use crate::audit::{Action, Deed};
use crate::domain::revocation::Revoked;
use crate::domain::scope::{Scope, ScopeSet};
use crate::store::changes::{Change, Subject};
use crate::store::clients::{self, Client};

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
    if scope.as_str() == "operators:write" {
        last_operator::leave_one(db, client, act.now)?;
    }
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
