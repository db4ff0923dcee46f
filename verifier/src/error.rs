//! Why a request is refused, and why a verifier cannot be had.

use std::fmt::Write as _;

use crate::FeedError;

/// Why a request is not let through (RFC 6750 §3.1).
///
/// [`status`](Self::status), [`code`](Self::code) and [`challenge`](Self::challenge) say what to
/// answer. `Display` is for the service's own log; [`description`](Self::description) is for the
/// caller.
///
/// ```
/// use onyx_verifier::{Rejection, TokenFault};
///
/// let refused = Rejection::from(TokenFault::Expired);
/// assert_eq!(refused.status(), 401);
/// assert_eq!(refused.to_string(), "invalid token: expired");
/// assert_eq!(refused.description(), "The access token has expired.");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The request carries no bearer token.
    #[error("no bearer token")]
    NoCredentials,
    /// The request carries its token in a way that RFC 6750 does not allow.
    #[error("malformed request: {0}")]
    InvalidRequest(&'static str),
    /// The token is not one to be trusted here and now.
    #[error("invalid token: {0}")]
    InvalidToken(#[from] TokenFault),
    /// The token is good, but does not reach this far.
    #[error("scope {required} is missing")]
    InsufficientScope {
        /// The scope, or several separated by spaces, that the request needs.
        required: String,
    },
    /// The token cannot be judged, because the issuer's keys, or its word on what was revoked,
    /// cannot be had.
    #[error("the issuer's keys or revocations are unavailable")]
    Unavailable,
}

/// What is wrong with a token.
///
/// ```
/// use onyx_verifier::{Rejection, TokenFault};
///
/// /// Whether it is worth a line in the security log.
/// fn is_odd(rejection: &Rejection) -> bool {
///     use TokenFault::{BadSignature, ForbiddenHeader, WrongAlgorithm};
///     matches!(
///         rejection,
///         Rejection::InvalidToken(BadSignature | ForbiddenHeader(_) | WrongAlgorithm)
///     )
/// }
/// assert!(is_odd(&TokenFault::BadSignature.into()));
/// assert!(!is_odd(&TokenFault::Expired.into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenFault {
    /// It is not a JWS in compact serialisation with strict JSON inside (RFC 7515 §3.1, §5.2), or
    /// longer than 8 KiB.
    #[error("not a well-formed token")]
    Malformed,
    /// Its `typ` is not that of an access token (RFC 9068 §2.1).
    #[error("not an access token")]
    WrongType,
    /// Its header has a member that no access token of this issuer has and that would change how
    /// it is verified: `crit`, `b64`, `jku`, `jwk`, `x5u`, `x5c`.
    #[error("header member {0} is not allowed")]
    ForbiddenHeader(&'static str),
    /// Its header names no key.
    #[error("no key is named")]
    MissingKeyId,
    /// Its header names a key that the issuer does not publish.
    #[error("unknown key")]
    UnknownKey,
    /// Its algorithm is not the one of its key (RFC 8725 §3.1).
    #[error("the key is for another algorithm")]
    WrongAlgorithm,
    /// Its signature does not match.
    #[error("bad signature")]
    BadSignature,
    /// A required claim is absent (RFC 9068 §2.2).
    #[error("claim {0} is missing")]
    MissingClaim(&'static str),
    /// A claim has the wrong type.
    #[error("claim {0} is of the wrong type")]
    InvalidClaim(&'static str),
    /// It was issued by somebody else.
    #[error("wrong issuer")]
    WrongIssuer,
    /// It is meant for another service.
    #[error("wrong audience")]
    WrongAudience,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time has not come, or it claims to have been issued in the future.
    #[error("not yet valid")]
    NotYetValid,
    /// It, or something that it hangs on, was revoked after it was issued.
    #[error("revoked")]
    Revoked,
    /// It is bound to its sender's key (`cnf`) and so is worth nothing as a bearer token
    /// (RFC 9449 §7.1, RFC 8705 §3).
    #[error("sender-constrained token sent as bearer token")]
    SenderConstrained,
}

impl Rejection {
    /// The HTTP status of the answer (RFC 6750 §3.1).
    ///
    /// ```
    /// use onyx_verifier::Rejection;
    ///
    /// assert_eq!(Rejection::NoCredentials.status(), 401);
    /// assert_eq!(Rejection::Unavailable.status(), 503);
    /// ```
    pub fn status(&self) -> u16 {
        match self {
            Self::NoCredentials | Self::InvalidToken(_) => 401,
            Self::InvalidRequest(_) => 400,
            Self::InsufficientScope { .. } => 403,
            Self::Unavailable => 503,
        }
    }

    /// The error code (RFC 6750 §3.1). `None`: the answer must not have one.
    ///
    /// ```
    /// use onyx_verifier::Rejection;
    ///
    /// assert_eq!(Rejection::NoCredentials.code(), None);
    /// let refused = Rejection::InsufficientScope { required: "orders:read".into() };
    /// assert_eq!(refused.code(), Some("insufficient_scope"));
    /// ```
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::NoCredentials | Self::Unavailable => None,
            Self::InvalidRequest(_) => Some("invalid_request"),
            Self::InvalidToken(_) => Some("invalid_token"),
            Self::InsufficientScope { .. } => Some("insufficient_scope"),
        }
    }

    /// A sentence for the caller, within the characters of `error_description` (RFC 6750 §3).
    ///
    /// Of a token whose signature did not verify it says only that it is not valid.
    ///
    /// ```
    /// use onyx_verifier::{Rejection, TokenFault};
    ///
    /// let refused = Rejection::from(TokenFault::BadSignature);
    /// assert_eq!(refused.description(), "The access token is not valid.");
    /// ```
    pub fn description(&self) -> &'static str {
        match self {
            Self::NoCredentials => "An access token is required.",
            Self::InvalidRequest(reason) => reason,
            Self::InvalidToken(fault) => fault.description(),
            Self::InsufficientScope { .. } => "The access token lacks a scope.",
            Self::Unavailable => "The access token cannot be verified right now.",
        }
    }

    /// The value of the `WWW-Authenticate` header (RFC 6750 §3, RFC 9728 §5.1).
    ///
    /// `None`: the answer has no such header. `resource_metadata` is the URL of the service's
    /// protected resource metadata, where it has such a document.
    ///
    /// ```
    /// use onyx_verifier::Rejection;
    ///
    /// assert_eq!(
    ///     Rejection::NoCredentials.challenge("orders", None).as_deref(),
    ///     Some(r#"Bearer realm="orders""#)
    /// );
    /// let refused = Rejection::InsufficientScope { required: "orders:read".into() };
    /// assert_eq!(
    ///     refused.challenge("orders", None).as_deref(),
    ///     Some(concat!(
    ///         r#"Bearer realm="orders", error="insufficient_scope", "#,
    ///         r#"error_description="The access token lacks a scope.", scope="orders:read""#,
    ///     ))
    /// );
    /// ```
    pub fn challenge(&self, realm: &str, resource_metadata: Option<&str>) -> Option<String> {
        if matches!(self, Self::Unavailable) {
            return None;
        }
        let mut challenge = String::from("Bearer ");
        parameter(&mut challenge, "realm", realm);
        if let Some(code) = self.code() {
            parameter(&mut challenge, "error", code);
            parameter(&mut challenge, "error_description", self.description());
        }
        if let Self::InsufficientScope { required } = self {
            parameter(&mut challenge, "scope", required);
        }
        if let Some(url) = resource_metadata {
            parameter(&mut challenge, "resource_metadata", url);
        }
        Some(challenge)
    }
}

impl TokenFault {
    fn description(self) -> &'static str {
        match self {
            Self::Malformed
            | Self::WrongType
            | Self::ForbiddenHeader(_)
            | Self::MissingKeyId
            | Self::UnknownKey
            | Self::WrongAlgorithm
            | Self::BadSignature
            | Self::MissingClaim(_)
            | Self::InvalidClaim(_)
            | Self::WrongIssuer => "The access token is not valid.",
            Self::WrongAudience => "The access token is meant for another service.",
            Self::Expired => "The access token has expired.",
            Self::NotYetValid => "The access token is not valid yet.",
            Self::Revoked => "The access token was revoked.",
            Self::SenderConstrained => "The access token is bound to a key and no bearer token.",
        }
    }
}

/// Appends `name="value"` as a quoted string (RFC 9110 §5.6.4); what cannot stand in one is left out.
fn parameter(challenge: &mut String, name: &str, value: &str) {
    if challenge.ends_with('"') {
        challenge.push_str(", ");
    }
    // Writing to a String cannot fail.
    let _ = write!(challenge, "{name}=\"");
    for character in value.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(character, '"' | '\\') {
            challenge.push('\\');
        }
        challenge.push(character);
    }
    challenge.push('"');
}

/// Why there is no verifier, or why its keys could not be replaced.
///
/// ```
/// use onyx_verifier::{ConnectError, JwkSet, Verifier};
///
/// let none = Verifier::builder("https://auth.example/live", "https://orders.example")
///     .jwks(JwkSet::default());
/// assert!(matches!(none, Err(ConnectError::NoKeys)));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A URL cannot be read, or has parts that it must not have.
    #[error("{url:?} is not a usable URL: {reason}")]
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up an HTTP client")]
    Client(#[source] reqwest::Error),
    /// A document cannot be fetched.
    #[error("cannot fetch {url}")]
    Fetch {
        /// The document's URL.
        url: String,
        /// What went wrong on the way.
        source: reqwest::Error,
    },
    /// A document was answered with another status than 200. Redirects are not followed.
    #[error("{url} answered with status {status}")]
    Status {
        /// The document's URL.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A document is longer than 64 KiB.
    #[error("{url} answered with more than 64 KiB")]
    TooLarge {
        /// The document's URL.
        url: String,
    },
    /// A document is not the JSON that it ought to be.
    #[error("{url} answered with something else than was asked for")]
    Json {
        /// The document's URL.
        url: String,
        /// Where it departs.
        source: serde_json::Error,
    },
    /// The metadata are those of another issuer (RFC 8414 §3.3).
    #[error("the metadata are those of issuer {found:?}, not of {expected:?}")]
    IssuerMismatch {
        /// The issuer that was asked for.
        expected: String,
        /// The issuer that the metadata name.
        found: String,
    },
    /// The issuer's revocations cannot be had, so it is not known which tokens are good.
    #[error("revocations cannot be followed")]
    Revocations(#[source] FeedError),
    /// There is no key to verify a token with.
    #[error("there is no usable key")]
    NoKeys,
    /// A key is not what it says it is.
    #[error("key {kid:?} is unusable: {reason}")]
    UnusableKey {
        /// The key's name.
        kid: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two keys have one name.
    #[error("two keys are named {0:?}")]
    DuplicateKeyId(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_credentials_gets_a_bare_challenge() {
        assert_eq!(
            Rejection::NoCredentials
                .challenge(
                    "api",
                    Some("https://api.example/.well-known/oauth-protected-resource")
                )
                .as_deref(),
            Some(
                r#"Bearer realm="api", resource_metadata="https://api.example/.well-known/oauth-protected-resource""#
            )
        );
    }

    #[test]
    fn a_challenge_cannot_be_broken_out_of() {
        let refused = Rejection::InsufficientScope {
            required: "a\", error=\"x\r\nSet-Cookie: \u{e9}\\".into(),
        };
        assert_eq!(
            refused.challenge("r\"m", None).as_deref(),
            Some(
                r#"Bearer realm="r\"m", error="insufficient_scope", error_description="The access token lacks a scope.", scope="a\", error=\"xSet-Cookie: \\""#
            )
        );
    }

    #[test]
    fn each_rejection_has_its_status_and_code() {
        let all = [
            (Rejection::NoCredentials, 401, None),
            (Rejection::InvalidRequest("x"), 400, Some("invalid_request")),
            (TokenFault::Expired.into(), 401, Some("invalid_token")),
            (
                Rejection::InsufficientScope {
                    required: "x".into(),
                },
                403,
                Some("insufficient_scope"),
            ),
            (Rejection::Unavailable, 503, None),
        ];
        for (rejection, status, code) in all {
            assert_eq!((rejection.status(), rejection.code()), (status, code));
        }
        assert_eq!(Rejection::Unavailable.challenge("api", None), None);
    }

    #[test]
    fn an_unproven_token_is_told_nothing() {
        for fault in [
            TokenFault::UnknownKey,
            TokenFault::WrongAlgorithm,
            TokenFault::BadSignature,
            TokenFault::ForbiddenHeader("jku"),
        ] {
            assert_eq!(
                Rejection::from(fault).description(),
                "The access token is not valid."
            );
        }
    }
}
