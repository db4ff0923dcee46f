//! The master key: 32 random bytes in a file, from which everything secret is derived.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::{constant_time, hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

use super::audit::AuditKeys;
use super::file::{self, KeyFileError};
use crate::domain::secret::SecretHash;
use crate::store::{Db, StoreError, instance};

/// The version of the pepper that hashes are made under today.
pub const PEPPER_VERSION: i32 = 1;

/// The keys derived from the master key (HKDF-SHA-256, RFC 5869), one for each use.
pub struct MasterKey {
    pub(super) sealing: Zeroizing<[u8; 32]>,
    pepper: hmac::Key,
    /// Names secrets and tokens in investigations.
    naming: hmac::Key,
    fingerprint: String,
    /// A hash that no secret has, to compare with where there is none.
    no_secret: SecretHash,
    audit: Arc<AuditKeys>,
}

/// The master key cannot be used; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be used.
    #[error("master_key_file: {0}")]
    File(#[from] KeyFileError),
    /// The file's content is something else.
    #[error(
        "master_key_file: {0} must hold 32 bytes as base64: put the file back from your backup; for a new database alone, make one \
         with `openssl rand -base64 32`"
    )]
    Malformed(String),
    /// The file is gone, and the database holds what only it can open.
    #[error(
        "master_key_file: {0} does not exist, and the database holds keys sealed under it; put the file back \
         from your backup (nothing was written)"
    )]
    Lost(String),
    /// Another key than the database was made with.
    #[error(
        "master_key_file: {0} is not the key that this database was made with; point master_key_file at the \
         right one (nothing was written)"
    )]
    Wrong(String),
    /// The system has no randomness, or the library failed.
    #[error("cannot make a master key: {0}")]
    Failed(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The length of every derived key.
struct Bytes32;

impl hkdf::KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

impl MasterKey {
    /// The master key of this database: read from its file, or made for a database that has none yet.
    ///
    /// Must run alone among all processes on the database ([`crate::store::Store::alone`]).
    pub fn obtain(db: &mut Db, path: &Path) -> Result<Self, MasterKeyError> {
        let shown = || path.display().to_string();
        let remembered = instance::get(db, instance::Fact::MasterKeyFingerprint)?;
        let content = match (file::read(path), &remembered) {
            (Ok(content), _) => content,
            (Err(KeyFileError::Missing(_)), Some(_)) => return Err(MasterKeyError::Lost(shown())),
            (Err(KeyFileError::Missing(_)), None) => {
                file::create(path, fresh()?.as_bytes())?;
                log::info!(
                    "made a new master key at {}: back it up, the database cannot be opened without it",
                    shown()
                );
                file::read(path)?
            }
            (Err(error), _) => return Err(error.into()),
        };
        let key = Self::parse(&content).ok_or_else(|| MasterKeyError::Malformed(shown()))?;
        match remembered {
            None => instance::remember(db, instance::Fact::MasterKeyFingerprint, &key.fingerprint)?,
            Some(known) if known == key.fingerprint => {}
            Some(_) => return Err(MasterKeyError::Wrong(shown())),
        }
        Ok(key)
    }

    /// The master key that this database was made with, from its file; makes and writes nothing.
    pub fn existing(db: &mut Db, path: &Path) -> Result<Self, MasterKeyError> {
        let shown = || path.display().to_string();
        let content = file::read(path)?;
        let key = Self::parse(&content).ok_or_else(|| MasterKeyError::Malformed(shown()))?;
        match instance::get(db, instance::Fact::MasterKeyFingerprint)? {
            Some(known) if known == key.fingerprint => Ok(key),
            _ => Err(MasterKeyError::Wrong(shown())),
        }
    }

    /// Reads base64 of 32 bytes; white space around it is harmless. `None`: anything else.
    pub fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?.trim();
        let bytes = Zeroizing::new(STANDARD.decode(text).ok().filter(|b| b.len() == 32)?);
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"onyx-auth master key").extract(&bytes);
        let derive = |purpose: &[u8]| -> Option<Zeroizing<[u8; 32]>> {
            let mut out = Zeroizing::new([0u8; 32]);
            root.expand(&[purpose], Bytes32)
                .ok()?
                .fill(out.as_mut_slice())
                .ok()?;
            Some(out)
        };
        let pepper = derive(b"client secret pepper 1")?;
        let fingerprint = derive(b"fingerprint")?;
        let audit = AuditKeys::of(
            derive(b"audit event 1")?.as_slice(),
            derive(b"audit place 1")?.as_slice(),
            derive(b"audit checkpoint 1")?.as_slice(),
            derive(b"audit log name")?.as_slice(),
        )?;
        let naming = derive(b"fingerprints of what leaked 1")?;
        Some(Self {
            sealing: derive(b"sealing")?,
            pepper: hmac::Key::new(hmac::HMAC_SHA256, pepper.as_slice()),
            naming: hmac::Key::new(hmac::HMAC_SHA256, naming.as_slice()),
            fingerprint: hex(fingerprint.get(..16).unwrap_or_default()),
            no_secret: SecretHash(hex(derive(b"no secret")?.as_slice())),
            audit: Arc::new(audit),
        })
    }

    /// The keyed hash under which a secret is stored.
    ///
    /// A secret carries 256 random bits: one HMAC is enough, and a slow hash would
    /// only give guessers a way to exhaust the server (standards: NIST SP 800-63B-4 §3.1).
    pub fn hash_secret(&self, secret: &[u8]) -> SecretHash {
        SecretHash(hex(hmac::sign(&self.pepper, secret).as_ref()))
    }

    /// Whether a database that remembers this fingerprint was made with this key.
    pub fn is_known_as(&self, fingerprint: &str) -> bool {
        self.fingerprint == fingerprint
    }

    /// The keys of the audit log.
    pub fn audit(&self) -> &Arc<AuditKeys> {
        &self.audit
    }

    /// By what a secret or a token can be named without being told: the same for the same text, and
    /// nothing to whoever has not the master key.
    pub fn fingerprint_of(&self, text: &[u8]) -> String {
        let tag = hmac::sign(&self.naming, text);
        hex(tag.as_ref().get(..16).unwrap_or_default())
    }

    /// A hash that no secret has: what an unknown client's secret is compared with.
    pub fn no_secret(&self) -> &SecretHash {
        &self.no_secret
    }
}

/// Whether two hashes are equal, in a time that does not depend on where they differ.
pub fn same_hash(one: &SecretHash, other: &SecretHash) -> bool {
    constant_time::verify_slices_are_equal(one.0.as_bytes(), other.0.as_bytes()).is_ok()
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

fn fresh() -> Result<Zeroizing<String>, MasterKeyError> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    SysRng
        .try_fill_bytes(bytes.as_mut_slice())
        .map_err(|e| MasterKeyError::Failed(e.to_string()))?;
    Ok(Zeroizing::new(STANDARD.encode(bytes.as_slice()) + "\n"))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn master(fill: u8) -> MasterKey {
        MasterKey::parse(STANDARD.encode([fill; 32]).as_bytes()).unwrap()
    }

    #[test]
    fn another_master_key_gives_other_hashes_and_another_fingerprint() {
        let (one, other) = (master(1), master(2));
        assert!(same_hash(
            &one.hash_secret(b"s"),
            &master(1).hash_secret(b"s")
        ));
        assert!(!same_hash(&one.hash_secret(b"s"), &other.hash_secret(b"s")));
        assert_ne!(one.fingerprint, other.fingerprint);
        assert_eq!(one.fingerprint_of(b"s"), master(1).fingerprint_of(b"s"));
        assert_ne!(one.fingerprint_of(b"s"), other.fingerprint_of(b"s"));
        // It says nothing of what is stored.
        assert!(!one.hash_secret(b"s").0.contains(&one.fingerprint_of(b"s")));
    }

    #[test]
    fn anything_but_32_bytes_is_refused() {
        for bad in [&b""[..], b"AAAA", b"not base64!", &[0xff, 0xfe]] {
            assert!(MasterKey::parse(bad).is_none());
        }
    }
}
