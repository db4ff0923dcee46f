//! The keys of the audit log: what makes an event's MAC, and what signs the head of the tree.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::master::hex;

/// The kind of signature within a key of a signed note: Ed25519 (C2SP signed-note).
const ED25519: u8 = 1;

/// The keys of the audit log, all derived from the master key: who has the database alone has none.
pub struct AuditKeys {
    event: hmac::Key,
    place: hmac::Key,
    pair: Ed25519KeyPair,
    name: String,
    id: u32,
    verifier: String,
}

impl AuditKeys {
    /// From four derived keys. `None`: the library refuses the seed.
    pub(super) fn of(event: &[u8], place: &[u8], seed: &[u8], name: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        // Not the server's address: a log keeps its name where the server moves.
        let name = format!("onyx-auth/{}", hex(name.get(..8)?));
        let public = [&[ED25519], pair.public_key().as_ref()].concat();
        let id = signed_note::key_id(&name, &public);
        Some(Self {
            event: hmac::Key::new(hmac::HMAC_SHA256, event),
            place: hmac::Key::new(hmac::HMAC_SHA256, place),
            verifier: format!("{name}+{id:08x}+{}", STANDARD.encode(&public)),
            pair,
            name,
            id,
        })
    }

    /// The MAC of an event, by its leaf, in hex.
    pub fn mac(&self, leaf: &[u8]) -> String {
        hex(hmac::sign(&self.event, leaf).as_ref())
    }

    /// Whether this is the MAC of an event.
    pub fn is_mac(&self, leaf: &[u8], mac: &str) -> bool {
        same(&self.mac(leaf), mac)
    }

    /// The MAC of a leaf's hash at its place in the tree, in hex.
    pub fn place_mac(&self, index: u64, hash: &[u8; 32]) -> String {
        let placed = [&index.to_be_bytes(), hash.as_slice()].concat();
        hex(hmac::sign(&self.place, &placed).as_ref())
    }

    /// Whether a leaf's hash was given this place.
    pub fn is_place_mac(&self, index: u64, hash: &[u8; 32], mac: &str) -> bool {
        same(&self.place_mac(index, hash), mac)
    }

    /// The log's name: the origin of its checkpoints, and the name of the key that signs them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id within a signed note.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The public key as those who verify notes write it: `name+id+key`.
    pub fn verifier(&self) -> &str {
        &self.verifier
    }

    /// Signs the text of a note (Ed25519, RFC 8032).
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).as_ref().to_vec()
    }
}

fn same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

impl std::fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditKeys")
    }
}
