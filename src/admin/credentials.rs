//! Credentials: issued, shown once, revoked.

use std::time::Duration;

use serde_json::json;

use super::{Act, AdminError, clients, delivery, last_operator};
use crate::audit::{Action, Deed};
use crate::domain::credential::{
    CredentialKind, CredentialState, CredentialStep, MAX_USABLE_SECRETS, RevocationReason,
};
use crate::domain::event::EventKind;
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation::Revoked;
use crate::domain::secret::PlainSecret;
use crate::events::data::CredentialRevoked;
use crate::keys::master::{MasterKey, PEPPER_VERSION};
use crate::store::changes::{Change, Subject};
use crate::store::clients::{self as client_rows, Client};
use crate::store::credentials::{self, Credential, Revocation};
use crate::store::{Db, StoreError};

/// A credential, and its secret for the one answer that shows it.
#[derive(Debug)]
pub struct Issued {
    pub credential: Credential,
    pub secret: PlainSecret,
}

/// Issues a secret to an active client that has fewer than two usable ones.
pub fn issue(
    db: &mut Change<'_>,
    master: &MasterKey,
    act: &Act,
    client_id: &ClientId,
    expires_at: Option<Instant>,
) -> Result<Issued, AdminError> {
    let client = hold(db, act, client_id)?;
    let expires_at = end(act, client.realm, expires_at)?;
    if credentials::usable(db, client_id, act.now)?.len() >= MAX_USABLE_SECRETS {
        let detail = "the client has two usable secrets; revoke one first";
        return Err(AdminError::conflict("too_many_credentials", detail));
    }
    let issued = make(master, act, &client, expires_at)?;
    credentials::insert(db, &issued.credential)?;
    db.touch(Subject::Client(client_id.clone()));
    let deed = deed(Action::CredentialIssued, &issued.credential.id, &client);
    act.record(db, deed)?;
    Ok(issued)
}

/// Holds an active client: two who count its secrets and then add one queue here, and the
/// second counts the first's.
pub(super) fn hold(
    db: &mut Change<'_>,
    act: &Act,
    client_id: &ClientId,
) -> Result<Client, AdminError> {
    let held = client_rows::hold_active(db, client_id, act.now)?;
    let client = clients::get(db, client_id)?;
    if held {
        Ok(client)
    } else {
        let detail = format!("the client is {}", client.state);
        Err(AdminError::conflict("client_not_active", detail))
    }
}

/// When a new secret ends: as asked for, or as late as a secret of the realm may.
pub(super) fn end(
    act: &Act,
    realm: Realm,
    asked: Option<Instant>,
) -> Result<Option<Instant>, AdminError> {
    let longest = act.policy.secret_age(realm);
    let latest = longest.map(|age| act.now.plus(age));
    match (asked, longest) {
        (Some(end), _) if end <= act.now => {
            Err(AdminError::invalid("/expires_at", "must lie in the future"))
        }
        (Some(end), Some(age)) if Some(end) > latest => {
            Err(AdminError::invalid("/expires_at", too_late(realm, age)))
        }
        (Some(end), _) => Ok(Some(end)),
        (None, _) => Ok(latest),
    }
}

fn too_late(realm: Realm, age: Duration) -> String {
    let days = age.as_secs() / (24 * 3600);
    format!("must lie at most {days} days ahead: a secret in {realm} lives no longer")
}

/// A new secret with its credential, which is not on record yet.
pub(super) fn make(
    master: &MasterKey,
    act: &Act,
    client: &Client,
    expires_at: Option<Instant>,
) -> Result<Issued, rand::rngs::SysError> {
    let secret = PlainSecret::generate(client.realm)?;
    let credential = Credential {
        id: CredentialId::generate(act.now),
        client_id: client.id.clone(),
        kind: CredentialKind::Secret,
        secret_hash: master.hash_secret(secret.expose().as_bytes()),
        pepper_version: PEPPER_VERSION,
        hint: secret.hint(),
        state: CredentialState::Active,
        expires_at,
        accepts_until: None,
        created_by: act.actor.to_string(),
        created_at: act.now,
        revoked_at: None,
        revoked_by: None,
        revoked_reason: None,
        revoked_note: None,
        replaced_by: None,
        first_used_at: None,
        last_used_at: None,
        use_count: 0,
        last_used_ip: None,
    };
    Ok(Issued { credential, secret })
}

/// A credential by id.
pub fn get(db: &mut Db, id: &CredentialId) -> Result<Credential, AdminError> {
    credentials::find(db, id)?.ok_or(AdminError::NotFound)
}

/// In which realm a credential authenticates. `None`: unknown.
pub fn realm_of(db: &mut Db, id: &CredentialId) -> Result<Option<Realm>, StoreError> {
    let found = credentials::find(db, id)?;
    Ok(found.map(|credential| credential.client_id.realm()))
}

/// Revokes a credential: from the answer on, it gets no more tokens.
///
/// What is compromised takes with it what was rotated out of it by the client itself:
/// whoever held the old secret could have done that. So it does where it was revoked already.
pub fn revoke(
    db: &mut Change<'_>,
    act: &Act,
    id: &CredentialId,
    reason: RevocationReason,
    note: Option<String>,
) -> Result<Credential, AdminError> {
    let (revocation, before) = (act.revocation(reason, note), get(db, id)?);
    let client = clients::get(db, &before.client_id)?;
    let is_compromised = reason == RevocationReason::Compromised;
    let is_news = end_one(db, act, &client, id, &revocation)?;
    let heirs = if is_compromised {
        revoke_offspring(db, act, &client, &before, &revocation)?
    } else {
        0
    };
    let credential = get(db, id)?;
    if !is_news && heirs == 0 {
        return Err(AdminError::illegal::<CredentialStep>(
            "the credential",
            credential.state,
        ));
    }
    Ok(credential)
}

/// Revokes a credential because somebody asks for it. The last one of the last operator who can make others stays,
/// unless it is compromised.
pub fn revoke_on_request(
    db: &mut Change<'_>,
    act: &Act,
    id: &CredentialId,
    reason: RevocationReason,
    note: Option<String>,
) -> Result<Credential, AdminError> {
    if reason != RevocationReason::Compromised {
        leave_one_to_operators(db, act, id)?;
    }
    revoke(db, act, id, reason, note)
}

/// Revokes a credential that was of no use any more, and leaves what came after it: that may be its owner's own.
/// `false`: it was revoked already.
pub(super) fn revoke_alone(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    id: &CredentialId,
    note: String,
) -> Result<bool, AdminError> {
    let revocation = act.revocation(RevocationReason::Compromised, Some(note));
    end_one(db, act, client, id, &revocation)
}

/// Revokes what a client put in the place of a compromised credential that is revoked already.
pub(super) fn revoke_heirs(
    db: &mut Change<'_>,
    act: &Act,
    compromised: &Credential,
) -> Result<(), AdminError> {
    let client = clients::get(db, &compromised.client_id)?;
    let revocation = act.revocation(RevocationReason::Compromised, None);
    revoke_offspring(db, act, &client, compromised, &revocation)?;
    Ok(())
}

/// Revokes this one alone. `false`: it was revoked already.
fn end_one(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    id: &CredentialId,
    revocation: &Revocation,
) -> Result<bool, AdminError> {
    if !credentials::revoke(db, id, revocation)? {
        return Ok(false);
    }
    let reason = revocation.reason;
    let done = deed(Action::CredentialRevoked, id, client).detail("reason", reason.as_str());
    announce(db, act, client, id, reason, done)?;
    Ok(true)
}

/// Refuses to take the last secret of the last operator who can make operators.
pub(super) fn leave_one_to_operators(
    db: &mut Change<'_>,
    act: &Act,
    id: &CredentialId,
) -> Result<(), AdminError> {
    let credential = get(db, id)?;
    let client = clients::get(db, &credential.client_id)?;
    if !last_operator::makes_operators(&client) {
        return Ok(());
    }
    let usable = credentials::usable(db, &client.id, act.now)?;
    if usable.iter().all(|credential| credential.id == *id) {
        last_operator::leave_one(db, &client, act.now)?;
    }
    Ok(())
}

/// Revokes what a client put in a credential's place by itself, and in the place of that; answers how many.
fn revoke_offspring(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    compromised: &Credential,
    revocation: &Revocation,
) -> Result<usize, AdminError> {
    let mut revoked = 0;
    // A successor is always made after the credential that it replaces, so this comes to an end.
    let mut next = compromised.replaced_by.clone();
    while let Some(id) = next {
        let heir = get(db, &id)?;
        if heir.created_by != client.id.as_str() {
            break;
        }
        if credentials::revoke(db, &id, revocation)? {
            let done = deed(Action::CredentialRevoked, &id, client)
                .detail("reason", revocation.reason.as_str())
                .detail("because_of", compromised.id.as_str());
            announce(db, act, client, &id, revocation.reason, done)?;
            revoked += 1;
        }
        next = heir.replaced_by;
    }
    Ok(revoked)
}

/// What follows where a credential was revoked: its tokens die, nodes hear of it, the deed is
/// put on record, and the partner is told.
pub(super) fn announce(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    id: &CredentialId,
    reason: RevocationReason,
    deed: Deed,
) -> Result<(), StoreError> {
    db.touch(Subject::Client(client.id.clone()));
    delivery::cancel(db, act, id)?;
    let revoked = Revoked::Credential(id.clone());
    act.revoke(db, client.realm, revoked, reason.as_str())?;
    act.record(db, deed)?;
    tell(
        db,
        act,
        client,
        EventKind::CredentialRevoked,
        &about_revoked(client, id, reason),
    )
}

/// What a partner is told of a credential that is revoked.
pub(super) fn about_revoked(
    client: &Client,
    id: &CredentialId,
    reason: RevocationReason,
) -> serde_json::Value {
    json!(CredentialRevoked {
        credential_id: id.clone(),
        client_id: client.id.clone(),
        reason,
        revoked_at: None,
        leaked: None,
    })
}

/// Tells the client's partner; resource servers and operators have none.
pub(super) fn tell(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    kind: EventKind,
    about: &serde_json::Value,
) -> Result<(), StoreError> {
    match &client.partner_id {
        Some(partner) => act.tell(db, partner, client.realm, kind, about),
        None => Ok(()),
    }
}

/// A deed on a credential of a client.
pub(super) fn deed(action: Action, id: &CredentialId, client: &Client) -> Deed {
    Deed::new(action, id)
        .partner_if(client.partner_id.as_ref())
        .realm(client.realm)
        .detail("client_id", client.id.as_str())
}

impl Act {
    /// Who revokes, when and why.
    pub(super) fn revocation(&self, reason: RevocationReason, note: Option<String>) -> Revocation {
        Revocation {
            at: self.now,
            by: self.actor.to_string(),
            reason,
            note,
        }
    }
}
