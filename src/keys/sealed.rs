//! Private keys and webhook secrets at rest: AES-256-GCM under the master key, bound to their kid or to the
//! id of their endpoint.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, Zeroizing};

use super::master::MasterKey;

/// What was sealed does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The library failed.
    #[error("a private key could not be sealed")]
    Seal,
    /// Another master key, another name, or a changed text.
    #[error(
        "a sealed private key does not open: the database was changed by hand, or is not of this master key"
    )]
    Open,
}

/// Seals a secret under the name that it is bound to; the answer is base64 of nonce and ciphertext with its tag.
pub fn seal(master: &MasterKey, name: &str, private: &[u8]) -> Result<String, SealError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, master.sealing.as_slice())
        .map_err(|_| SealError::Seal)?;
    let mut buffer = private.to_vec();
    let nonce = key
        .seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut buffer)
        .map_err(|_| SealError::Seal);
    let sealed =
        nonce.map(|nonce| STANDARD.encode([nonce.as_ref().as_slice(), buffer.as_slice()].concat()));
    if sealed.is_err() {
        buffer.zeroize();
    }
    sealed
}

/// Opens what [`seal`] sealed under the same name.
pub fn open(master: &MasterKey, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, master.sealing.as_slice())
        .map_err(|_| SealError::Open)?;
    let bytes = STANDARD.decode(sealed).map_err(|_| SealError::Open)?;
    let (nonce, ciphertext) = bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Open)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Open)?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let length = key
        .open_in_place(nonce, Aad::from(name.as_bytes()), buffer.as_mut_slice())
        .map_err(|_| SealError::Open)?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::super::master::tests::master;
    use super::*;

    #[test]
    fn a_sealed_key_opens_only_with_its_master_key_and_its_kid() {
        let sealed = seal(&master(1), "kid", b"private").unwrap();
        assert_eq!(
            open(&master(1), "kid", &sealed).unwrap().as_slice(),
            b"private"
        );
        assert_eq!(
            open(&master(2), "kid", &sealed).unwrap_err(),
            SealError::Open
        );
        assert_eq!(
            open(&master(1), "other", &sealed).unwrap_err(),
            SealError::Open
        );
    }

    #[test]
    fn a_changed_or_cut_text_does_not_open() {
        let sealed = seal(&master(1), "kid", b"private").unwrap();
        let mut bytes = STANDARD.decode(&sealed).unwrap();
        bytes[15] ^= 1;
        assert!(open(&master(1), "kid", &STANDARD.encode(&bytes)).is_err());
        assert!(open(&master(1), "kid", &sealed[..8]).is_err());
        assert!(open(&master(1), "kid", "").is_err());
    }
}
