//! The protocol: from a token request to a token or a refusal.
//!
//! Refuses to know actix types and tables.

pub mod authenticate;
pub mod charge;
pub mod grant;
pub mod issue;
pub mod metadata;
pub mod recognise;
pub mod record;
pub mod refusal;
pub mod request;

pub use refusal::Refusal;
