//! The Merkle tree's edge: all that is needed to add leaves and to know the root.

use tlog_tiles::{EMPTY_HASH, Hash, HashReader, node_hash, sub_tree_index};

/// The roots of the full subtrees that a tree's leaves divide into, the largest first.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    size: u64,
    /// With how many leaves each is over.
    subtrees: Vec<(u64, Hash)>,
}

impl Edge {
    /// The edge of a stored tree of so many leaves.
    pub fn read(size: u64, hashes: &impl HashReader) -> Result<Self, tlog_tiles::Error> {
        let roots = hashes.read_hashes(&sub_tree_index(0, size, Vec::new()))?;
        let mut left = size;
        let mut subtrees = Vec::new();
        for root in roots {
            let width = largest_power_in(left);
            subtrees.push((width, root));
            left -= width;
        }
        Ok(Self { size, subtrees })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash; tells what must be stored for it: the leaf, then each subtree that it
    /// completes.
    pub fn push(&mut self, leaf: Hash, mut store: impl FnMut(Hash)) {
        store(leaf);
        let (mut width, mut hash) = (1, leaf);
        while let Some((_, left)) = self.subtrees.pop_if(|(of_left, _)| *of_left == width) {
            hash = node_hash(left, hash);
            width *= 2;
            store(hash);
        }
        self.subtrees.push((width, hash));
        self.size += 1;
    }

    /// The tree's root (RFC 9162 §2.1.1).
    pub fn root(&self) -> Hash {
        let mut right_to_left = self.subtrees.iter().rev();
        let Some((_, last)) = right_to_left.next() else {
            return EMPTY_HASH;
        };
        right_to_left.fold(*last, |hash, (_, left)| node_hash(*left, hash))
    }
}

fn largest_power_in(number: u64) -> u64 {
    number.checked_ilog2().map_or(0, |power| 1 << power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tlog_tiles::{
        check_record, check_tree, prove_record, prove_tree, record_hash, stored_hash_index,
    };

    use super::*;

    /// RFC 9162 §2.1.1, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY_HASH,
            [leaf] => *leaf,
            many => {
                let half = largest_power_in(many.len() as u64 - 1) as usize;
                node_hash(naive(&many[..half]), naive(&many[half..]))
            }
        }
    }

    struct InMemory(Vec<Hash>);

    impl HashReader for InMemory {
        fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
            Ok(places.iter().map(|place| self.0[*place as usize]).collect())
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count)
            .map(|n| record_hash(n.to_string().as_bytes()))
            .collect()
    }

    fn grown(leaves: &[Hash]) -> (Edge, InMemory) {
        let (mut edge, mut stored) = (Edge::default(), Vec::new());
        leaves
            .iter()
            .for_each(|leaf| edge.push(*leaf, |hash| stored.push(hash)));
        (edge, InMemory(stored))
    }

    /// The test vectors that the implementations of RFC 6962 share.
    #[test]
    fn the_known_trees_have_the_known_roots() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\0",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut edge = Edge::default();
        assert_eq!(edge.root(), EMPTY_HASH);
        for (input, root) in inputs.iter().zip(roots) {
            edge.push(record_hash(input), |_| ());
            assert_eq!(crate::keys::hex(&edge.root().0), root, "{}", edge.size());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_tree_that_grows_has_the_root_of_one_built_at_once(count in 0usize..300) {
            let leaves = leaves(count);
            let (edge, stored) = grown(&leaves);
            prop_assert_eq!(edge.root(), naive(&leaves));
            prop_assert_eq!(edge.size(), count as u64);
            let read = Edge::read(count as u64, &stored).unwrap();
            prop_assert_eq!(read.root(), edge.root());
            for (n, leaf) in leaves.iter().enumerate() {
                let place = stored_hash_index(0, n as u64) as usize;
                prop_assert_eq!(stored.0[place], *leaf);
            }
        }

        #[test]
        fn every_leaf_is_provable_and_no_other(count in 1usize..300, at in 0usize..300, wrong in 0usize..300) {
            let (at, wrong) = (at % count, wrong % count);
            let leaves = leaves(count);
            let (edge, stored) = grown(&leaves);
            let (size, root) = (count as u64, edge.root());
            let proof = prove_record(size, at as u64, &stored).unwrap();
            prop_assert!(check_record(&proof, size, root, at as u64, leaves[at]).is_ok());
            prop_assert_eq!(check_record(&proof, size, root, at as u64, leaves[wrong]).is_ok(), at == wrong);
            prop_assert_eq!(check_record(&proof, size, root, wrong as u64, leaves[at]).is_ok(), at == wrong);
            let mut garbled = proof.clone();
            if let Some(hash) = garbled.first_mut() {
                hash.0[0] ^= 1;
                prop_assert!(check_record(&garbled, size, root, at as u64, leaves[at]).is_err());
            }
        }

        #[test]
        fn a_tree_is_provably_grown_from_its_past_and_from_no_other(count in 1usize..300, past in 1usize..300, edit in 0usize..300) {
            let past = (past - 1) % count + 1;
            let all = leaves(count);
            let (edge, stored) = grown(&all);
            let (size, root) = (count as u64, edge.root());
            let before = grown(&all[..past]).0.root();
            let proof = prove_tree(size, past as u64, &stored).unwrap();
            prop_assert!(check_tree(&proof, size, root, past as u64, before).is_ok());
            let mut edited = all[..past].to_vec();
            edited[edit % past] = record_hash(b"edited");
            let other = grown(&edited).0.root();
            prop_assert!(check_tree(&proof, size, root, past as u64, other).is_err());
        }
    }
}
