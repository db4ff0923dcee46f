//! The OAuth endpoints of every realm.

pub mod discovery;
pub mod revocations;
pub mod rotate;
pub mod token;
pub mod verify;
