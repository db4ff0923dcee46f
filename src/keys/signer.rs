//! Signing with keys that are parsed once.
//!
//! jsonwebtoken's aws-lc back end parses the private key anew at every signature,
//! which costs ES256 half as much again and RS256 a factor of 2.6. Its provider is
//! open, though: an `EncodingKey` holds opaque bytes, so ours holds the number of
//! a parsed key, and our signer factory looks that number up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, aws_lc};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::signature;
use onyx_verifier::{Jwk, JwkKey};

use crate::domain::Algorithm;

/// A private key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Not a key of the algorithm.
    #[error("not a PKCS#8 private key for {0}")]
    WrongKey(Algorithm),
    /// RSA keys shorter than 2048 bits are not signed with (NIST SP 800-57).
    #[error("an RSA key of {0} bits is too short: at least 2048")]
    TooShort(usize),
    /// Another part of the process chose another back end for JWTs first.
    #[error("the process already uses another JWT back end")]
    ForeignProvider,
    /// The library failed.
    #[error("signing failed")]
    Signing(#[source] JwtError),
    /// The claims could not be written as JSON.
    #[error("claims could not be written")]
    Claims(#[source] serde_json::Error),
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

struct Parsed {
    alg: Algorithm,
    pair: Pair,
}

/// The parsed keys of the process by number. Written when a key is loaded, read at every signature.
static PARSED: LazyLock<ArcSwap<HashMap<u64, Arc<Parsed>>>> = LazyLock::new(ArcSwap::default);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The library's own aws-lc provider with our signer factory.
static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(|| CryptoProvider {
    signer_factory,
    ..aws_lc::DEFAULT_PROVIDER.clone()
});
static INSTALLED: LazyLock<bool> = LazyLock::new(|| PROVIDER.install_default().is_ok());

/// Room for the claims of an ordinary token, so that writing them asks for memory once.
const CLAIMS: usize = 1024;

/// A private key, parsed, with what never changes about its tokens.
pub struct SigningKey {
    number: u64,
    handle: EncodingKey,
    alg: Algorithm,
    jwk: Jwk,
    /// The encoded header of access tokens, with its dot: made once a key.
    header: String,
}

impl SigningKey {
    /// Parses a PKCS#8 private key for one algorithm.
    pub fn from_pkcs8(alg: Algorithm, pkcs8: &[u8]) -> Result<Self, SignerError> {
        if !*INSTALLED {
            return Err(SignerError::ForeignProvider);
        }
        let pair = parse(alg, pkcs8)?;
        let key = public_key(&pair).ok_or(SignerError::WrongKey(alg))?;
        let jwk = Jwk {
            kid: key.thumbprint(),
            alg,
            use_: "sig".to_owned(),
            key,
        };
        let header = header(alg, "at+jwt", &jwk.kid);

        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let handle = match &pair {
            Pair::Ec(_) => EncodingKey::from_ec_der(&number.to_be_bytes()),
            Pair::Ed(_) => EncodingKey::from_ed_der(&number.to_be_bytes()),
            Pair::Rsa(_) => EncodingKey::from_rsa_der(&number.to_be_bytes()),
        };
        let parsed = Arc::new(Parsed { alg, pair });
        PARSED.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            keys.insert(number, Arc::clone(&parsed));
            keys
        });
        Ok(Self {
            number,
            handle,
            alg,
            jwk,
            header,
        })
    }

    /// The public half.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs claims as an access token (RFC 9068 §2.1, RFC 7515 §7.1).
    pub fn sign_access_token(&self, claims: &impl serde::Serialize) -> Result<String, SignerError> {
        self.sign_under(&self.header, claims)
    }

    /// Signs claims as a JWT of another type, which no verifier takes for an access token
    /// (RFC 8725 §3.11).
    pub fn sign(&self, typ: &str, claims: &impl serde::Serialize) -> Result<String, SignerError> {
        self.sign_under(&header(self.alg, typ, &self.jwk.kid), claims)
    }

    fn sign_under(
        &self,
        header: &str,
        claims: &impl serde::Serialize,
    ) -> Result<String, SignerError> {
        let mut json = Vec::with_capacity(CLAIMS);
        serde_json::to_writer(&mut json, claims).map_err(SignerError::Claims)?;
        let mut token = String::with_capacity(header.len() + json.len() * 4 / 3 + 360);
        token.push_str(header);
        URL_SAFE_NO_PAD.encode_string(json, &mut token);
        let signature =
            jsonwebtoken::crypto::sign(token.as_bytes(), &self.handle, jwt_algorithm(self.alg))
                .map_err(SignerError::Signing)?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }
}

/// An encoded header, with its dot.
fn header(alg: Algorithm, typ: &str, kid: &str) -> String {
    let header = serde_json::json!({ "alg": alg.as_str(), "typ": typ, "kid": kid });
    URL_SAFE_NO_PAD.encode(header.to_string()) + "."
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        PARSED.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            keys.remove(&self.number);
            keys
        });
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.jwk.kid)
    }
}

fn parse(alg: Algorithm, pkcs8: &[u8]) -> Result<Pair, SignerError> {
    let wrong = |_| SignerError::WrongKey(alg);
    match alg {
        Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map(Pair::Ec)
            .map_err(wrong),
        Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(pkcs8)
            .map(Pair::Ed)
            .map_err(wrong),
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(wrong)?;
            let bits = pair.public_modulus_len() * 8;
            if bits < 2048 {
                Err(SignerError::TooShort(bits))
            } else {
                Ok(Pair::Rsa(pair))
            }
        }
    }
}

fn public_key(pair: &Pair) -> Option<JwkKey> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match pair {
        Pair::Ec(pair) => {
            // An uncompressed point (SEC 1 §2.3.3): 04, x, y.
            let (form, point) = pair.public_key().as_ref().split_first()?;
            let (x, y) = point
                .split_at_checked(32)
                .filter(|(_, y)| *form == 4 && y.len() == 32)?;
            Some(JwkKey::Ec {
                crv: "P-256".to_owned(),
                x: text(x),
                y: text(y),
            })
        }
        Pair::Ed(pair) => Some(JwkKey::Okp {
            crv: "Ed25519".to_owned(),
            x: text(pair.public_key().as_ref()),
        }),
        Pair::Rsa(pair) => {
            let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
            Some(JwkKey::Rsa {
                n: text(&parts.n),
                e: text(&parts.e),
            })
        }
    }
}

/// The library's name for the algorithm.
fn jwt_algorithm(alg: Algorithm) -> jsonwebtoken::Algorithm {
    match alg {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

fn signer_factory(
    algorithm: &jsonwebtoken::Algorithm,
    key: &EncodingKey,
) -> Result<Box<dyn JwtSigner>, JwtError> {
    let number = <[u8; 8]>::try_from(key.as_bytes()).map(u64::from_be_bytes);
    let parsed = number
        .ok()
        .and_then(|number| PARSED.load().get(&number).cloned());
    match parsed {
        Some(parsed) if jwt_algorithm(parsed.alg) == *algorithm => Ok(Box::new(Signer(parsed))),
        _ => Err(ErrorKind::InvalidKeyFormat.into()),
    }
}

struct Signer(Arc<Parsed>);

impl signature::Signer<Vec<u8>> for Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let rng = SystemRandom::new();
        let failed = |_| signature::Error::new();
        match &self.0.pair {
            Pair::Ec(pair) => pair
                .sign(&rng, message)
                .map(|s| s.as_ref().to_vec())
                .map_err(failed),
            Pair::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding = if self.0.alg == Algorithm::Ps256 {
                    &RSA_PSS_SHA256
                } else {
                    &RSA_PKCS1_SHA256
                };
                pair.sign(padding, &rng, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl JwtSigner for Signer {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        jwt_algorithm(self.0.alg)
    }
}
