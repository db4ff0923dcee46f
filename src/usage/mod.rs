//! What was used: counted in memory, and written down by the second.
//!
//! Counting costs a request a lock and a few look-ups, and never a wait for the database. What
//! a process counted in its last second is lost if it is killed; asked to end, it writes all.
//! This room refuses to know HTTP, and who reads the counts.

mod quotas;
mod scopes;
mod writer;

use std::sync::Arc;

use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::quota::Quota;
use crate::domain::scope::ScopeSet;
use crate::domain::tenant::Tenant;
use crate::store::usage_counters::{self, Counter};
use crate::store::{Store, StoreError};

pub use quotas::{Charged, Used};

use quotas::QuotaCounts;
use scopes::ScopeCounts;
use writer::Writer;

/// Counts, and the thread that writes them down.
pub struct Usage {
    store: Store,
    counts: Arc<Counts>,
    writer: Writer,
}

/// What is counted.
#[derive(Debug, Default)]
struct Counts {
    scopes: ScopeCounts,
    quotas: QuotaCounts,
}

impl Usage {
    /// Starts counting over a database.
    pub fn open(store: Store) -> std::io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let writer = Writer::start(store.clone(), Arc::clone(&counts))?;
        Ok(Self {
            store,
            counts,
            writer,
        })
    }

    /// A token was given that carries these scopes.
    pub fn asked(&self, client: &ClientId, scopes: &ScopeSet, now: Instant) {
        self.counts.scopes.asked(client, scopes, now);
    }

    /// A call passed a door that demands this scope.
    pub fn used(&self, client: &ClientId, scope: &str, now: Instant) {
        self.counts.scopes.used(client, scope, now);
    }

    /// Counts one more of each of these quotas, which have these limits; of none where one of them is used up, unless
    /// they are not enforced.
    ///
    /// Of a quota that has a limit the database is asked once a period, so that a restart forgets nothing
    /// that was written down; after that what all nodes have counted is known by the second. Where the
    /// database does not answer, only what this node has counted is known.
    pub async fn charge<const N: usize>(
        &self,
        tenant: &Tenant,
        quotas: [(Quota, Option<i64>); N],
        enforced: bool,
        now: Instant,
    ) -> Charged<N> {
        if quotas.iter().any(|(_, limit)| limit.is_some()) {
            let names = quotas.map(|(quota, _)| quota);
            if let Err(error) = self.learn(tenant, names, now).await {
                log::warn!("what is used of quotas is not known yet: {error}");
            }
        }
        self.counts.quotas.charge(tenant, quotas, enforced, now)
    }

    /// What is used of quotas, and counts nothing.
    pub async fn counted<const N: usize>(
        &self,
        tenant: &Tenant,
        quotas: [Quota; N],
        now: Instant,
    ) -> Result<[i64; N], StoreError> {
        self.learn(tenant, quotas, now).await?;
        Ok(quotas.map(|quota| {
            let counter = Counter::at(tenant, quota, now);
            self.counts.quotas.used(&counter)
        }))
    }

    /// Asks the database about quotas of which it was not asked in this period.
    async fn learn<const N: usize>(
        &self,
        tenant: &Tenant,
        quotas: [Quota; N],
        now: Instant,
    ) -> Result<(), StoreError> {
        if !self.counts.quotas.is_unknown(tenant, &quotas, now) {
            return Ok(());
        }
        let asked = quotas.map(|quota| Counter::at(tenant, quota, now));
        let read = self.store.read_as(tenant.clone(), move |db, _| {
            let mut known = Vec::new();
            for counter in asked {
                let used = usage_counters::used(db, &counter)?.unwrap_or(0);
                known.push((counter, used));
            }
            Ok::<_, StoreError>(known)
        });
        for (counter, used) in read.await? {
            self.counts.quotas.learn(counter, used);
        }
        Ok(())
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
