//! Audiences: for whom a token is meant.

use std::sync::Arc;

use super::id::StatusListId;
use super::realm::Realm;

/// The longest identifier of a resource server, in bytes.
pub const MAX_IDENTIFIER: usize = 1024;

/// The audiences that every server has, built from its base URL.
#[derive(Clone, Debug)]
pub struct Addresses {
    base: String,
    sandbox: Own,
    live: Own,
    admin: Own,
}

/// A realm's own names, made once: every token carries them.
#[derive(Clone, Debug)]
struct Own {
    issuer: Arc<str>,
    api: Arc<str>,
}

impl Own {
    fn new(base: &str, realm: Realm) -> Self {
        Self {
            issuer: format!("{base}/{realm}").into(),
            api: format!("{base}/{realm}/v1").into(),
        }
    }
}

impl Addresses {
    /// From the public origin, without a slash at its end.
    pub fn new(base: impl Into<String>) -> Self {
        let base = base.into();
        Self {
            sandbox: Own::new(&base, Realm::Sandbox),
            live: Own::new(&base, Realm::Live),
            admin: Own::new(&base, Realm::Admin),
            base,
        }
    }

    /// The public origin.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The issuer of a realm, `{base}/{realm}`; also the audience of its feed.
    pub fn issuer(&self, realm: Realm) -> &Arc<str> {
        &self.own(realm).issuer
    }

    /// The API whose tokens a realm's clients ask for: the partner API, or the admin API.
    pub fn api(&self, realm: Realm) -> &Arc<str> {
        &self.own(realm).api
    }

    fn own(&self, realm: Realm) -> &Own {
        match realm {
            Realm::Sandbox => &self.sandbox,
            Realm::Live => &self.live,
            Realm::Admin => &self.admin,
        }
    }

    /// Where a realm's tokens are given out.
    pub fn token_endpoint(&self, realm: Realm) -> String {
        format!("{}/{realm}/oauth2/token", self.base)
    }

    /// Where a client revokes a token of its own.
    pub fn revocation_endpoint(&self, realm: Realm) -> String {
        format!("{}/{realm}/oauth2/revoke", self.base)
    }

    /// Where a resource server asks about a token.
    pub fn introspection_endpoint(&self, realm: Realm) -> String {
        format!("{}/{realm}/oauth2/introspect", self.base)
    }

    /// Where a status list of a realm stands.
    pub fn status_list(&self, realm: Realm, id: &StatusListId) -> String {
        format!("{}/{realm}/oauth2/status-lists/{id}", self.base)
    }

    /// Where a realm's public keys stand.
    pub fn jwks(&self, realm: Realm) -> String {
        format!("{}/{realm}/oauth2/jwks", self.base)
    }

    /// The description of a realm's API as a protected resource (RFC 9728 §3).
    pub fn resource_metadata(&self, realm: Realm) -> String {
        format!(
            "{}/.well-known/oauth-protected-resource/{realm}/v1",
            self.base
        )
    }
}
