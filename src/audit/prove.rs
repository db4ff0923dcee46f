//! Proofs: that an event is in the tree, and that a tree grew from a smaller one.

use tlog_tiles::{Hash, prove_record, prove_tree, record_hash};

use super::leaf;
use super::sequence::Stored;
use crate::store::audit_events::AuditEvent;
use crate::store::{Db, StoreError, audit_tree};

/// What shows that an event is under the newest signed head.
#[derive(Clone, Debug)]
pub struct Inclusion {
    /// The bytes of the event's leaf.
    pub leaf: Vec<u8>,
    /// Their hash.
    pub leaf_hash: Hash,
    /// The event's place.
    pub leaf_index: u64,
    /// How many leaves the head is over.
    pub tree_size: u64,
    /// From the leaf's sibling upwards (RFC 9162 §2.1.3).
    pub hashes: Vec<Hash>,
    /// The signed head.
    pub checkpoint: String,
}

/// What shows that a tree grew from a smaller one.
#[derive(Clone, Debug)]
pub struct Consistency {
    pub from: u64,
    pub to: u64,
    /// As RFC 9162 §2.1.4 has them.
    pub hashes: Vec<Hash>,
    /// The newest signed head, where `to` is its size.
    pub checkpoint: Option<String>,
}

/// No proof can be made.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    #[error("the event has no place in the tree yet; it gets one within a second")]
    NotYet,
    #[error("the event was not written by this server, and has no place in the tree")]
    SetAside,
    #[error("from must be at least 1, and no more than to; the tree has {0} leaves")]
    OutOfRange(u64),
    #[error("hashes of the tree are missing: run `onyx-auth audit verify`")]
    Incomplete,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Proves that an event is in the tree.
pub fn inclusion(db: &mut Db, event: &AuditEvent) -> Result<Inclusion, NoProof> {
    let newest = audit_tree::newest(db)?.ok_or(NoProof::NotYet)?;
    let size = u64::try_from(newest.size).map_err(|_| NoProof::Incomplete)?;
    let index = match event.leaf_index.map(u64::try_from) {
        None if event.set_aside.is_some() => return Err(NoProof::SetAside),
        None => return Err(NoProof::NotYet),
        Some(Ok(index)) if index < size => index,
        Some(_) => return Err(NoProof::Incomplete),
    };
    let hashes = Stored::new(db).with(|stored| prove_record(size, index, stored))?;
    let leaf = leaf::of(event);
    Ok(Inclusion {
        leaf_hash: record_hash(&leaf),
        leaf,
        leaf_index: index,
        tree_size: size,
        hashes: hashes.ok_or(NoProof::Incomplete)?,
        checkpoint: newest.note,
    })
}

/// Proves that the tree of `to` leaves grew from the one of `from`. `None`: to the newest head.
pub fn consistency(db: &mut Db, from: u64, to: Option<u64>) -> Result<Consistency, NoProof> {
    let newest = audit_tree::newest(db)?;
    let size = newest.as_ref().map_or(0, |newest| newest.size);
    let size = u64::try_from(size).map_err(|_| NoProof::Incomplete)?;
    let to = to.unwrap_or(size);
    if from == 0 || from > to || to > size {
        return Err(NoProof::OutOfRange(size));
    }
    let hashes = Stored::new(db).with(|stored| prove_tree(to, from, stored))?;
    Ok(Consistency {
        from,
        to,
        hashes: hashes.ok_or(NoProof::Incomplete)?,
        checkpoint: newest.filter(|_| to == size).map(|newest| newest.note),
    })
}
