//! The verifier from outside: good tokens, hostile tokens, and an issuer on a real socket.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod accepted;
#[cfg(feature = "actix")]
mod actix;
mod documented;
mod following;
mod hostile;
mod hostile_claims;
mod issuer;
mod properties;
mod remote;
mod repeated;
mod server;
#[cfg(feature = "tower")]
mod tower;
