//! Each tenant's share of the connections for reading: one that asks for much waits for itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::StoreError;
use super::lane::PATIENCE;
use crate::domain::id::PartnerId;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// One of so many connections is a tenant's.
const PART: u32 = 4;

type Key = (PartnerId, Realm);

/// Who reads, or waits to.
#[derive(Clone)]
pub(super) struct Shares {
    each: usize,
    tenants: Arc<Mutex<HashMap<Key, Busy>>>,
}

/// A tenant with reads.
struct Busy {
    /// Reads that run or wait: with the last goes the entry.
    reads: usize,
    permits: Arc<Semaphore>,
}

/// A turn of a tenant's: held until its read has ended, even if nobody waits for it any more.
pub(super) struct Share {
    // In this order: given back before the entry can go.
    _permit: OwnedSemaphorePermit,
    _read: Read,
}

/// A read that is counted.
struct Read {
    key: Key,
    shares: Shares,
}

impl Shares {
    /// Shares of so many connections.
    pub(super) fn of(connections: u32) -> Self {
        Self {
            each: (connections / PART).max(1) as usize,
            tenants: Arc::default(),
        }
    }

    /// A tenant's turn; its turns come in the order of asking.
    pub(super) async fn turn(&self, tenant: &Tenant) -> Result<Share, StoreError> {
        let (read, permits) = self.enter(tenant);
        match tokio::time::timeout(PATIENCE, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Share {
                _permit: permit,
                _read: read,
            }),
            _ => Err(StoreError::Crowded),
        }
    }

    fn enter(&self, tenant: &Tenant) -> (Read, Arc<Semaphore>) {
        let key = (tenant.partner_id().clone(), tenant.realm());
        let permits = {
            let mut tenants = self.tenants();
            let busy = tenants.entry(key.clone()).or_insert_with(|| Busy {
                reads: 0,
                permits: Arc::new(Semaphore::new(self.each)),
            });
            busy.reads += 1;
            Arc::clone(&busy.permits)
        };
        let shares = self.clone();
        (Read { key, shares }, permits)
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Key, Busy>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        let mut tenants = self.shares.tenants();
        if let Some(busy) = tenants.get_mut(&self.key) {
            busy.reads -= 1;
            if busy.reads == 0 {
                tenants.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::instant::Instant;

    async fn is_told_to_wait(shares: &Shares, tenant: &Tenant) -> bool {
        let soon = Duration::from_millis(20);
        tokio::time::timeout(soon, shares.turn(tenant))
            .await
            .is_err()
    }

    #[actix_web::test]
    async fn a_tenant_that_reads_much_waits_for_itself_and_for_nobody_else() {
        let shares = Shares::of(8);
        let now: Instant = chrono::Utc::now().into();
        let (busy, other) = (PartnerId::generate(now), PartnerId::generate(now));
        let sandbox = Tenant::of_record(busy.clone(), Realm::Sandbox);
        let live = Tenant::of_record(busy, Realm::Live);
        let other = Tenant::of_record(other, Realm::Sandbox);

        let first = shares.turn(&sandbox).await.unwrap();
        let second = shares.turn(&sandbox).await.unwrap();
        assert!(is_told_to_wait(&shares, &sandbox).await);
        let others = (
            shares.turn(&live).await.unwrap(),
            shares.turn(&other).await.unwrap(),
        );
        drop(first);
        let third = shares.turn(&sandbox).await.unwrap();
        assert!(is_told_to_wait(&shares, &sandbox).await);

        drop((second, third));
        assert_eq!(shares.tenants().len(), 2);
        drop(others);
        assert!(shares.tenants().is_empty());
    }

    #[actix_web::test]
    async fn of_few_connections_each_has_one() {
        let shares = Shares::of(2);
        let tenant = Tenant::of_record(
            PartnerId::generate(chrono::Utc::now().into()),
            Realm::Sandbox,
        );
        let only = shares.turn(&tenant).await.unwrap();
        assert!(is_told_to_wait(&shares, &tenant).await);
        drop(only);
        assert!(shares.turn(&tenant).await.is_ok());
    }
}
