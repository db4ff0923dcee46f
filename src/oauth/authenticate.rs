//! Client authentication with a secret.
//!
//! Unknown client, wrong secret, suspended client, revoked and expired credential, and an
//! address that is not on the client's list answer alike and cost alike: always one HMAC and two constant-time comparisons.

use std::net::IpAddr;
use std::sync::Arc;

use crate::directory::{Directory, Entry, Held, Marks};
use crate::domain::credential::MAX_USABLE_SECRETS;
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::keys::master::{MasterKey, same_hash};

use super::refusal::Refusal;

/// A client that proved who it is, and with what.
#[derive(Debug)]
pub struct Authenticated {
    /// The client and what it holds.
    pub entry: Arc<Entry>,
    /// The credential that it showed.
    pub credential_id: CredentialId,
    /// When that credential stops by itself, if ever.
    pub credential_ends_at: Option<Instant>,
    /// What is known of its use.
    pub marks: Arc<Marks>,
}

/// Finds the client of this realm and compares the secret with its usable credentials.
pub async fn authenticate(
    directory: &Directory,
    master: &MasterKey,
    realm: Realm,
    client_id: &str,
    secret: &[u8],
    from: Option<IpAddr>,
    now: Instant,
) -> Result<Authenticated, Refusal> {
    // What is no id of this realm is nobody's: the form alone says so, to anybody.
    let id = client_id
        .parse::<ClientId>()
        .ok()
        .filter(|id| id.realm() == realm);
    let entry = match id {
        Some(id) => directory.client(realm, id, now).await?,
        None => None,
    };
    let shown = matching(master, entry.as_deref(), secret, now).map(|held| {
        (
            held.id.clone(),
            held.validity().ends_at(),
            Arc::clone(&held.marks),
        )
    });
    match (entry, shown) {
        (Some(entry), Some((credential_id, credential_ends_at, marks))) if entry.is_active(now) => {
            if !entry.may_call_from(from) {
                return Err(Refusal::WrongAddress);
            }
            Ok(Authenticated {
                entry,
                credential_id,
                credential_ends_at,
                marks,
            })
        }
        _ => Err(Refusal::InvalidClient),
    }
}

/// The usable credential that the secret belongs to.
fn matching<'a>(
    master: &MasterKey,
    entry: Option<&'a Entry>,
    secret: &[u8],
    now: Instant,
) -> Option<&'a Held> {
    let shown = master.hash_secret(secret);
    let nobody = master.no_secret();
    let held = entry.map(|e| e.credentials.as_slice()).unwrap_or_default();
    let mut usable = held.iter().filter(|c| c.validity().is_usable(now));
    let mut found = None;
    for _ in 0..MAX_USABLE_SECRETS {
        let candidate = usable.next();
        let is_same = same_hash(&shown, candidate.map_or(nobody, |c| &c.secret_hash));
        if is_same && let Some(credential) = candidate {
            found = Some(credential);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::{ClientKind, ClientState};
    use crate::domain::credential::{CredentialKind, CredentialState};
    use crate::keys::master::tests::master;
    use crate::store::clients::Client;
    use crate::store::credentials::Credential;

    fn at(seconds: i64) -> Instant {
        Instant::from_epoch_seconds(1_800_000_000 + seconds)
    }

    fn credential(client: &ClientId, secret: &str) -> Credential {
        Credential {
            id: CredentialId::generate(at(0)),
            client_id: client.clone(),
            kind: CredentialKind::Secret,
            secret_hash: master(1).hash_secret(secret.as_bytes()),
            pepper_version: 1,
            hint: String::new(),
            state: CredentialState::Active,
            expires_at: None,
            accepts_until: None,
            created_by: String::new(),
            created_at: at(0),
            revoked_at: None,
            revoked_by: None,
            revoked_reason: None,
            revoked_note: None,
            replaced_by: None,
            first_used_at: None,
            last_used_at: None,
            use_count: 0,
            last_used_ip: None,
        }
    }

    fn entry(change: impl FnOnce(&mut Vec<Credential>)) -> Entry {
        let id = ClientId::generate(Realm::Sandbox, at(0));
        let mut credentials = vec![credential(&id, "one"), credential(&id, "two")];
        change(&mut credentials);
        let client = Client {
            id,
            realm: Realm::Sandbox,
            kind: ClientKind::Partner,
            partner_id: None,
            resource_server_id: None,
            name: String::new(),
            state: ClientState::Active,
            scopes: Default::default(),
            default_scopes: None,
            token_ttl: None,
            expires_at: None,
            created_by: String::new(),
            created_at: at(0),
            updated_at: at(0),
            ip_allowlist: None,
            self_rotation: None,
        };
        Entry::new(client, credentials, Vec::new(), true, Vec::new())
    }

    fn found(entry: &Entry, secret: &str) -> Option<CredentialId> {
        matching(&master(1), Some(entry), secret.as_bytes(), at(10)).map(|c| c.id.clone())
    }

    #[test]
    fn either_of_two_usable_secrets_is_accepted() {
        let entry = entry(|_| {});
        assert_eq!(
            found(&entry, "one").as_ref(),
            Some(&entry.credentials[0].id)
        );
        assert_eq!(
            found(&entry, "two").as_ref(),
            Some(&entry.credentials[1].id)
        );
        assert_eq!(found(&entry, "three"), None);
        assert_eq!(found(&entry, ""), None);
    }

    #[test]
    fn an_expired_or_overlapped_secret_is_not() {
        let entry = entry(|held| {
            held[0].expires_at = Some(at(10));
            held[1].state = CredentialState::Rotated;
            held[1].accepts_until = Some(at(10));
        });
        assert_eq!((found(&entry, "one"), found(&entry, "two")), (None, None));
    }

    #[test]
    fn an_unusable_secret_does_not_hide_a_usable_one() {
        let entry = entry(|held| {
            let mut old = held[0].clone();
            old.expires_at = Some(at(1));
            held.splice(0..0, [old.clone(), old]);
        });
        assert!(found(&entry, "two").is_some());
    }

    #[test]
    fn the_stand_in_for_no_secret_matches_nothing() {
        assert!(matching(&master(1), None, b"", at(0)).is_none());
    }
}
