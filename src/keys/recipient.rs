//! A recipient's public key, and what is encrypted to it (JWE, RFC 7516).
//!
//! The content is encrypted with A256GCM; its key reaches RSA keys by RSA-OAEP-256 and keys on
//! P-256 by ECDH-ES, alone or with A256KW. Only public-key operations happen here, on AWS-LC.

use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::agreement::{
    ECDH_P256, EphemeralPrivateKey, ParsedPublicKey, UnparsedPublicKey, agree_ephemeral,
};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents,
};
use aws_lc_rs::{digest, error::Unspecified};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::{TryRng, rngs::SysRng};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// The sizes of RSA keys that are taken, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The longest `kid`.
const MAX_KID: usize = 256;
/// The length of a coordinate on P-256.
const COORDINATE: usize = 32;

/// A public key that secrets can be encrypted to.
#[derive(Debug)]
pub struct Recipient {
    kid: Option<String>,
    key: Key,
    thumbprint: String,
}

#[derive(Debug)]
enum Key {
    Rsa(OaepPublicEncryptingKey),
    /// A point, and whether the agreed key wraps another.
    P256 {
        point: UnparsedPublicKey<Vec<u8>>,
        wraps: bool,
    },
}

/// A member of a JWK that makes it unfit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwkFault {
    /// The member.
    pub member: &'static str,
    /// What to send instead.
    pub detail: String,
}

impl JwkFault {
    const MISSING: &str = "must be there";

    /// Its kind, as request bodies name kinds of faults.
    pub fn code(&self) -> &'static str {
        if self.detail == Self::MISSING {
            "missing"
        } else {
            "invalid"
        }
    }
}

/// Nothing could be encrypted to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret could not be encrypted to the recipient's key")]
pub struct EncryptError;

impl From<Unspecified> for EncryptError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

impl Recipient {
    /// Reads a public JWK (RFC 7517). Members that it does not know are let be.
    ///
    /// # Errors
    /// All the members that make the key unfit.
    pub fn parse(jwk: &Map<String, Value>) -> Result<Self, Vec<JwkFault>> {
        let mut read = Reader {
            jwk,
            faults: Vec::new(),
        };
        read.refuse_private();
        read.purpose();
        let kid = read.kid();
        let key = match read.text("kty") {
            Some("RSA") => read.rsa(),
            Some("EC") => read.p256(),
            Some("oct") => {
                let detail = "a symmetric key is nobody's public key: send an RSA or EC key";
                read.fault("kty", detail);
                None
            }
            Some(_) => {
                read.fault("kty", "must be RSA or EC");
                None
            }
            None => None,
        };
        match key {
            Some(key) if read.faults.is_empty() => Ok(Self {
                kid,
                thumbprint: thumbprint(jwk),
                key,
            }),
            _ => Err(read.faults),
        }
    }

    /// The key's SHA-256 thumbprint (RFC 7638), by which records name it.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Encrypts a JSON text; the answer is a compact JWE.
    ///
    /// # Errors
    /// The library refuses, or the system has no randomness to give.
    pub fn encrypt(&self, json: &[u8]) -> Result<String, EncryptError> {
        let mut header = Map::new();
        let mut say = |name: &str, value: &str| header.insert(name.to_owned(), value.into());
        say("enc", "A256GCM");
        say("typ", "JOSE");
        say("cty", "json");
        if let Some(kid) = &self.kid {
            say("kid", kid);
        }
        let (content_key, encrypted_key) = self.content_key(&mut header)?;
        let header = URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
        let key = RandomizedNonceKey::new(&AES_256_GCM, content_key.as_slice())?;
        let mut buffer = Zeroizing::new(json.to_vec());
        let (nonce, tag) =
            key.seal_in_place_separate_tag(Aad::from(header.as_bytes()), &mut buffer)?;
        Ok([
            header,
            URL_SAFE_NO_PAD.encode(encrypted_key),
            URL_SAFE_NO_PAD.encode(nonce.as_ref()),
            URL_SAFE_NO_PAD.encode(&*buffer),
            URL_SAFE_NO_PAD.encode(tag.as_ref()),
        ]
        .join("."))
    }

    /// The key of the content, and how the recipient comes by it.
    fn content_key(
        &self,
        header: &mut Map<String, Value>,
    ) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>), EncryptError> {
        match &self.key {
            Key::Rsa(public) => {
                header.insert("alg".to_owned(), json!("RSA-OAEP-256"));
                let key = random_key()?;
                let mut out = vec![0; public.ciphertext_size()];
                public.encrypt(&OAEP_SHA256_MGF1SHA256, key.as_slice(), &mut out, None)?;
                Ok((key, out))
            }
            Key::P256 { point, wraps } => {
                let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
                let public = own.compute_public_key()?;
                let (x, y) = coordinates(public.as_ref()).ok_or(EncryptError)?;
                let alg = if *wraps { "ECDH-ES+A256KW" } else { "ECDH-ES" };
                header.insert("alg".to_owned(), json!(alg));
                header.insert(
                    "epk".to_owned(),
                    json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }),
                );
                let used_for = if *wraps { alg } else { "A256GCM" };
                let agreed = agree_ephemeral(own, point, EncryptError, |z| {
                    Ok(concat_kdf(z, used_for, b"", b""))
                })?;
                if !*wraps {
                    return Ok((agreed, Vec::new()));
                }
                let key = random_key()?;
                let mut out = [0; 40];
                let wrapped =
                    AesKek::new(&AES_256, agreed.as_slice())?.wrap(key.as_slice(), &mut out)?;
                Ok((key, wrapped.to_vec()))
            }
        }
    }
}

fn random_key() -> Result<Zeroizing<[u8; 32]>, EncryptError> {
    let mut key = Zeroizing::new([0; 32]);
    SysRng
        .try_fill_bytes(key.as_mut_slice())
        .map_err(|_| EncryptError)?;
    Ok(key)
}

/// The coordinates of an uncompressed point, as base64url.
fn coordinates(point: &[u8]) -> Option<(String, String)> {
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(COORDINATE)?;
    Some((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

/// The Concat KDF for a key of 256 bits (RFC 7518 §4.6.2), which is one round of SHA-256.
fn concat_kdf(z: &[u8], used_for: &str, apu: &[u8], apv: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&1u32.to_be_bytes());
    hash.update(z);
    for field in [used_for.as_bytes(), apu, apv] {
        hash.update(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(field);
    }
    hash.update(&256u32.to_be_bytes());
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(hash.finish().as_ref());
    key
}

/// The required members in their order, without white space (RFC 7638 §3.2).
fn thumbprint(jwk: &Map<String, Value>) -> String {
    // Sorted, in whatever order they were sent.
    let required: std::collections::BTreeMap<_, _> = jwk
        .iter()
        .filter(|(name, _)| ["crv", "e", "kty", "n", "x", "y"].contains(&name.as_str()))
        .collect();
    let text = serde_json::to_string(&required).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// Reads a JWK member by member.
struct Reader<'a> {
    jwk: &'a Map<String, Value>,
    faults: Vec<JwkFault>,
}

impl<'a> Reader<'a> {
    fn fault(&mut self, member: &'static str, detail: impl Into<String>) {
        self.faults.push(JwkFault {
            member,
            detail: detail.into(),
        });
    }

    /// A member that must be a text.
    fn text(&mut self, member: &'static str) -> Option<&'a str> {
        match self.jwk.get(member) {
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.fault(member, "must be a string");
                None
            }
            None => {
                self.fault(member, JwkFault::MISSING);
                None
            }
        }
    }

    /// Bytes as base64url.
    fn bytes(&mut self, member: &'static str) -> Option<Vec<u8>> {
        let text = self.text(member)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|b| !b.is_empty());
        if bytes.is_none() {
            self.fault(member, "must be base64url without padding");
        }
        bytes
    }

    /// The members that private and symmetric keys have (RFC 7518 §6).
    fn refuse_private(&mut self) {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            if self.jwk.contains_key(member) {
                let detail = "belongs to a private key: send the public key alone, and use this key for nothing any more";
                self.fault(member, detail);
            }
        }
    }

    /// What the key says that it is for.
    fn purpose(&mut self) {
        if self.jwk.get("use").is_some_and(|usage| usage != "enc") {
            self.fault("use", "must be enc, or left out");
        }
        let fits = |operation: &Value| {
            ["encrypt", "wrapKey", "deriveKey", "deriveBits"]
                .contains(&operation.as_str().unwrap_or(""))
        };
        match self.jwk.get("key_ops") {
            None => {}
            // Public keys for an agreement have no operation of their own (WebCrypto exports none).
            Some(Value::Array(operations)) if operations.is_empty() => {}
            Some(Value::Array(operations)) if operations.iter().any(fits) => {}
            Some(_) => self.fault(
                "key_ops",
                "must have encrypt, wrapKey, deriveKey or deriveBits, or be left out",
            ),
        }
    }

    fn kid(&mut self) -> Option<String> {
        match self.jwk.get("kid") {
            None => None,
            Some(Value::String(kid))
                if kid.len() <= MAX_KID && !kid.chars().any(char::is_control) =>
            {
                Some(kid.clone())
            }
            Some(_) => {
                self.fault(
                    "kid",
                    format!("must be a string of at most {MAX_KID} bytes"),
                );
                None
            }
        }
    }

    /// The algorithm that the key names, which must be one of these; `None`: it names none.
    fn alg(&mut self, known: &[&'static str]) -> Option<&'static str> {
        let named = self.jwk.get("alg")?;
        let known_one = known.iter().copied().find(|alg| named == *alg);
        if known_one.is_none() {
            self.fault(
                "alg",
                format!("must be {}, or left out", known.join(" or ")),
            );
        }
        known_one
    }

    fn rsa(&mut self) -> Option<Key> {
        self.alg(&["RSA-OAEP-256"]);
        let (n, e) = (self.bytes("n"), self.bytes("e"));
        let (n, e) = (n?, e?);
        let bits = bit_length(&n);
        if !RSA_BITS.contains(&bits) {
            let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
            self.fault(
                "n",
                format!("must have {least} to {most} bits; it has {bits}"),
            );
            return None;
        }
        if n.last().is_none_or(|last| last % 2 == 0) {
            self.fault("n", "is not an RSA modulus: it is even");
            return None;
        }
        // With a small exponent, faults in padding have let messages be read.
        if !(17..=33).contains(&bit_length(&e)) || e.last().is_none_or(|last| last % 2 == 0) {
            self.fault("e", "must be an odd number from 65537 (AQAB) to 2^33");
            return None;
        }
        let trim = |number: Vec<u8>| -> Vec<u8> {
            number.into_iter().skip_while(|byte| *byte == 0).collect()
        };
        let components = PublicKeyComponents {
            n: trim(n),
            e: trim(e),
        };
        let public: Result<PublicEncryptingKey, Unspecified> = components.try_into();
        match public.and_then(OaepPublicEncryptingKey::new) {
            Ok(key) => Some(Key::Rsa(key)),
            Err(_) => {
                self.fault("n", "is not an RSA modulus");
                None
            }
        }
    }

    fn p256(&mut self) -> Option<Key> {
        let alg = self.alg(&["ECDH-ES", "ECDH-ES+A256KW"]);
        match self.text("crv") {
            Some("P-256") => {}
            Some(_) => {
                self.fault("crv", "must be P-256");
                return None;
            }
            None => return None,
        }
        let (x, y) = (self.bytes("x"), self.bytes("y"));
        let (x, y) = (x?, y?);
        let before = self.faults.len();
        for (member, coordinate) in [("x", &x), ("y", &y)] {
            if coordinate.len() != COORDINATE {
                self.fault(member, format!("must be {COORDINATE} bytes"));
            }
        }
        if self.faults.len() > before {
            return None;
        }
        let point = UnparsedPublicKey::new(&ECDH_P256, [[4].as_slice(), &x, &y].concat());
        match ParsedPublicKey::try_from(&point) {
            Ok(_) => Some(Key::P256 {
                point,
                wraps: alg != Some("ECDH-ES"),
            }),
            Err(_) => {
                self.fault("x", "is, with y, no point on P-256");
                None
            }
        }
    }
}

/// How many bits a number has, big-endian.
fn bit_length(number: &[u8]) -> usize {
    let mut rest = number.iter().skip_while(|byte| **byte == 0);
    match rest.next() {
        None => 0,
        Some(first) => 8 * (rest.count() + 1) - first.leading_zeros() as usize,
    }
}

#[cfg(test)]
mod tests;
