//! Webhooks on the wire: who may be called, how a message is signed, and what came of sending it.
//!
//! It refuses to know tables, tenants and HTTP requests that come in.

pub mod challenge;
pub mod send;
pub mod sign;
pub mod target;

pub use send::{Attempt, Sender};
