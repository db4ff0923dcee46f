//! The partner API, one file a noun.

pub mod me;
pub mod requests;
