//! Token Status Lists (draft-ietf-oauth-status-list): bits that say which tokens are invalid.
//!
//! One bit a token: 0 is VALID, 1 is INVALID (§7.1). A token whose client is suspended is as dead as a
//! revoked one and stays so after a resume, so that a third status would tell nobody anything.

/// The bits of one entry (§4.1).
pub const BITS: u8 = 1;

/// How many entries a list has: 128 KiB before it is compressed, and a few hundred bytes after, as
/// long as little is revoked.
pub const SIZE: i64 = 1 << 20;

/// How many indices a process leases at a time. [`SIZE`] is a multiple of it.
///
/// A process that ends leaves what it has not given out unused; one that issues 25,000 tokens a second
/// leases three times a second.
pub const BLOCK: i64 = 1 << 13;

/// The entries of a list, one bit each.
#[derive(Clone, PartialEq, Eq)]
pub struct Bits {
    bytes: Vec<u8>,
    size: usize,
}

impl Bits {
    /// So many entries, all valid.
    pub fn new(size: usize) -> Self {
        Self {
            bytes: vec![0; size.div_ceil(8)],
            size,
        }
    }

    /// Marks an entry as invalid; `true` if it was not. One outside the list changes nothing.
    pub fn set(&mut self, index: usize) -> bool {
        let (bit, inside) = (1 << (index % 8), index < self.size);
        match self.bytes.get_mut(index / 8).filter(|_| inside) {
            Some(byte) => {
                let was = *byte;
                *byte |= bit;
                *byte != was
            }
            None => false,
        }
    }

    /// Whether an entry is invalid. `None`: the list has no such entry.
    pub fn get(&self, index: usize) -> Option<bool> {
        let byte = self.bytes.get(index / 8).filter(|_| index < self.size)?;
        Some(byte & (1 << (index % 8)) != 0)
    }

    /// Packed from the least significant bit of each byte on (§4.1).
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set: u32 = self.bytes.iter().map(|byte| byte.count_ones()).sum();
        write!(f, "Bits({set} of {})", self.size)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    /// The draft's example of one bit an entry (§4.1): 16 tokens.
    #[test]
    fn the_drafts_example_is_packed_as_the_draft_says() {
        let statuses = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
        let mut bits = Bits::new(16);
        for (index, _) in statuses.iter().enumerate().filter(|(_, bit)| **bit == 1) {
            assert!(bits.set(index));
        }
        assert_eq!(bits.as_bytes(), [0xb9, 0xa3]);
    }

    proptest! {
        #[test]
        fn what_was_set_is_set_and_nothing_else(
            size in 1usize..300,
            set in prop::collection::btree_set(0usize..400, 0..60),
        ) {
            let mut bits = Bits::new(size);
            for index in &set {
                prop_assert_eq!(bits.set(*index), *index < size);
                prop_assert!(!bits.set(*index));
            }
            for index in 0..400 {
                let wanted = (index < size).then(|| set.contains(&index));
                prop_assert_eq!(bits.get(index), wanted);
            }
            // Read as the draft tells a reader to: byte index / 8, shifted by index % 8.
            let read: BTreeSet<usize> = (0..size)
                .filter(|index| (bits.as_bytes()[index / 8] >> (index % 8)) & 1 == 1)
                .collect();
            prop_assert_eq!(read, set.into_iter().filter(|index| *index < size).collect());
            prop_assert_eq!(bits.as_bytes().len(), size.div_ceil(8));
        }
    }
}
