//! What operators do: onboard partners, grant scopes, create clients, issue and revoke credentials.
//!
//! Each use case is one function over one transaction. Who acts is an argument that
//! comes from a verified token, or from the one who holds the machine. This room
//! refuses to know HTTP.

pub mod clients;
pub mod credentials;
pub mod demo;
pub mod error;
pub mod grants;
pub mod keys;
pub mod operators;
pub mod partners;
pub mod resource_servers;

pub use error::AdminError;

use crate::domain::id::ClientId;

/// Who makes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(String);

impl Actor {
    /// An operator, by the client of its verified token.
    pub fn operator(id: ClientId) -> Self {
        Self(id.to_string())
    }

    /// Whoever holds the machine and its database: the command line's own commands.
    pub fn host() -> Self {
        Self("host".to_owned())
    }

    /// The name that records carry.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
