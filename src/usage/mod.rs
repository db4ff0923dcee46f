//! What was used: counted in memory, and written down by the second.
//!
//! Counting costs a request a lock and a few look-ups, and never a wait for the database. What
//! a process counted in its last second is lost if it is killed; asked to end, it writes all.
//! This room refuses to know HTTP, and who reads the counts.

mod scopes;
mod writer;

use std::sync::Arc;

use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::scope::ScopeSet;
use crate::store::Store;

use scopes::ScopeCounts;
use writer::Writer;

/// Counts, and the thread that writes them down.
pub struct Usage {
    counts: Arc<Counts>,
    writer: Writer,
}

/// What is counted.
#[derive(Debug, Default)]
struct Counts {
    scopes: ScopeCounts,
}

impl Usage {
    /// Starts counting over a database.
    pub fn open(store: Store) -> std::io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let writer = Writer::start(store, Arc::clone(&counts))?;
        Ok(Self { counts, writer })
    }

    /// A token was given that carries these scopes.
    pub fn asked(&self, client: &ClientId, scopes: &ScopeSet, now: Instant) {
        self.counts.scopes.asked(client, scopes, now);
    }

    /// A call passed a door that demands this scope.
    pub fn used(&self, client: &ClientId, scope: &str, now: Instant) {
        self.counts.scopes.used(client, scope, now);
    }

    /// Writes down what is left, and ends. Blocks.
    pub fn close(&self) {
        self.writer.close();
    }
}

impl std::fmt::Debug for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Usage")
    }
}
