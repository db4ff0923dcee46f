//! The partner API, one file a noun.

pub mod audit;
pub mod me;
pub mod requests;
