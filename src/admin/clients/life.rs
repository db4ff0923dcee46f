//! A client suspended, resumed, and revoked with all that it authenticates with.

use super::get;
use crate::admin::credentials::{about_revoked, tell};
use crate::admin::{Act, AdminError, last_operator};
use crate::audit::{Action, Deed};
use crate::domain::client::ClientStep;
use crate::domain::credential::RevocationReason;
use crate::domain::event::EventKind;
use crate::domain::id::ClientId;
use crate::domain::lifecycle::Step;
use crate::domain::revocation::Revoked;
use crate::store::changes::{Change, Subject};
use crate::store::clients::{self, Client};
use crate::store::credentials::{self, Revocation};

/// Takes a client a step on. Its tokens die where it leaves `active`; revoked, so do its credentials.
pub fn step(
    db: &mut Change<'_>,
    act: &Act,
    id: &ClientId,
    step: ClientStep,
    reason: &str,
) -> Result<Client, AdminError> {
    let before = get(db, id)?;
    if step.tokens_die() {
        last_operator::leave_one(db, &before, act.now)?;
    }
    let moved = clients::step(db, id, step, act.now)?;
    let client = get(db, id)?;
    if !moved {
        return Err(AdminError::illegal::<ClientStep>(
            "the client",
            client.state,
        ));
    }
    if step.tokens_die() {
        let subject = Revoked::Client(id.clone());
        act.revoke(db, client.realm, subject, client.state.as_str())?;
    }
    if step == ClientStep::Revoke {
        end_credentials(db, act, &client, reason)?;
    }
    db.touch(Subject::Client(id.clone()));
    let deed = Deed::new(action(step), id)
        .partner_if(client.partner_id.as_ref())
        .realm(client.realm)
        .detail("reason", reason);
    act.record(db, deed)?;
    Ok(client)
}

fn action(step: ClientStep) -> Action {
    match step {
        ClientStep::Suspend => Action::ClientSuspended,
        ClientStep::Resume => Action::ClientResumed,
        ClientStep::Revoke => Action::ClientRevoked,
    }
}

/// A revoked client comes back under no credential. Its tokens die with itself already.
fn end_credentials(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    reason: &str,
) -> Result<(), AdminError> {
    let revocation = Revocation {
        at: act.now,
        by: act.actor.to_string(),
        reason: RevocationReason::Other,
        note: Some(format!("its client was revoked: {reason}")),
    };
    for credential in credentials::unrevoked(db, &client.id)? {
        if !credentials::revoke(db, &credential.id, &revocation)? {
            continue;
        }
        let about = about_revoked(client, &credential.id, revocation.reason);
        tell(db, act, client, EventKind::CredentialRevoked, &about)?;
        let deed = Deed::new(Action::CredentialRevoked, &credential.id)
            .partner_if(client.partner_id.as_ref())
            .realm(client.realm)
            .detail("client_id", client.id.as_str())
            .detail("reason", revocation.reason.as_str());
        act.record(db, deed)?;
    }
    Ok(())
}
