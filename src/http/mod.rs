//! The wire: listeners, routes, extractors and shapes; one file a noun.
//!
//! Only this room writes what callers see. It refuses to know SQL and cryptography.

pub mod admin;
pub mod audit;
pub mod body;
mod calls;
mod connections;
pub mod deliveries;
pub mod docs;
mod etag;
pub mod extract;
pub mod idempotency;
mod json;
pub mod leaks;
mod limits;
pub mod list;
pub mod measure;
pub mod members;
pub mod metrics;
pub mod oauth;
pub mod openapi;
pub mod ops;
pub mod problem;
pub mod prohibited;
mod refused;
pub mod remarks;
pub mod routes;
pub mod server;
pub mod source;
pub mod table;
pub mod tls;
pub mod trace;
mod unread;
mod unserved;
pub mod v1;
pub mod versions;
