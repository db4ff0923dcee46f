//! The partner API, one file a noun.

pub mod catalogue;
pub mod me;
pub mod orders;
