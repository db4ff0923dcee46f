//! The OAuth endpoints of every realm.

pub mod discovery;
pub mod rotate;
pub mod token;
