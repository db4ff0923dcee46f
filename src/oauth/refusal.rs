//! Why a request at an OAuth endpoint is refused (RFC 6749 §5.2, RFC 8707 §2).

use std::borrow::Cow;
use std::time::Duration;

use crate::journal::AppendError;
use crate::keys::signer::SignerError;
use crate::limits::Over;
use crate::store::StoreError;

/// A refusal. What it prints goes to the caller: it helps, and gives nothing away.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Malformed, repeated or contradictory parameters.
    #[error("{0}")]
    InvalidRequest(Cow<'static, str>),
    /// The request shows no credentials; this tells nothing about any client.
    #[error("{0}")]
    NoClientAuthentication(&'static str),
    /// Unknown client, wrong secret, suspended, revoked or expired: one answer for all.
    #[error("client authentication failed")]
    InvalidClient,
    /// The right secret, shown from where its client may not call. The caller is told the same.
    #[error("client authentication failed")]
    WrongAddress,
    /// Too many attempts of this client, or from its address, failed; for how long to wait.
    #[error("too many failed authentications: wait as long as Retry-After says")]
    TooManyFailures(Duration),
    /// Only client_credentials is served.
    #[error("grant_type must be client_credentials")]
    UnsupportedGrantType,
    /// A scope that is malformed, or not held at the audience.
    #[error("{0}")]
    InvalidScope(Cow<'static, str>),
    /// A resource that is malformed, unknown, or not to be combined with the others.
    #[error("{0}")]
    InvalidTarget(Cow<'static, str>),
    /// The client may not do this.
    #[error("{0}")]
    UnauthorizedClient(Cow<'static, str>),
    /// What was shown is good, and not for this any more.
    #[error("{0}")]
    InvalidGrant(Cow<'static, str>),
    /// Another rotation is under way.
    #[error("{0}")]
    RotationPending(Cow<'static, str>),
    /// The client's partner is over one of its limits.
    #[error("{} are over their limit; try again later, and keep a token for as long as it lives", .0.limit.what())]
    LimitExceeded(Over),
    /// The database is not to be had.
    #[error("the server cannot look clients up right now; try again")]
    Store(#[from] StoreError),
    /// The token's record did not become durable: no token is given.
    #[error("the server cannot record a token right now; try again")]
    Append(#[from] AppendError),
    /// Looking everything up took so long that it may be true no more.
    #[error("the server took too long to look everything up; try again")]
    Late,
    /// No key signs for the audience's algorithm.
    #[error("the server cannot sign a token right now; try again")]
    NoKey,
    /// No status list has a place for the token.
    #[error("the server cannot place a token on a status list right now; try again")]
    NoIndex(#[source] StoreError),
    /// The system has no randomness.
    #[error("the server cannot make a secret right now; try again")]
    Randomness(#[from] rand::rngs::SysError),
    /// Signing failed.
    #[error("the server cannot sign a token right now; try again")]
    Signer(#[from] SignerError),
}

impl Refusal {
    /// A malformed request, with what to mend.
    pub fn invalid_request(advice: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidRequest(advice.into())
    }

    /// The registered error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::NoClientAuthentication(_) | Self::InvalidClient | Self::WrongAddress => {
                "invalid_client"
            }
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope(_) => "invalid_scope",
            Self::InvalidTarget(_) => "invalid_target",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::RotationPending(_) => "rotation_pending",
            // RFC 6749 §5.2 and the registry have no code of their own for this: what says which limit it
            // was is a member beside it.
            Self::LimitExceeded(_)
            | Self::TooManyFailures(_)
            | Self::Store(_)
            | Self::Append(_)
            | Self::Late
            | Self::NoKey
            | Self::NoIndex(_)
            | Self::Randomness(_)
            | Self::Signer(_) => "temporarily_unavailable",
        }
    }

    /// What the caller has too much of, by its stable name: it is told with status 429.
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::LimitExceeded(over) => Some(over.limit.code()),
            Self::TooManyFailures(_) => Some("too_many_failures"),
            _ => None,
        }
    }
}
