//! Public keys as they travel: JSON Web Keys and sets of them (RFC 7517).
//!
//! Nothing here is trusted or computed with; [`crate::keys`] does that.

use std::{collections::HashSet, fmt, str::FromStr};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A signature algorithm of access tokens, all of them asymmetric (RFC 7518 §3.1, RFC 8037 §3.1).
///
/// ```
/// use onyx_verifier::Algorithm;
///
/// assert_eq!("ES256".parse(), Ok(Algorithm::Es256));
/// assert_eq!(Algorithm::EdDsa.to_string(), "EdDSA");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256 and MGF1 with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// Every algorithm that the verifier accepts.
    ///
    /// ```
    /// assert!(onyx_verifier::Algorithm::ALL.iter().all(|algorithm| algorithm.as_str() != "HS256"));
    /// ```
    pub const ALL: [Self; 4] = [Self::Es256, Self::Rs256, Self::Ps256, Self::EdDsa];

    /// The registered name, as in `alg` (RFC 7518 §3.1, RFC 8037 §3.1).
    ///
    /// ```
    /// assert_eq!(onyx_verifier::Algorithm::Ps256.as_str(), "PS256");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name is of no [`Algorithm`].
///
/// ```
/// use onyx_verifier::{Algorithm, UnknownAlgorithm};
///
/// assert_eq!("none".parse::<Algorithm>(), Err(UnknownAlgorithm));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of ES256, RS256, PS256, EdDSA")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Reads a registered name; case matters (RFC 7515 §4.1.1).
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or(UnknownAlgorithm)
    }
}

/// A public signature key (RFC 7517 §4).
///
/// ```
/// use onyx_verifier::{Algorithm, Jwk, JwkKey};
///
/// // RFC 8037 appendix A.2
/// let key = JwkKey::Okp {
///     crv: "Ed25519".into(),
///     x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
/// };
/// let jwk = Jwk { kid: key.thumbprint(), alg: Algorithm::EdDsa, use_: "sig".into(), key };
/// assert_eq!(jwk.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// The name that tokens call the key by (§4.5).
    pub kid: String,
    /// The one algorithm that the key is for (§4.4).
    pub alg: Algorithm,
    /// `sig`; a key for anything else verifies nothing (§4.2).
    #[serde(rename = "use", default = "sig")]
    pub use_: String,
    /// The key itself.
    #[serde(flatten)]
    pub key: JwkKey,
}

fn sig() -> String {
    "sig".to_owned()
}

/// The public members of a key, each base64url without padding (RFC 7518 §6, RFC 8037 §2).
///
/// ```
/// use onyx_verifier::JwkKey;
///
/// let key: JwkKey = serde_json::from_str(r#"{"kty":"OKP","crv":"Ed25519","x":"eA"}"#)?;
/// assert_eq!(key, JwkKey::Okp { crv: "Ed25519".into(), x: "eA".into() });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub enum JwkKey {
    /// A point on an elliptic curve.
    #[serde(rename = "EC")]
    Ec {
        /// The curve, `P-256`.
        crv: String,
        /// The x coordinate, 32 bytes.
        x: String,
        /// The y coordinate, 32 bytes.
        y: String,
    },
    /// An RSA public key.
    #[serde(rename = "RSA")]
    Rsa {
        /// The modulus, big endian, without leading zeros.
        n: String,
        /// The public exponent, big endian, without leading zeros.
        e: String,
    },
    /// An octet key pair.
    #[serde(rename = "OKP")]
    Okp {
        /// The curve, `Ed25519`.
        crv: String,
        /// The public key, 32 bytes.
        x: String,
    },
}

impl JwkKey {
    /// The key's SHA-256 thumbprint, base64url without padding (RFC 7638 §3, RFC 8037 §2).
    ///
    /// ```
    /// use onyx_verifier::JwkKey;
    ///
    /// // The key of RFC 8037, appendix A.3.
    /// let key = JwkKey::Okp {
    ///     crv: "Ed25519".into(),
    ///     x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
    /// };
    /// assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    /// ```
    pub fn thumbprint(&self) -> String {
        // Written out because the members' order must not hang on how serde_json keeps its maps.
        let text = |value: &str| Value::from(value).to_string();
        let members = match self {
            Self::Ec { crv, x, y } => format!(
                r#"{{"crv":{},"kty":"EC","x":{},"y":{}}}"#,
                text(crv),
                text(x),
                text(y)
            ),
            Self::Rsa { n, e } => format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, text(e), text(n)),
            Self::Okp { crv, x } => {
                format!(r#"{{"crv":{},"kty":"OKP","x":{}}}"#, text(crv), text(x))
            }
        };
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
    }

    /// The algorithm of a key that names none, where its type leaves only one.
    fn only_algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Ec { crv, .. } if crv == "P-256" => Some(Algorithm::Es256),
            Self::Okp { crv, .. } if crv == "Ed25519" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

/// A set of public keys (RFC 7517 §5).
///
/// Reading is tolerant, as §5 asks: members that are not understood are ignored, and so is every
/// key of an unknown type or algorithm, for another use than signatures, without a `kid`, or
/// with the `kid` of a key before it. Private members are never kept.
///
/// ```
/// let set: onyx_verifier::JwkSet = serde_json::from_str(r#"{"keys": [
///     {"kty": "oct", "k": "c2VjcmV0", "kid": "not for us"},
///     {"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
/// ]}"#)?;
/// assert_eq!(set.keys.len(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The keys, in the order in which they were published.
    pub keys: Vec<Jwk>,
}

impl<'de> Deserialize<'de> for JwkSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            keys: Vec<Value>,
        }
        let mut seen = HashSet::new();
        let keys = Wire::deserialize(deserializer)?
            .keys
            .into_iter()
            .filter_map(signature_key)
            .filter(|jwk| seen.insert(jwk.kid.clone()))
            .collect();
        Ok(Self { keys })
    }
}

/// Reads one key of a set. `None`: not a public signature key of a kind that is understood.
fn signature_key(wire: Value) -> Option<Jwk> {
    let may_verify = match wire.get("key_ops") {
        None => true,
        Some(operations) => operations.as_array()?.iter().any(|one| one == "verify"),
    };
    let jwk = if wire.get("alg").is_some() {
        Jwk::deserialize(wire).ok()?
    } else {
        let key = JwkKey::deserialize(&wire).ok()?;
        Jwk {
            kid: wire.get("kid")?.as_str()?.to_owned(),
            alg: key.only_algorithm()?,
            use_: match wire.get("use") {
                None => sig(),
                Some(usage) => usage.as_str()?.to_owned(),
            },
            key,
        }
    };
    (may_verify && jwk.use_ == "sig").then_some(jwk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_of_rfc_7638() {
        let key = JwkKey::Rsa {
            n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw".into(),
            e: "AQAB".into(),
        };
        assert_eq!(
            key.thumbprint(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn an_algorithm_is_read_by_its_exact_name() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
            assert_eq!(
                serde_json::to_value(algorithm).unwrap(),
                algorithm.to_string()
            );
        }
        for name in ["none", "HS256", "es256", "EDDSA", "ES256 ", "RS512", ""] {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm));
        }
    }

    #[test]
    fn a_key_is_written_without_wrapping() {
        let jwk = Jwk {
            kid: "1".into(),
            alg: Algorithm::Es256,
            use_: "sig".into(),
            key: JwkKey::Ec {
                crv: "P-256".into(),
                x: "eA".into(),
                y: "eQ".into(),
            },
        };
        let wire =
            r#"{"kid":"1","alg":"ES256","use":"sig","kty":"EC","crv":"P-256","x":"eA","y":"eQ"}"#;
        assert_eq!(serde_json::to_string(&jwk).unwrap(), wire);
        assert_eq!(serde_json::from_str::<Jwk>(wire).unwrap(), jwk);
    }

    #[test]
    fn a_set_is_read_for_what_is_understood_in_it() {
        let set: JwkSet = serde_json::from_str(
            r#"{"unknown": 1, "keys": [
                {"kid": "derived", "kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"},
                {"kid": "derived", "kty": "OKP", "crv": "Ed25519", "x": "second of that kid"},
                {"kid": "private", "kty": "OKP", "crv": "Ed25519", "x": "eA", "d": "c2VjcmV0", "x5c": []},
                {"kid": "named", "kty": "RSA", "alg": "PS256", "use": "sig", "n": "bg", "e": "AQAB", "key_ops": ["verify"]},
                {"kid": "no algorithm", "kty": "RSA", "n": "bg", "e": "AQAB"},
                {"kid": "encryption", "kty": "RSA", "alg": "RS256", "use": "enc", "n": "bg", "e": "AQAB"},
                {"kid": "encryption too", "kty": "EC", "use": "enc", "crv": "P-256", "x": "eA", "y": "eQ"},
                {"kid": "signs only", "kty": "RSA", "alg": "RS256", "key_ops": ["sign"], "n": "bg", "e": "AQAB"},
                {"kid": "other curve", "kty": "EC", "crv": "P-384", "x": "eA", "y": "eQ"},
                {"kid": "other algorithm", "kty": "RSA", "alg": "RS512", "n": "bg", "e": "AQAB"},
                {"kid": "symmetric", "kty": "oct", "alg": "HS256", "k": "c2VjcmV0"},
                {"kid": 7, "kty": "OKP", "crv": "Ed25519", "x": "eA"},
                {"kty": "OKP", "crv": "Ed25519", "x": "no kid"},
                "not a key", null
            ]}"#,
        )
        .unwrap();
        let read: Vec<_> = set
            .keys
            .iter()
            .map(|jwk| (jwk.kid.as_str(), jwk.alg))
            .collect();
        assert_eq!(
            read,
            [
                ("derived", Algorithm::Es256),
                ("private", Algorithm::EdDsa),
                ("named", Algorithm::Ps256)
            ]
        );
        assert!(!serde_json::to_string(&set).unwrap().contains("c2VjcmV0"));
        assert!(serde_json::from_str::<JwkSet>("{}").is_err());
    }
}
