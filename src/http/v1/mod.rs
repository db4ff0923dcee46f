//! The partner API, one file a noun.

pub mod me;
