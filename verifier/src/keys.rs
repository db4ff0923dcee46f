//! Keys that signatures are checked with, each parsed once and bound to one algorithm.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    Algorithm, Jwk, JwkKey, JwkSet,
    error::{ConnectError, TokenFault},
    token::{Header, Token},
};

/// The keys of an issuer by name.
pub(crate) struct Keyring {
    keys: HashMap<String, Key>,
    /// When the issuer was last heard to publish them.
    pub(crate) heard: Instant,
    /// A number that no other keyring of the process has.
    pub(crate) number: u64,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

struct Key {
    kid: Arc<str>,
    algorithm: Algorithm,
    public: ParsedPublicKey,
    /// The header of the first token that this key verified, as it was sent. An issuer writes all
    /// of a key's tokens with one header, and what was read once is not read again.
    header: OnceLock<Box<str>>,
}

impl Keyring {
    /// Takes every key, or says which one is no good.
    pub(crate) fn strict(set: &JwkSet) -> Result<Self, ConnectError> {
        let mut keys = HashMap::with_capacity(set.keys.len());
        for jwk in &set.keys {
            let key = Key::parse(jwk).map_err(|reason| ConnectError::UnusableKey {
                kid: jwk.kid.clone(),
                reason,
            })?;
            if keys.insert(jwk.kid.clone(), key).is_some() {
                return Err(ConnectError::DuplicateKeyId(jwk.kid.clone()));
            }
        }
        if keys.is_empty() {
            return Err(ConnectError::NoKeys);
        }
        Ok(Self::of(keys))
    }

    /// Takes the keys of a published set and leaves out, with a warning, those that are no good:
    /// one odd key must not cost a service all others.
    pub(crate) fn tolerant(set: &JwkSet) -> Self {
        let mut keys = HashMap::with_capacity(set.keys.len());
        for jwk in &set.keys {
            match Key::parse(jwk) {
                Ok(key) => {
                    keys.entry(jwk.kid.clone()).or_insert(key);
                }
                Err(reason) => log::warn!("published key {:?} is left out: {reason}", jwk.kid),
            }
        }
        Self::of(keys)
    }

    fn of(keys: HashMap<String, Key>) -> Self {
        Self {
            keys,
            heard: Instant::now(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn has(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// The keys' names, in no order.
    pub(crate) fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Whether its keys have the names that another's have.
    pub(crate) fn is_named_as(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && self.kids().all(|kid| other.has(kid))
    }

    /// Checks the signature with the key that the token names, by that key's one algorithm
    /// (RFC 8725 §3.1); answers that key's name.
    pub(crate) fn check(&self, token: &Token<'_>) -> Result<Arc<str>, TokenFault> {
        let known = |key: &&Key| key.header.get().is_some_and(|h| **h == *token.header);
        if let Some(key) = self.keys.values().find(known) {
            key.verify(token)?;
            return Ok(Arc::clone(&key.kid));
        }
        let header = Header::read(token.header)?;
        let key = self.keys.get(&header.kid).ok_or(TokenFault::UnknownKey)?;
        if key.algorithm != header.algorithm {
            return Err(TokenFault::WrongAlgorithm);
        }
        key.verify(token)?;
        // Only now: what an authentic token says is the issuer's word.
        key.header.get_or_init(|| token.header.into());
        Ok(Arc::clone(&key.kid))
    }
}

impl Key {
    fn parse(jwk: &Jwk) -> Result<Self, &'static str> {
        if jwk.use_ != "sig" {
            return Err("its use is not sig");
        }
        let public = match (jwk.alg, &jwk.key) {
            (Algorithm::Es256, JwkKey::Ec { crv, x, y }) if crv == "P-256" => {
                // The uncompressed form of a point (SEC 1 §2.3.3).
                let point = [&[4], fixed(x)?.as_slice(), fixed(y)?.as_slice()].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .map_err(|_| "its point is not on the curve")?
            }
            (Algorithm::EdDsa, JwkKey::Okp { crv, x }) if crv == "Ed25519" => {
                ParsedPublicKey::new(&ED25519, fixed(x)?).map_err(|_| "it is no Ed25519 key")?
            }
            (Algorithm::Rs256, JwkKey::Rsa { n, e }) => rsa(n, e, &RSA_PKCS1_2048_8192_SHA256)?,
            (Algorithm::Ps256, JwkKey::Rsa { n, e }) => rsa(n, e, &RSA_PSS_2048_8192_SHA256)?,
            _ => return Err("its type is not that of its algorithm"),
        };
        Ok(Self {
            kid: jwk.kid.as_str().into(),
            algorithm: jwk.alg,
            public,
            header: OnceLock::new(),
        })
    }

    fn verify(&self, token: &Token<'_>) -> Result<(), TokenFault> {
        self.public
            .verify_sig(token.signed.as_bytes(), &token.signature)
            .map_err(|_| TokenFault::BadSignature)
    }
}

fn decode(member: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD
        .decode(member)
        .map_err(|_| "a member is not base64url")
}

/// A coordinate or key of exactly 32 bytes (RFC 7518 §6.2.1.2, RFC 8037 §2).
fn fixed(member: &str) -> Result<[u8; 32], &'static str> {
    decode(member)?
        .try_into()
        .map_err(|_| "a member is not 32 bytes long")
}

fn rsa(n: &str, e: &str, scheme: &'static RsaParameters) -> Result<ParsedPublicKey, &'static str> {
    let (n, e) = (decode(n)?, decode(e)?);
    // RFC 7518 §3.3: at least 2048 bits. aws-lc looks at the size only when it verifies, where a
    // bad key would look like a bad signature.
    if !(256..=1024).contains(&n.len()) {
        return Err("its modulus is not 2048 to 8192 bits long");
    }
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(scheme)
        .map_err(|_| "it is no RSA key")
}
