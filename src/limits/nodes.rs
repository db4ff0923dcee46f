//! How many nodes share what is allowed.

use std::sync::atomic::{AtomicU32, Ordering};

/// This process among those on the database.
#[derive(Debug)]
pub struct Nodes {
    /// Its name, which no other has.
    pub id: String,
    live: AtomicU32,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            id: crate::keys::hex(&rand::random::<[u8; 8]>()),
            live: AtomicU32::new(1),
        }
    }
}

impl Nodes {
    /// How many nodes that take requests live, this one included, as far as is known: at least one.
    pub fn live(&self) -> u32 {
        self.live.load(Ordering::Relaxed).max(1)
    }

    /// Takes in how many there are.
    pub fn count(&self, live: u32) {
        self.live.store(live, Ordering::Relaxed);
    }
}
