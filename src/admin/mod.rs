//! What operators do: onboard partners, grant scopes, create clients, issue and revoke credentials.
//!
//! Each use case is one function over one transaction. Who acts is an argument that
//! comes from a verified token, or from the one who holds the machine. This room
//! refuses to know HTTP.

mod act;
pub mod clients;
pub mod credentials;
pub mod demo;
pub mod error;
pub mod four_eyes;
pub mod grants;
pub mod keys;
pub mod leaks;
pub mod operators;
pub mod partners;
pub mod resource_servers;
pub mod reviews;

pub use act::{Act, Policy};
pub use error::AdminError;
