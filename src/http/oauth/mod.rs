//! The OAuth endpoints of every realm.

pub mod discovery;
mod door;
mod handed_in;
pub mod introspect;
pub mod revocations;
pub mod revoke;
pub mod rotate;
pub mod status_lists;
pub mod token;
pub mod verify;
