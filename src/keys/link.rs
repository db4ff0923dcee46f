//! The key in a link's fragment: it seals a secret, and proves that one holds it.
//!
//! A browser sends no fragment. The server keeps the ciphertext and a hash of the proof,
//! and can open nothing by itself; who holds the link derives the proof, is given the
//! ciphertext for it, and opens it where he sits. The page and the command line derive the
//! same with HKDF-SHA-256 (RFC 5869): the salt is the delivery's id, and each use has a label.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{constant_time, digest, hkdf};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::{TryRng, rngs::SysRng};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::sealed::SealError;
use crate::domain::delivery::ProofHash;
use crate::domain::id::DeliveryId;

/// What the key that opens is derived under.
const SEAL: &[u8] = b"onyx-auth secret delivery 1: seal";
/// What the proof is derived under.
const PROOF: &[u8] = b"onyx-auth secret delivery 1: proof";

/// The key that stands in a link's fragment: 256 random bits. It cannot be printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct LinkKey([u8; 32]);

/// What shows that one holds a link, without showing the link. It cannot be printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Proof([u8; 32]);

/// The text is not 32 bytes as base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 bytes as base64url without padding: 43 characters")]
pub struct BadBytes;

impl LinkKey {
    /// A new key, from the system's random source.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, rand::rngs::SysError> {
        let mut bytes = [0u8; 32];
        SysRng.try_fill_bytes(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The text that stands in the fragment.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0))
    }

    /// What proves to the server that one holds the link of this delivery.
    pub fn proof(&self, id: &DeliveryId) -> Result<Proof, SealError> {
        self.derive(id, PROOF)
            .map(|bytes| Proof(*bytes))
            .ok_or(SealError::Seal)
    }

    /// Seals a text for this delivery: nonce, ciphertext and tag, as base64url.
    pub fn seal(&self, id: &DeliveryId, text: &[u8]) -> Result<String, SealError> {
        let key = self.derive(id, SEAL).ok_or(SealError::Seal)?;
        let key =
            RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| SealError::Seal)?;
        let mut buffer = Zeroizing::new(text.to_vec());
        let nonce = key
            .seal_in_place_append_tag(Aad::from(id.as_str().as_bytes()), &mut *buffer)
            .map_err(|_| SealError::Seal)?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), buffer.as_slice()].concat()))
    }

    /// Opens what [`LinkKey::seal`] sealed for the same delivery.
    pub fn open(&self, id: &DeliveryId, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let key = self.derive(id, SEAL).ok_or(SealError::Open)?;
        let key =
            RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| SealError::Open)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| SealError::Open)?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Open)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Open)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = key
            .open_in_place(nonce, Aad::from(id.as_str().as_bytes()), &mut buffer)
            .map_err(|_| SealError::Open)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    fn derive(&self, id: &DeliveryId, label: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let mut out = Zeroizing::new([0u8; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, id.as_str().as_bytes())
            .extract(&self.0)
            .expand(&[label], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(out.as_mut_slice()))
            .ok()?;
        Some(out)
    }
}

impl std::str::FromStr for LinkKey {
    type Err = BadBytes;
    fn from_str(text: &str) -> Result<Self, BadBytes> {
        bytes(text).map(Self)
    }
}

impl Proof {
    /// The text that is sent.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0))
    }

    /// What is stored.
    pub fn hash(&self) -> ProofHash {
        let hash = digest::digest(&digest::SHA256, &self.0);
        ProofHash(super::master::hex(hash.as_ref()))
    }

    /// Whether this is the proof of a delivery, in a time that does not depend on where it differs.
    ///
    /// Without a delivery the comparison is made too, and is false.
    pub fn proves(&self, known: Option<&ProofHash>) -> bool {
        let (own, nobody) = (self.hash(), ProofHash("0".repeat(64)));
        let same = constant_time::verify_slices_are_equal(
            own.0.as_bytes(),
            known.unwrap_or(&nobody).0.as_bytes(),
        );
        known.is_some() && same.is_ok()
    }
}

impl std::str::FromStr for Proof {
    type Err = BadBytes;
    fn from_str(text: &str) -> Result<Self, BadBytes> {
        bytes(text).map(Self)
    }
}

fn bytes(text: &str) -> Result<[u8; 32], BadBytes> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| BadBytes)?);
    bytes.as_slice().try_into().map_err(|_| BadBytes)
}

macro_rules! unprinted {
    ($($name:ident),+) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )+ };
}
unprinted!(LinkKey, Proof);

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> DeliveryId {
        "sdl_0123456789abcdefghijAB".parse().unwrap()
    }

    fn key() -> LinkKey {
        URL_SAFE_NO_PAD.encode([7; 32]).parse().unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_the_link_s_key_and_for_its_delivery_alone() {
        let sealed = key().seal(&id(), b"secret").unwrap();
        assert_eq!(key().open(&id(), &sealed).unwrap().as_slice(), b"secret");
        let other: DeliveryId = "sdl_0123456789abcdefghijAC".parse().unwrap();
        assert!(key().open(&other, &sealed).is_err());
        assert!(LinkKey::generate().unwrap().open(&id(), &sealed).is_err());
        for bad in ["", "AAAA", "not base64url!", &sealed[1..]] {
            assert!(key().open(&id(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_proof_is_that_of_its_key_and_its_delivery() {
        let proof = key().proof(&id()).unwrap();
        assert!(proof.proves(Some(&proof.hash())));
        assert!(!proof.proves(None));
        let other: DeliveryId = "sdl_0123456789abcdefghijAC".parse().unwrap();
        assert!(!proof.proves(Some(&key().proof(&other).unwrap().hash())));
        assert!(!Proof([0; 32]).proves(Some(&proof.hash())));
    }

    #[test]
    fn the_proof_gives_nothing_of_the_key_away() {
        let (proof, shown) = (key().proof(&id()).unwrap(), key().expose());
        assert_ne!(proof.expose(), shown);
        assert!(key().seal(&id(), b"x").is_ok_and(|sealed| {
            // The proof is no key.
            let text = proof.expose();
            text.parse::<LinkKey>()
                .unwrap()
                .open(&id(), &sealed)
                .is_err()
        }));
    }

    /// Published, in that pages and programs already out there derive the same: computed with
    /// Python's `hmac` and `hashlib`.
    #[test]
    fn the_derivation_is_hkdf_with_the_published_labels() {
        assert_eq!(
            key().proof(&id()).unwrap().expose().as_str(),
            "FjwtAmP46ckI42mub188WG-cHdy-xBgXZnedOumcW74"
        );
        assert_eq!(
            URL_SAFE_NO_PAD.encode(key().derive(&id(), SEAL).unwrap()),
            "3DkeE0Nd57wjl6AewHQY6V7BZrBTq4RblUmG-wukgnY"
        );
    }

    #[test]
    fn neither_key_nor_proof_prints_itself() {
        let printed = format!("{:?} {:?}", key(), key().proof(&id()).unwrap());
        assert_eq!(printed, "LinkKey Proof");
    }

    #[test]
    fn only_32_bytes_are_a_key_or_a_proof() {
        for bad in [
            "",
            "AAAA",
            &"A".repeat(44),
            &"A".repeat(42),
            &"+".repeat(43),
        ] {
            assert!(bad.parse::<LinkKey>().is_err() && bad.parse::<Proof>().is_err());
        }
    }
}
