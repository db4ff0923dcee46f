//! How an issued secret reaches who it is for: in the answer, by a link that opens once, or
//! encrypted to the recipient's key.
//!
//! What travels by link or encrypted is never seen by the operator, and never kept in a form
//! that the server could open.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Act, AdminError, credentials};
use crate::audit::{Action, Deed};
use crate::domain::credential::{CredentialState, RevocationReason};
use crate::domain::delivery::{Channel, DeliveryState};
use crate::domain::id::{CredentialId, DeliveryId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::secret::PlainSecret;
use crate::keys::link::{LinkKey, Proof};
use crate::keys::recipient::Recipient;
use crate::store::changes::Change;
use crate::store::credentials::Credential;
use crate::store::secret_deliveries::{self, SecretDelivery};
use crate::store::{Db, StoreError, clients, credentials as credential_rows};

/// By which way a secret is wanted.
#[derive(Debug)]
pub enum Way {
    /// In the answer.
    Response,
    /// By a link that waits so long.
    Link(Duration),
    /// Encrypted to this key.
    Jwe(Box<Recipient>),
}

/// What the one answer shows.
#[derive(Debug)]
pub enum Delivered {
    /// The secret itself.
    Secret(PlainSecret),
    /// What the link is made of, and until when it opens.
    Link {
        /// Names the delivery.
        id: DeliveryId,
        /// Stands in the fragment.
        key: LinkKey,
        /// Then the credential is revoked.
        expires_at: Instant,
    },
    /// A compact JWE.
    Jwe(String),
}

/// Delivers a secret that was issued in this transaction.
pub fn deliver(
    db: &mut Change<'_>,
    act: &Act,
    credential: &Credential,
    secret: PlainSecret,
    way: Way,
) -> Result<Delivered, AdminError> {
    let client = super::clients::get(db, &credential.client_id)?;
    let sent = |channel: Channel| {
        Deed::new(Action::SecretDeliveryCreated, &credential.id)
            .partner_if(client.partner_id.as_ref())
            .realm(client.realm)
            .detail("deliver", channel.as_str())
    };
    match way {
        Way::Response => Ok(Delivered::Secret(secret)),
        Way::Link(lasts) => {
            let (id, key) = (DeliveryId::generate()?, LinkKey::generate()?);
            // A link to a secret that has ended would only disappoint.
            let end = credential.validity().ends_at();
            let expires_at = end.into_iter().fold(act.now.plus(lasts), Ord::min);
            let row = SecretDelivery {
                id: id.clone(),
                credential_id: credential.id.clone(),
                state: DeliveryState::Pending,
                proof_hash: key.proof(&id)?.hash(),
                ciphertext: Some(key.seal(&id, &letter(credential, &secret))?),
                lookups: 0,
                created_at: act.now,
                expires_at,
                opened_at: None,
                opened_ip: None,
            };
            secret_deliveries::insert(db, &row)?;
            act.record(
                db,
                sent(Channel::Link).detail("expires_at", expires_at.to_string()),
            )?;
            Ok(Delivered::Link {
                id,
                key,
                expires_at,
            })
        }
        Way::Jwe(recipient) => {
            let jwe = recipient.encrypt(&letter(credential, &secret))?;
            act.record(
                db,
                sent(Channel::Jwe).detail("recipient_jkt", recipient.thumbprint()),
            )?;
            Ok(Delivered::Jwe(jwe))
        }
    }
}

/// What the recipient reads: all that is needed to use the secret.
fn letter(credential: &Credential, secret: &PlainSecret) -> Zeroizing<Vec<u8>> {
    let (client, id) = (credential.client_id.as_str(), credential.id.as_str());
    // Ids and secrets have no character that JSON would escape; no copy stays in memory.
    let text = format!(
        r#"{{"client_id":"{client}","credential_id":"{id}","client_secret":"{}"}}"#,
        secret.expose()
    );
    Zeroizing::new(text.into_bytes())
}

/// What its page says of a delivery.
#[derive(Debug)]
pub struct Notice {
    pub credential_id: CredentialId,
    pub realm: Realm,
    pub expires_at: Instant,
}

/// What the page of a delivery says, whatever has become of it. `None`: there is none in these realms.
pub fn notice(
    db: &mut Db,
    realms: &[Realm],
    id: &DeliveryId,
) -> Result<Option<Notice>, StoreError> {
    let found = secret_deliveries::find(db, realms, id)?;
    Ok(found.map(|(delivery, realm)| Notice {
        credential_id: delivery.credential_id,
        realm,
        expires_at: delivery.expires_at,
    }))
}

/// A delivery whose link somebody holds.
#[derive(Clone, Debug)]
pub struct Held {
    delivery: SecretDelivery,
    realm: Realm,
}

/// Makes sure that who asks holds the link. `None`: there is no such delivery, or he does not.
pub fn prove(
    db: &mut Db,
    realms: &[Realm],
    id: &DeliveryId,
    proof: &Proof,
) -> Result<Option<Held>, StoreError> {
    let found = secret_deliveries::find(db, realms, id)?;
    let known = found.as_ref().map(|(delivery, _)| &delivery.proof_hash);
    if !proof.proves(known) {
        return Ok(None);
    }
    Ok(found.map(|(delivery, realm)| Held { delivery, realm }))
}

/// What came of asking for the secret.
#[derive(Debug)]
pub enum Opening {
    /// It is handed over, this once.
    Opened(Letter),
    /// It was handed over before.
    OpenedBefore(Instant),
    /// It was handed over before, and is revoked by now with all that came of it.
    RevokedSince(Instant),
    /// Its time had come first.
    Expired(Instant),
    /// The credential was revoked first.
    Cancelled,
}

/// A sealed secret, for who holds the key.
#[derive(Debug)]
pub struct Letter {
    pub credential_id: CredentialId,
    pub realm: Realm,
    pub ciphertext: String,
}

/// Hands the sealed secret to who holds its link, once; past its end, ends it instead.
pub fn open(db: &mut Change<'_>, act: &Act, held: &Held) -> Result<Opening, AdminError> {
    let id = &held.delivery.id;
    // A ciphertext is written once and only ever deleted, so it may be read before: who wins
    // the UPDATE is the only one to be handed it.
    let (before, _) =
        secret_deliveries::find(db, &[held.realm], id)?.ok_or(AdminError::NotFound)?;
    if secret_deliveries::open(db, id, act.actor.source_ip(), act.now)?
        && let Some(ciphertext) = before.ciphertext.clone()
    {
        let deed = deed(db, Action::SecretDeliveryOpened, &before)?;
        act.record(db, deed)?;
        return Ok(Opening::Opened(Letter {
            credential_id: before.credential_id,
            realm: held.realm,
            ciphertext,
        }));
    }
    if expire(db, &act.by_policy(), id)? {
        return Ok(Opening::Expired(before.expires_at));
    }
    let (after, _) = secret_deliveries::find(db, &[held.realm], id)?.ok_or(AdminError::NotFound)?;
    Ok(match (after.state, after.opened_at) {
        (DeliveryState::Opened, Some(at)) if is_over(db, &after.credential_id)? => {
            Opening::RevokedSince(at)
        }
        (DeliveryState::Opened, Some(at)) => Opening::OpenedBefore(at),
        (DeliveryState::Expired, _) => Opening::Expired(after.expires_at),
        // Pending, and yet not to be opened: its credential is revoked.
        _ => Opening::Cancelled,
    })
}

/// Whether who holds the link has nothing left to revoke: the credential is revoked, and so is what
/// its client put in its place by itself, as whoever opened the link could have done.
fn is_over(db: &mut Db, id: &CredentialId) -> Result<bool, AdminError> {
    let mut last = credentials::get(db, id)?;
    while last.state == CredentialState::Revoked {
        let Some(next) = last.replaced_by else {
            return Ok(true);
        };
        last = credentials::get(db, &next)?;
        if last.created_by != last.client_id.as_str() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Revokes the credential, because who holds the link says that somebody else opened it.
/// Where it is revoked already, nothing is left to do.
pub fn disown(db: &mut Change<'_>, act: &Act, held: &Held) -> Result<Credential, AdminError> {
    let note = "revoked by who holds the link to its secret";
    let id = &held.delivery.credential_id;
    revoke(db, act, id, RevocationReason::Compromised, note)
}

/// Ends a delivery that nobody opened in time, and revokes its credential.
/// `false`: it is not pending, or has time left.
pub fn expire(db: &mut Change<'_>, act: &Act, id: &DeliveryId) -> Result<bool, AdminError> {
    if !secret_deliveries::expire(db, id, act.now)? {
        return Ok(false);
    }
    let found = secret_deliveries::find(db, Realm::ALL, id)?;
    let (delivery, _) = found.ok_or(AdminError::NotFound)?;
    let deed = deed(db, Action::SecretDeliveryExpired, &delivery)?;
    act.record(db, deed)?;
    let note = "its link was not opened in time";
    let credential = &delivery.credential_id;
    revoke(db, act, credential, RevocationReason::Unused, note)?;
    Ok(true)
}

/// Cancels what is on its way for a credential that is revoked.
pub fn cancel(db: &mut Change<'_>, act: &Act, credential: &CredentialId) -> Result<(), StoreError> {
    if secret_deliveries::cancel(db, credential)? > 0 {
        let deed = about(db, Action::SecretDeliveryCancelled, credential)?;
        act.record(db, deed)?;
    }
    Ok(())
}

fn revoke(
    db: &mut Change<'_>,
    act: &Act,
    id: &CredentialId,
    reason: RevocationReason,
    note: &str,
) -> Result<Credential, AdminError> {
    match credentials::revoke(db, act, id, reason, Some(note.to_owned())) {
        // Somebody was quicker: what was wanted is so.
        Err(AdminError::Illegal { .. }) => {
            let credential = credential_rows::find(db, id)?.ok_or(AdminError::NotFound)?;
            debug_assert_eq!(credential.state, CredentialState::Revoked);
            Ok(credential)
        }
        done => done,
    }
}

fn deed(db: &mut Db, action: Action, delivery: &SecretDelivery) -> Result<Deed, StoreError> {
    let deed = about(db, action, &delivery.credential_id)?;
    Ok(deed.detail("lookups", delivery.lookups))
}

/// Deliveries are on record under their credential: what happened to it reads in one place.
fn about(db: &mut Db, action: Action, credential: &CredentialId) -> Result<Deed, StoreError> {
    let deed = Deed::new(action, credential);
    let Some(credential) = credential_rows::find(db, credential)? else {
        return Ok(deed);
    };
    let client = clients::find(db, &credential.client_id)?;
    let partner = client
        .as_ref()
        .and_then(|client| client.partner_id.as_ref());
    Ok(deed
        .partner_if(partner)
        .realm(credential.client_id.realm())
        .detail("client_id", credential.client_id.as_str()))
}
