//! A bounded cache that never keeps what was read before it changed.
//!
//! A reader notes the epoch, reads the database, and offers what it read. Had anything
//! been forgotten in between, the epoch has moved and the offer is dropped: what was
//! read may be older than the change. The lock makes look and insertion one step.

use std::hash::Hash;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// At most so many values by key, each kept until it is forgotten or crowded out.
pub(super) struct Cache<K, V> {
    held: quick_cache::sync::Cache<K, V>,
    epoch: AtomicU64,
    changing: RwLock<()>,
}

/// The state of the cache before a read of the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch(u64);

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            held: quick_cache::sync::Cache::new(capacity),
            epoch: AtomicU64::new(0),
            changing: RwLock::new(()),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.held.get(key)
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// To be noted before the database is read.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    /// Keeps what was read, unless anything was forgotten since.
    pub(super) fn offer(&self, epoch: Epoch, key: K, value: V) {
        let _shared = self
            .changing
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.epoch.load(Ordering::SeqCst) == epoch.0 {
            self.held.insert(key, value);
        }
    }

    /// Forgets one key.
    pub(super) fn forget(&self, key: &K) {
        self.change(|held| {
            held.remove(key);
        });
    }

    /// Forgets every value that fits.
    pub(super) fn forget_where(&self, fits: impl Fn(&V) -> bool) {
        self.change(|held| held.retain(|_, value| !fits(value)));
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.change(quick_cache::sync::Cache::clear);
    }

    fn change(&self, change: impl FnOnce(&quick_cache::sync::Cache<K, V>)) {
        let _alone = self
            .changing
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        self.epoch.fetch_add(1, Ordering::SeqCst);
        change(&self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let cache = Cache::new(10);
        let before = cache.epoch();
        cache.forget(&"other");
        cache.offer(before, "key", 1);
        assert_eq!(cache.get(&"key"), None);
        cache.offer(cache.epoch(), "key", 2);
        assert_eq!(cache.get(&"key"), Some(2));
        cache.forget(&"key");
        assert_eq!(cache.get(&"key"), None);
    }

    #[test]
    fn it_holds_no_more_than_its_capacity() {
        let cache = Cache::new(100);
        for key in 0..10_000 {
            cache.offer(cache.epoch(), key, key);
        }
        assert!(cache.held.len() <= 100, "{}", cache.held.len());
    }

    #[test]
    fn forgetting_by_value_leaves_the_others() {
        let cache = Cache::new(10);
        for key in 0..4 {
            cache.offer(cache.epoch(), key, key % 2);
        }
        cache.forget_where(|value| *value == 1);
        assert_eq!(
            (cache.get(&0), cache.get(&1), cache.get(&2)),
            (Some(0), None, Some(0))
        );
    }
}
