//! An issuer for tests: keys of every kind, and tokens as good or as bad as wanted.

use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use onyx_verifier::{Algorithm, Caller, Jwk, JwkKey, JwkSet, Rejection, Verifier};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://auth.example/live";
pub(crate) const AUDIENCE: &str = "https://auth.example/live/v1";
/// The moment at which the tests' tokens are looked at.
pub(crate) const NOW: i64 = 1_800_000_000;

/// One key of each algorithm, its `kid` the algorithm's name.
pub(crate) static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
    Algorithm::ALL
        .into_iter()
        .map(SigningKey::generate)
        .collect()
});

pub(crate) struct SigningKey {
    pub(crate) jwk: Jwk,
    pub(crate) pair: Pair,
}

pub(crate) enum Pair {
    Ec(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    Ed(Ed25519KeyPair),
}

/// The key of an algorithm.
pub(crate) fn key(algorithm: Algorithm) -> &'static SigningKey {
    KEYS.iter().find(|key| key.jwk.alg == algorithm).unwrap()
}

pub(crate) fn jwks<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> JwkSet {
    JwkSet {
        keys: keys.into_iter().map(|key| key.jwk.clone()).collect(),
    }
}

/// A verifier with the fixed [`KEYS`].
pub(crate) fn verifier() -> Verifier {
    Verifier::builder(ISSUER, AUDIENCE)
        .jwks(jwks(&*KEYS))
        .unwrap()
}

/// The verdict on a token at [`NOW`].
pub(crate) fn verdict(token: &str) -> Result<Caller, Rejection> {
    verifier().verify_at(token, NOW)
}

/// The header of a good token.
pub(crate) fn header(algorithm: Algorithm) -> Value {
    json!({"alg": algorithm, "typ": "at+jwt", "kid": algorithm.as_str()})
}

/// The claims of a good token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "cl_live_1", "client_id": "cl_live_1", "aud": AUDIENCE,
        "scope": "orders:create orders:read", "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 290,
        "jti": "tok_1", "partner_id": "ptn_1", "env": "live", "credential_id": "crd_1", "rsn": 7,
        "status": {"status_list": {"idx": 3, "uri": "https://auth.example/live/oauth2/status-lists/1"}},
    })
}

/// A token that is good at this moment, under [`KEYS`].
#[cfg(any(feature = "actix", feature = "tower"))]
pub(crate) fn current_token() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = with(claims(), "exp", json!(now + 300));
    let claims = with(with(claims, "iat", json!(now)), "nbf", json!(now));
    key(Algorithm::Es256).token(header(Algorithm::Es256), claims)
}

/// `object` with one member set, or removed where `value` is null.
pub(crate) fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    object
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl SigningKey {
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        let (key, pair) = match algorithm {
            Algorithm::Es256 => {
                let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let document = EcdsaKeyPair::generate_pkcs8(scheme, &SystemRandom::new()).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(scheme, document.as_ref()).unwrap();
                let point = pair.public_key().as_ref().strip_prefix(&[4]).unwrap();
                let (x, y) = point.split_at(32);
                let key = JwkKey::Ec {
                    crv: "P-256".into(),
                    x: encode(x),
                    y: encode(y),
                };
                (key, Pair::Ec(document.as_ref().to_vec()))
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                // RSAPublicKey of RFC 8017 A.1.1: 256 bytes of modulus, then 65537 in 5 bytes.
                let (_, tail) = pair
                    .public_key()
                    .as_ref()
                    .split_last_chunk::<261>()
                    .unwrap();
                let (modulus, _) = tail.split_at(256);
                let key = JwkKey::Rsa {
                    n: encode(modulus),
                    e: "AQAB".into(),
                };
                (key, Pair::Rsa(Box::new(pair)))
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let key = JwkKey::Okp {
                    crv: "Ed25519".into(),
                    x: encode(pair.public_key()),
                };
                (key, Pair::Ed(pair))
            }
        };
        let jwk = Jwk {
            kid: algorithm.to_string(),
            alg: algorithm,
            use_: "sig".into(),
            key,
        };
        Self { jwk, pair }
    }

    /// The same key under another name.
    pub(crate) fn named(mut self, kid: &str) -> Self {
        self.jwk.kid = kid.to_owned();
        self
    }

    /// A token with this header and these claims, texts or JSON values alike.
    pub(crate) fn token(&self, header: impl ToString, claims: impl ToString) -> String {
        let signed = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        format!("{signed}.{}", encode(self.sign(signed.as_bytes())))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ec(document) => {
                let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_pkcs8(scheme, document).unwrap();
                pair.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(_) if self.jwk.alg == Algorithm::Ps256 => {
                self.sign_rsa(&RSA_PSS_SHA256, message)
            }
            Pair::Rsa(_) => self.sign_rsa(&RSA_PKCS1_SHA256, message),
        }
    }

    pub(crate) fn sign_rsa(&self, scheme: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let Pair::Rsa(pair) = &self.pair else {
            panic!("not an RSA key")
        };
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = SystemRandom::new();
        pair.sign(scheme, &random, message, &mut signature).unwrap();
        signature
    }

    /// An ECDSA signature in the DER form of X.509, which JWS does not use.
    pub(crate) fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let Pair::Ec(document) = &self.pair else {
            panic!("not an EC key")
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document).unwrap();
        let signature = pair.sign(&SystemRandom::new(), message).unwrap();
        signature.as_ref().to_vec()
    }
}
