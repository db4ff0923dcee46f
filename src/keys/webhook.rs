//! What webhooks are signed and verified with (Standard Webhooks): secrets of HMAC-SHA256, pairs of ed25519.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{TryRng, rngs::SysRng};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::master::MasterKey;
use super::sealed::{self, SealError};
use crate::domain::id::WebhookEndpointId;
use crate::domain::webhook::SignatureKind;

/// How many bytes a secret of HMAC may have.
const HMAC_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many bytes a new one has: as many as the hash.
const NEW_HMAC_BYTES: usize = 32;
/// The length of an ed25519 seed, and of its public key.
const ED25519_BYTES: usize = 32;

/// What an endpoint's messages are signed with. It cannot be printed, and leaves no trace in memory.
///
/// Form: `whsec_` and base64 of 24 to 64 bytes; or `whsk_` and base64 of an ed25519 seed with its public key.
#[derive(Zeroize, ZeroizeOnDrop, Clone)]
pub struct WebhookSecret {
    #[zeroize(skip)]
    kind: SignatureKind,
    bytes: Vec<u8>,
}

/// What verifies a message: the shared secret, or `whpk_` and base64 of a public key.
#[derive(Clone)]
pub enum WebhookKey {
    /// Both sides hold it.
    Shared(WebhookSecret),
    /// Whoever has it can verify and not sign.
    Public([u8; ED25519_BYTES]),
}

/// The text is no secret or key of a webhook. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_, whsk_ or whpk_ and base64 of the right length")]
pub struct BadWebhookKey;

/// A secret could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness to give")]
pub struct NoRandomness;

impl WebhookSecret {
    /// A new one, from the system's random source.
    pub fn generate(kind: SignatureKind) -> Result<Self, NoRandomness> {
        let mut random = Zeroizing::new([0u8; NEW_HMAC_BYTES]);
        SysRng
            .try_fill_bytes(random.as_mut_slice())
            .map_err(|_| NoRandomness)?;
        let mut bytes = random.to_vec();
        if kind == SignatureKind::V1a {
            let pair = Ed25519KeyPair::from_seed_unchecked(random.as_slice());
            let pair = pair.map_err(|_| NoRandomness)?;
            // Not grown in place: what a vector leaves behind is not wiped.
            let both = [random.as_slice(), pair.public_key().as_ref()].concat();
            bytes.zeroize();
            bytes = both;
        }
        Ok(Self { kind, bytes })
    }

    /// How it signs.
    pub fn kind(&self) -> SignatureKind {
        self.kind
    }

    /// The secret as text: for the one answer that shows it.
    pub fn expose(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(STANDARD.encode(&self.bytes));
        Zeroizing::new([prefix(self.kind), encoded.as_str()].concat())
    }

    /// What receivers verify with, `whpk_…`. `None`: they need the secret itself.
    pub fn public_key(&self) -> Option<String> {
        let public = self.bytes.get(ED25519_BYTES..);
        let public = public.filter(|_| self.kind == SignatureKind::V1a)?;
        Some(format!("whpk_{}", STANDARD.encode(public)))
    }

    /// The signature of a message, with its kind before it: `v1,…`.
    ///
    /// `None`: an ed25519 pair whose halves do not belong together, which no constructor lets pass.
    pub fn sign(&self, message: &[u8]) -> Option<String> {
        let encoded = match self.kind {
            SignatureKind::V1 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes);
                STANDARD.encode(hmac::sign(&key, message))
            }
            SignatureKind::V1a => STANDARD.encode(self.pair()?.sign(message)),
        };
        Some(format!("{},{encoded}", self.kind))
    }

    fn pair(&self) -> Option<Ed25519KeyPair> {
        let (seed, public) = self.bytes.split_at_checked(ED25519_BYTES)?;
        Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()
    }

    /// Seals it for the database, bound to its endpoint.
    pub fn seal(
        &self,
        master: &MasterKey,
        endpoint: &WebhookEndpointId,
    ) -> Result<String, SealError> {
        sealed::seal(master, endpoint.as_str(), &self.bytes)
    }

    /// Opens what [`Self::seal`] sealed for the same endpoint.
    pub fn open(
        master: &MasterKey,
        endpoint: &WebhookEndpointId,
        kind: SignatureKind,
        sealed: &str,
    ) -> Result<Self, SealError> {
        let bytes = sealed::open(master, endpoint.as_str(), sealed)?;
        Self::of(kind, &bytes).ok_or(SealError::Open)
    }

    fn of(kind: SignatureKind, bytes: &[u8]) -> Option<Self> {
        let secret = Self {
            kind,
            bytes: bytes.to_vec(),
        };
        let fits = match kind {
            SignatureKind::V1 => HMAC_BYTES.contains(&bytes.len()),
            SignatureKind::V1a => secret.pair().is_some(),
        };
        fits.then_some(secret)
    }
}

fn prefix(kind: SignatureKind) -> &'static str {
    match kind {
        SignatureKind::V1 => "whsec_",
        SignatureKind::V1a => "whsk_",
    }
}

impl FromStr for WebhookSecret {
    type Err = BadWebhookKey;

    fn from_str(text: &str) -> Result<Self, BadWebhookKey> {
        let mut kinds = SignatureKind::ALL.iter();
        let known = kinds.find_map(|kind| Some((*kind, text.strip_prefix(prefix(*kind))?)));
        let (kind, encoded) = known.ok_or(BadWebhookKey)?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| BadWebhookKey)?);
        Self::of(kind, &bytes).ok_or(BadWebhookKey)
    }
}

impl WebhookKey {
    /// Whether one signature, `v1,…` or `v1a,…`, is this key's for a message; in constant time.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Some((kind, encoded)) = signature.split_once(',') else {
            return false;
        };
        let Ok(signature) = STANDARD.decode(encoded) else {
            return false;
        };
        match self {
            Self::Shared(secret) if kind != secret.kind.as_str() => false,
            Self::Shared(secret) => match secret.kind {
                SignatureKind::V1 => {
                    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.bytes);
                    hmac::verify(&key, message, &signature).is_ok()
                }
                SignatureKind::V1a => secret
                    .bytes
                    .get(ED25519_BYTES..)
                    .is_some_and(|public| is_signed(public, message, &signature)),
            },
            Self::Public(public) => {
                kind == SignatureKind::V1a.as_str() && is_signed(public, message, &signature)
            }
        }
    }
}

fn is_signed(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, public);
    key.verify(message, signature).is_ok()
}

impl FromStr for WebhookKey {
    type Err = BadWebhookKey;

    fn from_str(text: &str) -> Result<Self, BadWebhookKey> {
        let Some(encoded) = text.strip_prefix("whpk_") else {
            return Ok(Self::Shared(text.parse()?));
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| BadWebhookKey)?;
        Ok(Self::Public(bytes.try_into().map_err(|_| BadWebhookKey)?))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey")
    }
}

#[cfg(test)]
mod tests {
    use super::super::master::tests::master;
    use super::*;
    use crate::domain::instant::Instant;

    #[test]
    fn a_secret_has_the_published_form_and_parses_back() {
        for kind in SignatureKind::ALL {
            let secret = WebhookSecret::generate(*kind).unwrap();
            let text = secret.expose();
            assert!(text.starts_with(prefix(*kind)));
            let read: WebhookSecret = text.parse().unwrap();
            assert_eq!(read.sign(b"message"), secret.sign(b"message"));
            let key = match secret.public_key() {
                Some(public) => public.parse::<WebhookKey>().unwrap(),
                None => WebhookKey::Shared(read),
            };
            let signature = secret.sign(b"message").unwrap();
            assert!(key.verifies(b"message", &signature));
            assert!(!key.verifies(b"massage", &signature));
        }
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        let torn = format!("whsk_{}", STANDARD.encode([7; 64]));
        for bad in ["", "whsec_", "whsec_!", "whpk_AAAA", &short, &long, &torn] {
            let error = bad.parse::<WebhookKey>().unwrap_err();
            assert!(
                !error.to_string().contains(&STANDARD.encode([7; 6])),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_sealed_secret_opens_only_for_its_endpoint() {
        let now = Instant::from_epoch_seconds(1_800_000_000);
        let (one, other) = (
            WebhookEndpointId::generate(now),
            WebhookEndpointId::generate(now),
        );
        for kind in SignatureKind::ALL {
            let secret = WebhookSecret::generate(*kind).unwrap();
            let sealed = secret.seal(&master(1), &one).unwrap();
            let opened = WebhookSecret::open(&master(1), &one, *kind, &sealed).unwrap();
            assert_eq!(opened.expose(), secret.expose());
            assert!(WebhookSecret::open(&master(1), &other, *kind, &sealed).is_err());
            assert!(WebhookSecret::open(&master(2), &one, *kind, &sealed).is_err());
        }
    }
}
