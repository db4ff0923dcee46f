//! Credentials: issued, shown once, revoked.

use super::{Actor, AdminError, clients};
use crate::domain::credential::{
    CredentialKind, CredentialState, MAX_USABLE_SECRETS, RevocationReason,
};
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
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
    actor: &Actor,
    client_id: &ClientId,
    expires_at: Option<Instant>,
    now: Instant,
) -> Result<Issued, AdminError> {
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
        created_by: actor.to_string(),
        created_at: now,
        revoked_at: None,
        revoked_by: None,
        revoked_reason: None,
        revoked_note: None,
    };
    credentials::insert(db, &credential)?;
    db.touch(Subject::Client(client_id.clone()));
    log::info!(
        "credential {} issued to {client_id}, by {actor}",
        credential.id
    );
    Ok(Issued { credential, secret })
}

/// Revokes a credential: from the answer on, it gets no more tokens.
pub fn revoke(
    db: &mut Change<'_>,
    actor: &Actor,
    id: &CredentialId,
    reason: RevocationReason,
    note: Option<String>,
    now: Instant,
) -> Result<Credential, AdminError> {
    let revocation = Revocation {
        at: now,
        by: actor.to_string(),
        reason,
        note,
    };
    let revoked = credentials::revoke(db, id, &revocation)?;
    let credential = credentials::find(db, id)?.ok_or(AdminError::NotFound)?;
    if revoked {
        db.touch(Subject::Client(credential.client_id.clone()));
        log::info!("credential {id} revoked as {reason}, by {actor}");
        Ok(credential)
    } else {
        Err(AdminError::illegal("the credential", credential.state, &[]))
    }
}
