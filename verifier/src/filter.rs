//! Says of most names that nothing is held about them, at the price of one word of memory.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

use crate::RevocationKind;

/// Bits a name: about one in a hundred is taken for held that is not.
const BITS: usize = 16;

/// A Bloom filter whose bits for a name lie in one word, so that a look costs one access at most.
///
/// "Not held" is certain; "held" is to be looked up. Names can be added while others look.
#[derive(Debug)]
pub(crate) struct Filter {
    words: Box<[AtomicU64]>,
    hash: RandomState,
}

impl Filter {
    /// Room for so many names; more make it say "held" more often.
    pub(crate) fn for_names(count: usize) -> Self {
        let words = (count.saturating_mul(BITS) / 64).max(1).next_power_of_two();
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            hash: RandomState::default(),
        }
    }

    /// How many names it has room for.
    pub(crate) fn room(&self) -> usize {
        self.words.len() * 64 / BITS
    }

    /// A name with a scope is added without it, too: who looks for many scopes of one id asks first
    /// whether there is any.
    pub(crate) fn add(&self, kind: RevocationKind, id: &str, scope: &str) {
        if !scope.is_empty() {
            self.set(kind, id, "");
        }
        self.set(kind, id, scope);
    }

    fn set(&self, kind: RevocationKind, id: &str, scope: &str) {
        let hash = self.hash(kind, id, scope);
        if let Some(word) = self.word(hash) {
            word.fetch_or(bits(hash), Ordering::Release);
        }
    }

    /// `false`: it was never added.
    pub(crate) fn may_hold(&self, kind: RevocationKind, id: &str, scope: &str) -> bool {
        let hash = self.hash(kind, id, scope);
        let bits = bits(hash);
        self.word(hash)
            .is_none_or(|word| word.load(Ordering::Acquire) & bits == bits)
    }

    fn hash(&self, kind: RevocationKind, id: &str, scope: &str) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write(id.as_bytes());
        // The lengths keep names apart that read alike when they are joined.
        hasher.write_u64((id.len() as u64) << 8 | kind as u64);
        if !scope.is_empty() {
            hasher.write(scope.as_bytes());
        }
        hasher.finish()
    }

    fn word(&self, hash: u64) -> Option<&AtomicU64> {
        // The number of words is a power of two.
        self.words
            .get((hash >> 32) as usize & (self.words.len() - 1))
    }
}

/// Three bits of a word, by the low bits of a hash.
fn bits(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_held_and_most_else_is_not() {
        let filter = Filter::for_names(10_000);
        assert!(filter.room() >= 10_000);
        let client = RevocationKind::Client;
        for nth in 0..10_000 {
            filter.add(client, &format!("cl_{nth}"), "");
        }
        assert!((0..10_000).all(|nth| filter.may_hold(client, &format!("cl_{nth}"), "")));
        let wrongly = |kind, scope: &str, name: &str| {
            let names = (0..10_000).map(|nth| format!("{name}{nth}"));
            names
                .filter(|name| filter.may_hold(kind, name, scope))
                .count()
        };
        assert!(wrongly(client, "", "cx_") < 500);
        assert!(wrongly(RevocationKind::Partner, "", "cl_") < 500);
        assert!(wrongly(client, "orders:read", "cl_") < 500);
    }

    #[test]
    fn a_name_that_is_held_with_a_scope_is_held_without_it() {
        let filter = Filter::for_names(1_000);
        filter.add(RevocationKind::Grant, "ptn_1", "orders:read");
        assert!(filter.may_hold(RevocationKind::Grant, "ptn_1", "orders:read"));
        assert!(filter.may_hold(RevocationKind::Grant, "ptn_1", ""));
        assert!(!filter.may_hold(RevocationKind::Partner, "ptn_1", ""));
        assert!(!filter.may_hold(RevocationKind::Grant, "ptn_1", "orders:create"));
    }
}
