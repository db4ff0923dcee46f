//! Revocations: what must not be accepted any more, whoever gave it out.

use std::time::Duration;

use super::id::{ClientId, CredentialId, PartnerId};
use super::realm::Realm;
use super::scope::Scope;
use super::words;

words!(
    /// What a revocation is about.
    RevocationKind {
        Token = "token",
        Credential = "credential",
        Client = "client",
        Partner = "partner",
        Key = "key",
        Grant = "grant",
    }
);

/// What is revoked, in one realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One token, by its `jti`.
    Token(String),
    /// All tokens of a credential.
    Credential(CredentialId),
    /// All tokens of a client.
    Client(ClientId),
    /// All tokens of a partner's clients.
    Partner(PartnerId),
    /// All tokens that a key signed, by its `kid`.
    Key(String),
    /// All tokens of a partner's clients that carry the scope.
    Grant(PartnerId, Scope),
}

impl Revoked {
    /// Its kind.
    pub fn kind(&self) -> RevocationKind {
        match self {
            Self::Token(_) => RevocationKind::Token,
            Self::Credential(_) => RevocationKind::Credential,
            Self::Client(_) => RevocationKind::Client,
            Self::Partner(_) => RevocationKind::Partner,
            Self::Key(_) => RevocationKind::Key,
            Self::Grant(..) => RevocationKind::Grant,
        }
    }

    /// The subject's name.
    pub fn id(&self) -> &str {
        match self {
            Self::Token(id) | Self::Key(id) => id,
            Self::Credential(id) => id.as_str(),
            Self::Client(id) => id.as_str(),
            Self::Partner(id) | Self::Grant(id, _) => id.as_str(),
        }
    }

    /// The scope of a grant.
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Self::Grant(_, scope) => Some(scope),
            _ => None,
        }
    }
}

/// A revocation, before it has its number.
#[derive(Clone, Debug)]
pub struct Entry {
    /// In which realm.
    pub realm: Realm,
    /// What.
    pub revoked: Revoked,
    /// Why, in a word.
    pub reason: String,
}

/// How long a revocation must be remembered: the longest token, clocks that disagree by a
/// minute, and the longest that a node gives tokens without news.
pub fn remembered(max_staleness: Duration) -> Duration {
    Duration::from_secs(900 + 60) + max_staleness
}
