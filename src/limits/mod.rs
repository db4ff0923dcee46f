//! How much a partner may ask for.

pub mod nodes;
pub mod shared;
