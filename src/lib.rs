//! Onyx Auth: an OAuth 2.0 client-credentials authorization server, and the partner API behind it.
//!
//! ARCHITECTURE.md at the top of the repository shows the rooms and how they know each other.

pub mod admin;
pub mod app;
pub mod audit;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod domain;
pub mod events;
pub mod http;
pub mod journal;
pub mod keys;
pub mod limits;
pub mod logging;
pub mod news;
pub mod oauth;
pub mod partner;
pub mod revocation;
pub mod store;
pub mod telemetry;
#[cfg(test)]
mod unprintable;
pub mod usage;
pub mod webhook;
pub mod worker;
