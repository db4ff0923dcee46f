//! Indices for tokens: leased in blocks ahead of need, and given out at random from memory.
//!
//! Only a realm's very first token waits for the database. What a process has leased and not given
//! out when it ends is given out by nobody.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Monotonic};

use rand::seq::SliceRandom;
use tokio::sync::Notify;

use crate::domain::audience::Addresses;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::store::status_lists::{self, LEASE, Lease};
use crate::store::{Store, StoreError};

/// The next block is leased when so much of the last is left.
const LOW: usize = 1 << 12;
/// A lease is renewed when so much of its time has passed.
const RENEW: Duration = Duration::from_secs(900);
/// So long before its end a lease is given up: retirement goes by another clock.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a token waits for an index when none is held.
const PATIENCE: Duration = Duration::from_secs(5);

/// A token's place on a status list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The list's number.
    pub list: i64,
    /// The index.
    pub index: u32,
    /// The list's address.
    pub uri: Arc<str>,
}

/// What a process holds of indices, for each realm.
pub struct Indices {
    store: Store,
    addresses: Addresses,
    realms: BTreeMap<Realm, Held>,
    low: Notify,
}

#[derive(Default)]
struct Held {
    blocks: Mutex<VecDeque<Block>>,
    /// Held by the one who asks the database.
    leasing: tokio::sync::Mutex<()>,
}

struct Block {
    lease: Lease,
    uri: Arc<str>,
    /// In the order of giving out, from the end; shuffled, so that an index says nothing.
    left: Vec<u32>,
    /// Since when it is leased, by a clock that nobody sets.
    since: Monotonic,
}

impl Block {
    fn of(lease: Lease, uri: String, since: Monotonic) -> Self {
        let indices = lease.first..lease.first + lease.length;
        let mut left: Vec<u32> = indices.filter_map(|index| index.try_into().ok()).collect();
        left.shuffle(&mut rand::rng());
        Self {
            lease,
            uri: uri.into(),
            left,
            since,
        }
    }

    /// Both clocks must say so: one can be set, the other stands still while a machine sleeps.
    fn is_leased(&self, now: Instant) -> bool {
        now.plus(MARGIN) < self.lease.ends_at && self.since.elapsed() + MARGIN < LEASE
    }
}

impl Held {
    fn blocks(&self) -> MutexGuard<'_, VecDeque<Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Indices {
    /// None held yet.
    pub fn new(store: Store, addresses: Addresses) -> Self {
        let realms = Realm::ALL.iter().map(|realm| (*realm, Held::default()));
        Self {
            store,
            addresses,
            realms: realms.collect(),
            low: Notify::new(),
        }
    }

    /// A place that no other token has, on any node.
    ///
    /// # Errors
    /// None is held and the database gives none: no token can be issued.
    pub async fn take(&self, realm: Realm, now: Instant) -> Result<Place, StoreError> {
        match self.take_held(realm, now) {
            Some(place) => Ok(place),
            // Boxed: what is held is given without carrying the room that a lease needs.
            None => Box::pin(self.take_leased(realm, now)).await,
        }
    }

    fn take_held(&self, realm: Realm, now: Instant) -> Option<Place> {
        let mut blocks = self.realms.get(&realm)?.blocks();
        loop {
            let block = blocks.front_mut()?;
            let index = block.left.pop().filter(|_| block.is_leased(now));
            let Some(index) = index else {
                blocks.pop_front();
                continue;
            };
            let place = Place {
                list: block.lease.list,
                index,
                uri: Arc::clone(&block.uri),
            };
            if block.left.len() < LOW && blocks.len() == 1 {
                self.low.notify_one();
            }
            return Some(place);
        }
    }

    async fn take_leased(&self, realm: Realm, now: Instant) -> Result<Place, StoreError> {
        let none = || StoreError::Unreachable("no status list index is to be had".to_owned());
        let held = self.realms.get(&realm).ok_or_else(none)?;
        let leased = async {
            // One asks, and all who wait are served by what it gets.
            let _turn = held.leasing.lock().await;
            if let Some(place) = self.take_held(realm, now) {
                return Ok(place);
            }
            self.lease(realm, held, now).await?;
            self.take_held(realm, now).ok_or_else(none)
        };
        tokio::time::timeout(PATIENCE, leased)
            .await
            .unwrap_or_else(|_| Err(none()))
    }

    async fn lease(&self, realm: Realm, held: &Held, now: Instant) -> Result<(), StoreError> {
        let since = Monotonic::now();
        let lease = self
            .store
            .write(move |db| status_lists::lease(db, realm, now))
            .await?;
        let uri = self.addresses.status_list(realm, &lease.id);
        let block = Block::of(lease, uri, since);
        held.blocks().push_back(block);
        Ok(())
    }

    /// Waits until some realm's indices run low.
    pub async fn run_low(&self) {
        self.low.notified().await;
    }

    /// Leases ahead for realms that run low, and renews what is held for longer than a while.
    pub async fn tend(&self, now: Instant) -> Result<(), StoreError> {
        for (realm, held) in &self.realms {
            let _turn = held.leasing.lock().await;
            self.renew(held, now).await?;
            let is_low = {
                let blocks = held.blocks();
                blocks.len() == 1 && blocks.iter().all(|block| block.left.len() < LOW)
            };
            if is_low {
                self.lease(*realm, held, now).await?;
            }
        }
        Ok(())
    }

    async fn renew(&self, held: &Held, now: Instant) -> Result<(), StoreError> {
        let due: Vec<Lease> = held
            .blocks()
            .iter()
            .filter(|block| block.since.elapsed() > RENEW)
            .map(|block| block.lease.clone())
            .collect();
        for lease in due {
            let (since, renewing) = (Monotonic::now(), lease.clone());
            let renewed = self
                .store
                .write(move |db| status_lists::renew(db, &renewing, now))
                .await?;
            let mut blocks = held.blocks();
            match renewed {
                Some(ends_at) => {
                    for block in blocks.iter_mut().filter(|block| block.lease == lease) {
                        block.since = since;
                        block.lease.ends_at = ends_at;
                    }
                }
                None => blocks.retain(|block| block.lease != lease),
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Indices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Indices")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::status_list::{BLOCK, SIZE};

    fn at(seconds: i64) -> Instant {
        Instant::from_epoch_seconds(1_800_000_000 + seconds)
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite://{}/onyx.db", folder.path().display())).unwrap();
        store.migrate().unwrap();
        (folder, store)
    }

    fn indices(store: &Store) -> Indices {
        Indices::new(store.clone(), Addresses::new("https://as.example"))
    }

    #[actix_web::test]
    async fn three_processes_give_every_index_of_a_list_once_and_at_random() {
        let (_folder, store) = store();
        let nodes = [indices(&store), indices(&store), indices(&store)];
        let mut given = BTreeSet::new();
        let mut in_order = 0;
        let mut last = 0;
        for nth in 0..usize::try_from(SIZE).unwrap() {
            // One node is far busier than the others.
            let node = &nodes[(nth % 17).min(2)];
            let place = node.take(Realm::Live, at(0)).await.unwrap();
            in_order += usize::from(place.index == last + 1);
            last = place.index;
            assert!(given.insert((place.uri, place.index)), "given out twice");
        }
        assert!(
            in_order < 1000,
            "{in_order} indices followed on the one before"
        );
    }

    #[actix_web::test]
    async fn the_next_block_is_leased_before_the_last_is_empty() {
        let (_folder, store) = store();
        let node = indices(&store);
        let take = async || node.take(Realm::Live, at(0)).await.unwrap();
        let held = || {
            let blocks = node.realms[&Realm::Live].blocks();
            blocks
                .iter()
                .map(|block| block.left.len())
                .collect::<Vec<_>>()
        };
        let block = usize::try_from(BLOCK).unwrap();
        while held().last().is_none_or(|left| *left >= LOW) {
            node.tend(at(0)).await.unwrap();
            take().await;
        }
        node.run_low().await;
        node.tend(at(0)).await.unwrap();
        node.tend(at(0)).await.unwrap();
        assert_eq!(held(), [LOW - 1, block]);
        for _ in 0..LOW {
            take().await;
        }
        assert_eq!(held(), [block - 1]);
        // Realms that nobody asks for hold nothing.
        assert!(node.realms[&Realm::Sandbox].blocks().is_empty());
    }

    #[actix_web::test]
    async fn what_was_leased_too_long_ago_is_given_out_no_more() {
        let (_folder, store) = store();
        let node = indices(&store);
        let first = node.take(Realm::Live, at(0)).await.unwrap();
        let block = |place: &Place| i64::from(place.index) / BLOCK;
        let still = node.take(Realm::Live, at(3600 - 61)).await.unwrap();
        assert_eq!(block(&still), block(&first));
        let later = node.take(Realm::Live, at(3600 - 60)).await.unwrap();
        assert_eq!(block(&later), block(&first) + 1);
    }

    #[actix_web::test]
    async fn without_a_database_there_is_no_index_rather_than_one_given_twice() {
        let (folder, store) = store();
        let node = indices(&store);
        store
            .write(|db| {
                use diesel::RunQueryDsl;
                diesel::sql_query("DROP TABLE status_index_leases").execute(db)?;
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        assert!(node.take(Realm::Live, at(0)).await.is_err());
        assert!(node.take(Realm::Live, at(0)).await.is_err());
        drop(folder);
    }
}
