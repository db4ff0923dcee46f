//! A client rotates the secret that it authenticates with, so that no operator has to see it.
//!
//! While the new secret is unused a repeat replaces it: an answer that was lost locks nobody
//! out. Once the new one was used, the old one rotates no more: whoever has only the old one,
//! a thief, cannot push the owner out.

use std::time::Duration;

use super::credentials::{self, announce, deed};
use super::rotation::{OVERLAP, Rotated, put_on_record, supersede};
use super::{Act, AdminError};
use crate::audit::Action;
use crate::domain::client::ClientKind;
use crate::domain::credential::{CredentialState, MAX_USABLE_SECRETS, RevocationReason};
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::realm::Realm;
use crate::keys::MasterKey;
use crate::store::changes::Change;
use crate::store::clients::Client;
use crate::store::credentials::{self as rows, Credential};
use crate::store::{StoreError, clients, credential_uses, rotations};

/// Why a client may not rotate its secret by itself. What it prints is for the client.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The client or the secret ended since it was authenticated.
    #[error("client authentication failed")]
    NotUsable,
    /// The client's operators do not want it.
    #[error("this client does not rotate its secret by itself: ask an operator")]
    Off,
    /// What replaced the secret is in use.
    #[error("this secret was superseded and its successor is in use: rotate with that one")]
    SuccessorUsed,
    /// An operator decided about what replaces the secret.
    #[error("an operator decided about the successor of this secret: ask an operator")]
    SuccessorNotOwn,
    /// There is no room for a third secret.
    #[error(
        "two secrets of this client are usable: wait until the older one ends, or ask an operator to end it"
    )]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no randomness.
    #[error("the system has no randomness to give")]
    Randomness(#[from] rand::rngs::SysError),
}

/// Whether a client rotates its own secret: as it was set; else in the sandbox only.
fn is_on(client: &Client) -> bool {
    let default = client.realm == Realm::Sandbox;
    client.kind != ClientKind::Operator && client.self_rotation.unwrap_or(default)
}

/// Rotates the secret that a client has just authenticated with.
pub fn rotate(
    db: &mut Change<'_>,
    master: &MasterKey,
    act: &Act,
    client_id: &ClientId,
    shown: &CredentialId,
) -> Result<Rotated, Denied> {
    let now = act.now;
    if !clients::hold_active(db, client_id, now)? {
        return Err(Denied::NotUsable);
    }
    let client = clients::find(db, client_id)?.ok_or(Denied::NotUsable)?;
    // Asked of the database: the copy in memory may be from before the last rotation.
    let shown = rows::find(db, shown)?
        .filter(|credential| credential.validity().is_usable(now))
        .ok_or(Denied::NotUsable)?;
    if !is_on(&client) {
        return Err(Denied::Off);
    }
    let expires_at = act.policy.secret_age(client.realm).map(|age| now.plus(age));
    let issued = credentials::make(master, act, &client, expires_at)?;
    let rotated = match (shown.state, &shown.replaced_by) {
        (CredentialState::Rotated, Some(successor)) => {
            let successor = replaceable(db, &client, successor)?;
            rows::insert(db, &issued.credential)?;
            let rotated = Rotated {
                replaces: shown.id.clone(),
                // The first rotation said how long: repeats do not keep the old secret alive.
                accepts_until: shown.accepts_until.unwrap_or(now),
                issued,
            };
            replace(db, act, &client, &successor, &rotated)?;
            rotated
        }
        _ => {
            if rows::usable(db, client_id, now)?.len() >= MAX_USABLE_SECRETS {
                return Err(Denied::TooMany);
            }
            let overlap = Duration::from_secs(OVERLAP.unsigned_abs().into());
            supersede(db, act, &client, &shown, issued, overlap)?.ok_or(Denied::NotUsable)?
        }
    };
    credential_uses::mark_first(db, &[(&rotated.replaces, now)].into())?;
    Ok(rotated)
}

/// A successor that the client made by itself and that nobody has used.
fn replaceable(
    db: &mut Change<'_>,
    client: &Client,
    successor: &CredentialId,
) -> Result<Credential, Denied> {
    let successor = rows::find(db, successor)?.ok_or(Denied::SuccessorNotOwn)?;
    if successor.first_used_at.is_some() {
        Err(Denied::SuccessorUsed)
    } else if successor.created_by != client.id.as_str()
        || successor.state != CredentialState::Active
    {
        Err(Denied::SuccessorNotOwn)
    } else {
        Ok(successor)
    }
}

/// Puts a new successor in the place of one that nobody has used.
fn replace(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    unused: &Credential,
    rotated: &Rotated,
) -> Result<(), Denied> {
    let new = &rotated.issued.credential.id;
    if !rotations::exchange_successor(db, &rotated.replaces, (&unused.id, new))? {
        return Err(Denied::NotUsable);
    }
    let reason = RevocationReason::Superseded;
    if !rotations::revoke_unused(db, &unused.id, &act.revocation(reason, None))? {
        // Its first token was given in this very moment.
        return Err(Denied::SuccessorUsed);
    }
    let done = deed(Action::CredentialRevoked, &unused.id, client)
        .detail("reason", "never used, and rotated again");
    announce(db, act, client, &unused.id, reason, done)?;
    Ok(put_on_record(db, act, client, rotated)?)
}

/// Puts on record that a superseded secret was refused: its owner uses another one by now.
pub fn note_refusal(
    db: &mut Change<'_>,
    act: &Act,
    client_id: &ClientId,
    shown: &CredentialId,
) -> Result<(), AdminError> {
    let client = super::clients::get(db, client_id)?;
    let refused = deed(Action::CredentialRotated, shown, &client)
        .detail("reason", "its successor is in use")
        .refused();
    Ok(act.record(db, refused)?)
}
