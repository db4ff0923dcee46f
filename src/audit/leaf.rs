//! An event as the tree's leaf: one way to write it down, in which no two events look alike.
//!
//! Every field is there as text: a 1, its length as four bytes (big-endian) and its bytes; or a 0
//! where there is none. `docs/audit.md` says it for those who recompute it.

use aws_lc_rs::digest;
use tlog_tiles::{Hash, record_hash};

use crate::store::audit_events::AuditEvent;

/// What every leaf begins with.
const LABEL: &[u8] = b"onyx-auth audit event v1\0";
/// What a commitment to an address begins with.
const ADDRESS_LABEL: &[u8] = b"onyx-auth audit source_ip v1\0";

/// The fields of an event that are in its leaf, as they are printed.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    pub id: &'a str,
    pub at: &'a str,
    pub actor: &'a str,
    pub credential_id: Option<&'a str>,
    pub action: &'a str,
    pub target: &'a str,
    pub partner_id: Option<&'a str>,
    pub realm: Option<&'a str>,
    pub outcome: &'a str,
    pub request_id: Option<&'a str>,
    /// In the address's stead.
    pub source_ip_commitment: Option<&'a str>,
    /// JSON, byte for byte as it was written.
    pub details: &'a str,
}

impl Leaf<'_> {
    /// The bytes that are hashed.
    pub fn bytes(&self) -> Vec<u8> {
        let fields = [
            Some(self.id),
            Some(self.at),
            Some(self.actor),
            self.credential_id,
            Some(self.action),
            Some(self.target),
            self.partner_id,
            self.realm,
            Some(self.outcome),
            self.request_id,
            self.source_ip_commitment,
            Some(self.details),
        ];
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(LABEL);
        for field in fields {
            match field {
                None => bytes.push(0),
                Some(text) => {
                    // A field of 4 GiB is in no database.
                    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                    bytes.push(1);
                    bytes.extend_from_slice(&length.to_be_bytes());
                    bytes.extend_from_slice(text.as_bytes());
                }
            }
        }
        bytes
    }

    /// The leaf's hash (RFC 9162 §2.1.1).
    pub fn hash(&self) -> Hash {
        record_hash(&self.bytes())
    }
}

/// The bytes that are hashed for a row.
pub fn of(event: &AuditEvent) -> Vec<u8> {
    Leaf {
        id: &event.id,
        at: &event.at.to_string(),
        actor: &event.actor,
        credential_id: event.credential_id.as_deref(),
        action: &event.action,
        target: &event.target,
        partner_id: event.partner_id.as_deref(),
        realm: event.realm.as_deref(),
        outcome: &event.outcome,
        request_id: event.request_id.as_deref(),
        source_ip_commitment: event.source_ip_commitment.as_deref(),
        details: &event.details,
    }
    .bytes()
}

/// What stands for an address: who has salt and address can tell that it is theirs, and who has
/// neither can find out nothing.
pub fn commitment(salt: &str, address: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(ADDRESS_LABEL);
    hash.update(salt.as_bytes());
    hash.update(b"\0");
    hash.update(address.as_bytes());
    crate::keys::hex(hash.finish().as_ref())
}

/// Whether an address, its salt and its commitment belong together: all three are there, or the
/// commitment alone, or nothing.
pub fn is_address_kept(
    address: Option<&str>,
    salt: Option<&str>,
    commitment_of: Option<&str>,
) -> bool {
    match (address, salt, commitment_of) {
        (Some(address), Some(salt), Some(known)) => commitment(salt, address) == known,
        (None, None, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAF: Leaf<'static> = Leaf {
        id: "aud_1",
        at: "2030-01-31T12:00:00Z",
        actor: "host",
        credential_id: None,
        action: "key.rotated",
        target: "k1",
        partner_id: None,
        realm: Some("live"),
        outcome: "done",
        request_id: None,
        source_ip_commitment: None,
        details: "{}",
    };

    #[test]
    fn a_leaf_is_written_as_the_page_about_it_says() {
        let mut expected = b"onyx-auth audit event v1\0".to_vec();
        for field in ["aud_1", "2030-01-31T12:00:00Z", "host"] {
            expected.extend([1, 0, 0, 0, u8::try_from(field.len()).unwrap()]);
            expected.extend(field.as_bytes());
        }
        expected.extend(b"\0\x01\0\0\0\x0bkey.rotated\x01\0\0\0\x02k1\0\x01\0\0\0\x04live");
        expected.extend(b"\x01\0\0\0\x04done\0\0\x01\0\0\0\x02{}");
        assert_eq!(LEAF.bytes(), expected);
    }

    #[test]
    fn an_address_is_kept_with_its_salt_or_gone_with_it() {
        let known = commitment("5a", "192.0.2.1");
        let kept = |address, salt| is_address_kept(address, salt, Some(&known));
        assert!(kept(Some("192.0.2.1"), Some("5a")));
        assert!(kept(None, None));
        assert!(!kept(Some("192.0.2.2"), Some("5a")));
        assert!(!kept(Some("192.0.2.1"), Some("5b")));
        assert!(!kept(Some("192.0.2.1"), None) && !kept(None, Some("5a")));
        assert!(!is_address_kept(Some("192.0.2.1"), Some("5a"), None));
    }

    proptest! {
        /// Text that moves from one field into the next makes another leaf.
        #[test]
        fn no_two_events_look_alike(one in ".{0,6}", two in ".{0,6}", three in ".{0,6}", four in ".{0,6}") {
            let first = Leaf { actor: &one, credential_id: Some(&two), ..LEAF };
            let second = Leaf { actor: &three, credential_id: Some(&four), ..LEAF };
            prop_assert_eq!(first.bytes() == second.bytes(), (one, two) == (three, four));
        }
    }
}
