//! Rotation: a new secret, and a while in which the old one is accepted beside it.

use std::time::Duration;

use serde_json::json;

use super::credentials::{self, Issued, announce, deed, tell};
use super::{Act, AdminError, clients};
use crate::audit::Action;
use crate::domain::credential::{
    CredentialState, CredentialStep, MAX_USABLE_SECRETS, RevocationReason,
};
use crate::domain::event::EventKind;
use crate::domain::id::CredentialId;
use crate::domain::instant::Instant;
use crate::domain::revocation::Revoked;
use crate::events::data::CredentialRotated;
use crate::keys::MasterKey;
use crate::store::changes::{Change, Subject};
use crate::store::clients::Client;
use crate::store::credentials::{self as rows, Credential};
use crate::store::{StoreError, rotations};

/// The overlap where nobody says otherwise, in seconds.
pub const OVERLAP: i32 = 24 * 3600;
/// The longest overlap, in seconds.
pub const LONGEST_OVERLAP: i32 = 7 * 24 * 3600;

/// How a credential is to be rotated.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// How long the old secret is accepted; none: it ends at once, and its tokens with it.
    pub overlap: Duration,
    /// When the new secret ends; `None`: as late as it may.
    pub expires_at: Option<Instant>,
}

/// A new secret in the place of an old one.
#[derive(Debug)]
pub struct Rotated {
    pub issued: Issued,
    /// The one that it supersedes.
    pub replaces: CredentialId,
    /// Until when that one is accepted.
    pub accepts_until: Instant,
}

/// Issues a secret in the place of an active one.
pub fn rotate(
    db: &mut Change<'_>,
    master: &MasterKey,
    act: &Act,
    id: &CredentialId,
    rotation: Rotation,
) -> Result<Rotated, AdminError> {
    let old = credentials::get(db, id)?;
    let client = credentials::hold(db, act, &old.client_id)?;
    // Read again: whoever rotated it just now was waited for.
    let old = credentials::get(db, id)?;
    let illegal = |state| AdminError::illegal::<CredentialStep>("the credential", state);
    if old.state != CredentialState::Active {
        return Err(illegal(old.state));
    }
    let expires_at = credentials::end(act, client.realm, rotation.expires_at)?;
    if rows::usable(db, &client.id, act.now)?.len() >= MAX_USABLE_SECRETS {
        return Err(AdminError::conflict(
            "too_many_credentials",
            "the client has two usable secrets; finish its rotation, or revoke one, first",
        ));
    }
    let issued = credentials::make(master, act, &client, expires_at)?;
    match supersede(db, act, &client, &old, issued, rotation.overlap)? {
        Some(rotated) => Ok(rotated),
        None => Err(illegal(credentials::get(db, id)?.state)),
    }
}

/// Puts a new credential on record in the place of an old one. `None`: the old one is not active.
pub(super) fn supersede(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    old: &Credential,
    issued: Issued,
    overlap: Duration,
) -> Result<Option<Rotated>, StoreError> {
    let until = act.now.plus(overlap);
    // An overlap lets nothing live longer than it would have.
    let accepts_until = old.expires_at.map_or(until, |end| end.min(until));
    rows::insert(db, &issued.credential)?;
    if !rotations::supersede(db, &old.id, &issued.credential.id, accepts_until)? {
        return Ok(None);
    }
    if overlap.is_zero() {
        let revoked = Revoked::Credential(old.id.clone());
        let reason = RevocationReason::Superseded.as_str();
        act.revoke(db, client.realm, revoked, reason)?;
    }
    let rotated = Rotated {
        replaces: old.id.clone(),
        accepts_until,
        issued,
    };
    put_on_record(db, act, client, &rotated)?;
    Ok(Some(rotated))
}

/// Nodes hear of a rotation, it is put on record, and the partner is told.
pub(super) fn put_on_record(
    db: &mut Change<'_>,
    act: &Act,
    client: &Client,
    rotated: &Rotated,
) -> Result<(), StoreError> {
    let new = &rotated.issued.credential.id;
    let until = rotated.accepts_until.to_string();
    db.touch(Subject::Client(client.id.clone()));
    let done = deed(Action::CredentialRotated, &rotated.replaces, client)
        .detail("replaced_by", new.as_str())
        .detail("accepts_until", until.as_str());
    act.record(db, done)?;
    let about = json!(CredentialRotated {
        credential_id: new.clone(),
        replaces: rotated.replaces.clone(),
        client_id: client.id.clone(),
        accepts_until: rotated.accepts_until,
        rotated_by: act.actor.to_string(),
    });
    tell(db, act, client, EventKind::CredentialRotated, &about)
}

/// Ends an overlap early: the superseded credential is revoked, and its tokens die.
pub fn finish(db: &mut Change<'_>, act: &Act, id: &CredentialId) -> Result<Credential, AdminError> {
    // Its successor may be revoked by now.
    credentials::leave_one_to_operators(db, act, id)?;
    let reason = RevocationReason::Superseded;
    let finished = rotations::finish(db, id, &act.revocation(reason, None))?;
    let old = credentials::get(db, id)?;
    if !finished {
        return Err(AdminError::illegal::<CredentialStep>(
            "the credential",
            old.state,
        ));
    }
    let client = clients::get(db, &old.client_id)?;
    let replaced_by = old.replaced_by.as_ref().map(CredentialId::as_str);
    let done =
        deed(Action::CredentialRotationFinished, id, &client).detail("replaced_by", replaced_by);
    announce(db, act, &client, id, reason, done)?;
    Ok(old)
}

/// Makes a superseded credential active again and revokes its successor, while nobody has used
/// that one and the overlap lasts.
pub fn undo(db: &mut Change<'_>, act: &Act, id: &CredentialId) -> Result<Credential, AdminError> {
    let old = credentials::get(db, id)?;
    let client = clients::get(db, &old.client_id)?;
    if !rotations::undo(db, id, act.now)? {
        let old = credentials::get(db, id)?;
        return Err(if old.state == CredentialState::Rotated {
            let detail =
                "the overlap is over: the old secret is not accepted any more; issue a new one";
            AdminError::barred(
                "overlap_ended",
                detail,
                old.state,
                &[CredentialState::Revoked],
            )
        } else {
            AdminError::illegal::<CredentialStep>("the credential", old.state)
        });
    }
    if let Some(successor) = &old.replaced_by {
        let reason = RevocationReason::Superseded;
        if rotations::revoke_unused(db, successor, &act.revocation(reason, None))? {
            let done = deed(Action::CredentialRevoked, successor, &client)
                .detail("reason", "rotation undone");
            announce(db, act, &client, successor, reason, done)?;
        } else if let new = credentials::get(db, successor)?
            && new.first_used_at.is_some()
        {
            // An error takes the first step back too.
            let detail = if new.state == CredentialState::Revoked {
                "the new secret was used, and is revoked since: do not finish the rotation, for the old secret is all that the client has; issue another before its overlap ends"
            } else {
                "the new secret has been used already: whoever uses it would be locked out; finish the rotation instead"
            };
            return Err(AdminError::barred(
                "successor_used",
                detail,
                CredentialState::Rotated,
                &[CredentialState::Revoked],
            ));
        }
    }
    db.touch(Subject::Client(client.id.clone()));
    let successor = old.replaced_by.as_ref().map(CredentialId::as_str);
    let done = deed(Action::CredentialRotationUndone, id, &client).detail("revoked", successor);
    act.record(db, done)?;
    credentials::get(db, id)
}
