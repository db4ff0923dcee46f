//! Credentials: issued, shown once, revoked.

use super::{Act, AdminError, clients, delivery};
use crate::audit::{Action, Deed};
use crate::domain::credential::{
    CredentialKind, CredentialState, CredentialStep, MAX_USABLE_SECRETS, RevocationReason,
};
use crate::domain::event::EventKind;
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::revocation::Revoked;
use crate::domain::secret::PlainSecret;
use crate::keys::master::{MasterKey, PEPPER_VERSION};
use crate::store::changes::{Change, Subject};
use crate::store::clients as client_rows;
use crate::store::credentials::{self, Credential, Revocation};

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
    let now = act.now;
    // Held first: two operators who issue at once queue here, and the second counts the first's.
    let held = client_rows::hold_active(db, client_id, now)?;
    let client = clients::get(db, client_id)?;
    if !held {
        return Err(AdminError::conflict(
            "client_not_active",
            format!("the client is {}", client.state),
        ));
    }
    if expires_at.is_some_and(|end| end <= now) {
        return Err(AdminError::invalid("/expires_at", "must lie in the future"));
    }
    let usable = credentials::unrevoked(db, client_id)?
        .iter()
        .filter(|c| c.validity().is_usable(now))
        .count();
    if usable >= MAX_USABLE_SECRETS {
        let detail = "the client has two usable secrets; revoke one first";
        return Err(AdminError::conflict("too_many_credentials", detail));
    }
    let secret = PlainSecret::generate(client.realm)?;
    let credential = Credential {
        id: CredentialId::generate(now),
        client_id: client_id.clone(),
        kind: CredentialKind::Secret,
        secret_hash: master.hash_secret(secret.expose().as_bytes()),
        pepper_version: PEPPER_VERSION,
        hint: secret.hint(),
        state: CredentialState::Active,
        expires_at,
        accepts_until: None,
        created_by: act.actor.to_string(),
        created_at: now,
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
    credentials::insert(db, &credential)?;
    db.touch(Subject::Client(client_id.clone()));
    let deed = Deed::new(Action::CredentialIssued, &credential.id)
        .partner_if(client.partner_id.as_ref())
        .realm(client.realm)
        .detail("client_id", client_id.as_str());
    act.record(db, deed)?;
    Ok(Issued { credential, secret })
}

/// Revokes a credential: from the answer on, it gets no more tokens.
pub fn revoke(
    db: &mut Change<'_>,
    act: &Act,
    id: &CredentialId,
    reason: RevocationReason,
    note: Option<String>,
) -> Result<Credential, AdminError> {
    let revocation = Revocation {
        at: act.now,
        by: act.actor.to_string(),
        reason,
        note,
    };
    let revoked = credentials::revoke(db, id, &revocation)?;
    let credential = credentials::find(db, id)?.ok_or(AdminError::NotFound)?;
    if !revoked {
        return Err(AdminError::illegal::<CredentialStep>(
            "the credential",
            credential.state,
        ));
    }
    let client = clients::get(db, &credential.client_id)?;
    db.touch(Subject::Client(client.id.clone()));
    delivery::cancel(db, act, id)?;
    act.revoke(
        db,
        client.realm,
        Revoked::Credential(id.clone()),
        reason.as_str(),
    )?;
    let about =
        serde_json::json!({ "credential_id": id, "client_id": client.id, "reason": reason });
    if let Some(partner) = &client.partner_id {
        act.tell(
            db,
            partner,
            client.realm,
            EventKind::CredentialRevoked,
            &about,
        )?;
    }
    let deed = Deed::new(Action::CredentialRevoked, id)
        .partner_if(client.partner_id.as_ref())
        .realm(client.realm)
        .detail("client_id", client.id.as_str())
        .detail("reason", reason.as_str());
    act.record(db, deed)?;
    Ok(credential)
}
