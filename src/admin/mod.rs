//! What operators do: onboard partners, grant scopes, create clients, issue and revoke credentials.
//!
//! Each use case is one function over one transaction. Who acts is an argument that
//! comes from a verified token, or from the one who holds the machine. This room
//! refuses to know HTTP.

mod act;
pub mod agreements;
pub mod clients;
pub mod credentials;
pub mod delivery;
pub mod demo;
pub mod error;
pub mod fingerprint;
pub mod four_eyes;
pub mod grants;
pub mod keys;
mod last_operator;
pub mod launch;
pub mod leaks;
pub mod limits;
pub mod offboarding;
pub mod operators;
pub mod overlap;
pub mod packages;
pub mod partners;
pub mod plans;
pub mod privacy;
pub mod prohibited;
pub mod readiness;
pub mod recommendations;
pub mod resource_servers;
pub mod reviews;
pub mod rotation;
pub mod self_rotation;
pub mod tokens;
pub mod trespasses;
pub mod version_notices;
pub mod warnings;

pub use act::{Act, Policy};
pub use error::AdminError;
