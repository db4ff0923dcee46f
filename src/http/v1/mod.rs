//! The partner API, one file a noun.

pub mod audit;
pub mod catalogue;
pub mod me;
pub mod orders;
pub mod requests;
