//! The master key, the key ring, and signing.
//!
//! Nothing outside this room holds a private key, and nothing in it prints one.
//! It refuses to know who asks for a signature.

pub mod audit;
pub mod error;
pub mod file;
pub mod generate;
pub mod import;
pub mod link;
pub mod master;
pub mod provision;
pub mod recipient;
pub mod ring;
pub mod sealed;
pub mod signer;
pub mod webhook;

pub use audit::AuditKeys;
pub use master::MasterKey;
pub(crate) use master::hex;
pub use ring::KeyRing;
