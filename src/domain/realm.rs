//! Realms: the issuers, each with its own keys, clients and tokens.

use super::words;

words!(
    /// An issuer. A credential, token or record of one does not exist in another.
    Realm { Sandbox = "sandbox", Live = "live", Admin = "admin" }
);

impl Realm {
    /// The realm's mark in client ids and secrets.
    pub const fn short(self) -> &'static str {
        match self {
            Realm::Sandbox => "sbx",
            Realm::Live => "live",
            Realm::Admin => "adm",
        }
    }

    /// Whether partners have clients here; what they call an environment.
    pub const fn is_environment(self) -> bool {
        matches!(self, Realm::Sandbox | Realm::Live)
    }
}
