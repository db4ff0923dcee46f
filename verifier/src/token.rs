//! The outside of a token: a JWS in compact serialisation whose header is that of an access token
//! (RFC 7515 §3.1, RFC 9068 §2.1). Nothing here is authenticated yet.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{Algorithm, error::TokenFault, json};

/// The longest token that is looked at, in characters: nobody should issue a longer one.
///
/// ```
/// let scopes = "orders:read ".repeat(1000);
/// assert!(scopes.len() > onyx_verifier::MAX_TOKEN_LENGTH);
/// ```
pub const MAX_LENGTH: usize = 8 * 1024;

/// Header members that would change how the token is verified or where its key comes from.
///
/// No access token of Onyx Auth has any. `crit` and `b64` must not be passed over (RFC 7515
/// §4.1.11, RFC 7797 §6). The others could be, but a token that brings its own key is not one of
/// ours, and refusing it is as safe as never following it and easier to see.
const FORBIDDEN: [&str; 6] = ["crit", "b64", "jku", "jwk", "x5u", "x5c"];

/// A token that has the right form and has still to be verified.
pub(crate) struct Token<'a> {
    /// What the signature is over: header and payload as sent.
    pub(crate) signed: &'a str,
    /// The header as sent.
    pub(crate) header: &'a str,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// Which key a token says that it is signed with, and how.
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: String,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(token: &'a str) -> Result<Self, TokenFault> {
        if token.len() > MAX_LENGTH {
            return Err(TokenFault::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        // A dot too many ends up in the payload, where it is not base64url.
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::Malformed)?;
        Ok(Self {
            signed,
            header,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }
}

impl Header {
    /// Reads a header, all that it says.
    pub(crate) fn read(encoded: &str) -> Result<Self, TokenFault> {
        let header = json::object(&decode(encoded)?)?;
        let text = |name| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(TokenFault::Malformed),
        };
        if !text("typ")?.is_some_and(is_access_token) {
            return Err(TokenFault::WrongType);
        }
        if let Some(name) = FORBIDDEN
            .into_iter()
            .find(|name| header.contains_key(*name))
        {
            return Err(TokenFault::ForbiddenHeader(name));
        }
        let algorithm = text("alg")?
            .ok_or(TokenFault::Malformed)?
            .parse()
            .map_err(|_| TokenFault::WrongAlgorithm)?;
        let kid = text("kid")?.ok_or(TokenFault::MissingKeyId)?.to_owned();
        Ok(Self { algorithm, kid })
    }
}

/// Base64url without padding, and with the unused bits of the last character zero (RFC 7515 §2).
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenFault::Malformed)
}

/// `at+jwt` or `application/at+jwt`; media types know no case (RFC 9068 §4, RFC 7515 §4.1.9).
fn is_access_token(typ: &str) -> bool {
    ["at+jwt", "application/at+jwt"]
        .into_iter()
        .any(|ours| typ.eq_ignore_ascii_case(ours))
}
