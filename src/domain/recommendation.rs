//! Recommendations: what somebody holds and does not need, and what is about to end.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::id::{ClientId, CredentialId, GrantId};
use super::scope::Scope;
use super::words;

words!(
    /// What a recommendation is about; a list shows them in this order.
    RecommendationKind {
        /// A client holds a scope that it has not used for long.
        UnusedScope = "unused_scope",
        /// A credential has not been used for long.
        UnusedCredential = "unused_credential",
        /// A secret ends soon, or is near or past its longest age.
        SecretNearEnd = "secret_near_end",
        /// A grant ends soon, and none follows it.
        GrantNearEnd = "grant_near_end",
    }
);

words!(
    /// What is done when a recommendation is applied.
    Remedy {
        /// The client loses the scope.
        NarrowClient = "narrow_client",
        /// The credential is revoked.
        RevokeCredential = "revoke_credential",
    }
);

impl RecommendationKind {
    /// What applying does; `None`: there is nothing that the server could do by itself.
    pub fn remedy(self) -> Option<Remedy> {
        match self {
            Self::UnusedScope => Some(Remedy::NarrowClient),
            Self::UnusedCredential => Some(Remedy::RevokeCredential),
            Self::SecretNearEnd | Self::GrantNearEnd => None,
        }
    }
}

/// What a recommendation is about: this alone is its id.
///
/// `rec_{kind}_{id of the subject}`, and for a scope its name in base64url besides. So the same
/// recommendation has the same id on every node and on every day, and none is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    UnusedScope(ClientId, Scope),
    UnusedCredential(CredentialId),
    SecretNearEnd(CredentialId),
    GrantNearEnd(GrantId),
}

/// The text is not the id of a recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an id of the form rec_<kind>_<id>")]
pub struct BadAbout;

impl About {
    /// The kind of recommendation.
    pub fn kind(&self) -> RecommendationKind {
        match self {
            Self::UnusedScope(..) => RecommendationKind::UnusedScope,
            Self::UnusedCredential(_) => RecommendationKind::UnusedCredential,
            Self::SecretNearEnd(_) => RecommendationKind::SecretNearEnd,
            Self::GrantNearEnd(_) => RecommendationKind::GrantNearEnd,
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rec_{}_", self.kind())?;
        match self {
            Self::UnusedScope(client, scope) => {
                write!(f, "{client}_{}", URL_SAFE_NO_PAD.encode(scope.as_str()))
            }
            Self::UnusedCredential(id) | Self::SecretNearEnd(id) => id.fmt(f),
            Self::GrantNearEnd(id) => id.fmt(f),
        }
    }
}

impl FromStr for About {
    type Err = BadAbout;

    fn from_str(text: &str) -> Result<Self, BadAbout> {
        let (kind, id) = split(text).ok_or(BadAbout)?;
        match kind {
            RecommendationKind::UnusedScope => {
                scope_of_client(id).map(|(id, scope)| Self::UnusedScope(id, scope))
            }
            RecommendationKind::UnusedCredential => id.parse().ok().map(Self::UnusedCredential),
            RecommendationKind::SecretNearEnd => id.parse().ok().map(Self::SecretNearEnd),
            RecommendationKind::GrantNearEnd => id.parse().ok().map(Self::GrantNearEnd),
        }
        .ok_or(BadAbout)
    }
}

impl serde::Serialize for About {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Where a page of recommendations starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// After this one.
    After(About),
    /// After all unused scopes of this client and of those before it: the search got so far.
    PastClient(ClientId),
}

impl Place {
    /// The kind that the page starts with.
    pub fn kind(&self) -> RecommendationKind {
        match self {
            Self::After(about) => about.kind(),
            Self::PastClient(_) => RecommendationKind::UnusedScope,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(about) => about.fmt(f),
            Self::PastClient(id) => write!(f, "rec_{}_{id}", RecommendationKind::UnusedScope),
        }
    }
}

impl FromStr for Place {
    type Err = BadAbout;

    fn from_str(text: &str) -> Result<Self, BadAbout> {
        if let Ok(about) = text.parse() {
            return Ok(Self::After(about));
        }
        match split(text) {
            Some((RecommendationKind::UnusedScope, id)) => {
                id.parse().map(Self::PastClient).map_err(|_| BadAbout)
            }
            _ => Err(BadAbout),
        }
    }
}

fn split(text: &str) -> Option<(RecommendationKind, &str)> {
    let rest = text.strip_prefix("rec_")?;
    RecommendationKind::ALL.iter().find_map(|kind| {
        let id = rest.strip_prefix(kind.as_str())?.strip_prefix('_')?;
        Some((*kind, id))
    })
}

/// `cl_sbx_<ULID>_<base64url>`; base64url has underscores too.
fn scope_of_client(text: &str) -> Option<(ClientId, Scope)> {
    let end = text.match_indices('_').nth(2)?.0;
    let (client, scope) = text.split_at_checked(end)?;
    let scope = URL_SAFE_NO_PAD.decode(scope.strip_prefix('_')?).ok()?;
    let scope = String::from_utf8(scope).ok()?;
    Some((client.parse().ok()?, scope.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::Instant;
    use crate::domain::realm::Realm;

    fn now() -> Instant {
        Instant::from_epoch_seconds(1_800_000_000)
    }

    #[test]
    fn an_id_says_what_it_is_about_and_parses_back() {
        let client = ClientId::generate(Realm::Sandbox, now());
        let of_scope = |name: &str| About::UnusedScope(client.clone(), name.parse().unwrap());
        let all = [
            of_scope("orders:read"),
            // Its base64url has an underscore.
            of_scope("a??>~~?"),
            of_scope(&"~".repeat(128)),
            About::UnusedCredential(CredentialId::generate(now())),
            About::SecretNearEnd(CredentialId::generate(now())),
            About::GrantNearEnd(GrantId::generate(now())),
        ];
        for about in all {
            let id = about.to_string();
            assert_eq!(id.parse(), Ok(about.clone()), "{id}");
            assert_eq!(id.parse(), Ok(Place::After(about)), "{id}");
        }
        let past = Place::PastClient(client);
        assert_eq!(past.to_string().parse(), Ok(past.clone()));
        assert!(past.to_string().parse::<About>().is_err());
    }

    #[test]
    fn what_is_no_such_id_is_refused() {
        for bad in [
            "",
            "rec_",
            "rec_unused_scope_",
            "rec_unused_scope_cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV_",
            "rec_unused_scope_cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV_IA",
            "rec_unused_scope_cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV_!",
            "rec_unused_credential_grt_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "rec_grant_near_end_é",
            "rec_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        ] {
            assert!(bad.parse::<About>().is_err(), "{bad}");
        }
    }
}
