//! Events get their places in the tree, and the tree's new head is signed.

use std::cell::RefCell;
use std::time::Duration;

use tlog_tiles::{
    Hash, HashReader, check_tree, prove_tree, record_hash, stored_hash_count, stored_hash_index,
};

use super::checkpoint::{self, CheckpointError, HeadVerifier, SignedHead};
use super::tree::Edge;
use super::{Action, Actor, Deed, leaf};
use crate::domain::instant::Instant;
use crate::keys::AuditKeys;
use crate::store::audit_events::{self, AuditEvent, Placed};
use crate::store::audit_tree::{self, Checkpoint};
use crate::store::leases::{self, Lease};
use crate::store::{Db, StoreError};

/// How long a node keeps the others from sequencing after its last batch.
const LEASE: Duration = Duration::from_secs(1);

/// The tree cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the newest checkpoint in the database cannot be trusted: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error(
        "the stored tree is not the one that its newest checkpoint, over {0} leaves, was signed for"
    )]
    Changed(u64),
    #[error("events have places, and there is no checkpoint that covers any")]
    Lost,
    #[error(
        "the tree went back from {0} leaves, or was written anew: it did not grow from what this process knew"
    )]
    WentBack(u64),
}

/// The tree's hashes in the database, for those who make proofs.
pub struct Stored<'a> {
    db: RefCell<&'a mut Db>,
    failed: RefCell<Option<StoreError>>,
}

impl<'a> Stored<'a> {
    pub fn new(db: &'a mut Db) -> Self {
        Self {
            db: RefCell::new(db),
            failed: RefCell::new(None),
        }
    }

    /// Does something with the hashes. `None`: hashes that it needs are not there.
    pub fn with<T>(
        self,
        work: impl FnOnce(&Self) -> Result<T, tlog_tiles::Error>,
    ) -> Result<Option<T>, StoreError> {
        let done = work(&self);
        match self.failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(done.ok()),
        }
    }
}

impl HashReader for Stored<'_> {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        match audit_tree::hashes(&mut self.db.borrow_mut(), places) {
            Ok(found) => found
                .into_iter()
                .map(|hash| hash.map(Hash).ok_or(tlog_tiles::Error::IndexesNotInTree))
                .collect(),
            Err(error) => {
                self.failed.replace(Some(error));
                Err(tlog_tiles::Error::IndexesNotInTree)
            }
        }
    }
}

/// The tree as this process knows it.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    head: Option<SignedHead>,
    edge: Edge,
}

impl Tree {
    /// Reads the tree's edge, and checks it against the newest checkpoint.
    pub fn read(db: &mut Db, keys: &AuditKeys) -> Result<Self, TreeError> {
        let Some(newest) = audit_tree::newest(db)? else {
            if !audit_events::by_place(db, (i64::MIN, ""), 1)?.is_empty() {
                return Err(TreeError::Lost);
            }
            return Ok(Self::default());
        };
        let head = HeadVerifier::new(keys.verifier())?.verify(&newest.note)?;
        let changed = TreeError::Changed(head.size);
        if i64::try_from(head.size) != Ok(newest.size) {
            return Err(changed);
        }
        let size = head.size;
        match Stored::new(db).with(|hashes| Edge::read(size, hashes))? {
            Some(edge) if edge.root() == head.root => Ok(Self {
                head: Some(head),
                edge,
            }),
            _ => Err(changed),
        }
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The same, read again. It must have grown from what was known: an earlier state of the
    /// database is not gone on from while somebody remembers a later one.
    pub fn read_again(&self, db: &mut Db, keys: &AuditKeys) -> Result<Self, TreeError> {
        let now = Self::read(db, keys)?;
        let Some(known) = &self.head else {
            return Ok(now);
        };
        let went_back = TreeError::WentBack(known.size);
        let Some(head) = &now.head else {
            return Err(went_back);
        };
        if head.size < known.size {
            return Err(went_back);
        }
        let (size, past) = (head.size, known.size);
        let proof = Stored::new(db).with(|hashes| prove_tree(size, past, hashes))?;
        match proof {
            Some(proof) if check_tree(&proof, size, head.root, past, known.root).is_ok() => Ok(now),
            _ => Err(went_back),
        }
    }
}

/// Events that wait, each checked.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    genuine: Vec<(String, Hash)>,
    forged: Vec<(String, &'static str)>,
}

impl Batch {
    /// Judges events by their MACs.
    pub fn of(keys: &AuditKeys, events: &[AuditEvent]) -> Self {
        let mut batch = Self::default();
        for event in events {
            let bytes = leaf::of(event);
            match &event.mac {
                None => batch.forged.push((event.id.clone(), "it has no MAC")),
                Some(mac) if !keys.is_mac(&bytes, mac) => {
                    batch.forged.push((event.id.clone(), "its MAC is false"));
                }
                Some(_) => batch.genuine.push((event.id.clone(), record_hash(&bytes))),
            }
        }
        batch
    }

    /// Whether there is something to do.
    pub fn is_empty(&self) -> bool {
        self.genuine.is_empty() && self.forged.is_empty()
    }

    /// Whether none gets a place.
    pub fn has_no_leaf(&self) -> bool {
        self.genuine.is_empty()
    }

    /// Whether any was forged.
    pub fn has_forged(&self) -> bool {
        !self.forged.is_empty()
    }
}

/// Puts forged events aside, on record; they never get a place.
pub fn set_aside(
    db: &mut Db,
    keys: &AuditKeys,
    batch: &Batch,
    now: Instant,
) -> Result<(), StoreError> {
    for (id, reason) in &batch.forged {
        if audit_events::set_aside(db, id, reason)? {
            log::error!(
                "the audit event {id} was not written by this server, and is set aside: {reason}"
            );
            let deed = Deed::new(Action::AuditEventSetAside, id).detail("reason", *reason);
            super::record(db, keys, &Actor::policy(), deed, now)?;
        }
    }
    Ok(())
}

/// Gives genuine events the next places, in order, and signs the tree's new head. `None`: another node
/// is at work, or has been since the tree was read.
///
/// In one transaction, which the lease's row puts in a line with every other node's.
pub fn extend(
    db: &mut Db,
    keys: &AuditKeys,
    holder: &str,
    tree: &Tree,
    batch: &Batch,
    now: Instant,
) -> Result<Option<Tree>, TreeError> {
    if !leases::hold(db, Lease::AuditSequencer, holder, LEASE, now)? {
        return Ok(None);
    }
    let stored = audit_tree::newest(db)?.map(|newest| newest.note);
    if stored.as_ref() != tree.head.as_ref().map(|head| &head.note) {
        return Ok(None);
    }
    let mut edge = tree.edge.clone();
    let first = edge.size();
    let (mut placed, mut hashes) = (Vec::new(), Vec::new());
    for (id, hash) in &batch.genuine {
        let index = edge.size();
        placed.push(Placed {
            id: id.clone(),
            leaf_index: i64::try_from(index).unwrap_or(i64::MAX),
            leaf_mac: keys.place_mac(index, &hash.0),
        });
        edge.push(*hash, |hash| hashes.push(hash.0));
    }
    if audit_events::place(db, &placed)? != placed.len() {
        return Err(StoreError::Rewound.into());
    }
    audit_tree::append(db, stored_hash_count(first), &hashes)?;
    let head = checkpoint::sign(keys, edge.size(), edge.root())?;
    let checkpoint = Checkpoint {
        size: i64::try_from(head.size).unwrap_or(i64::MAX),
        note: head.note.clone(),
        signed_at: now,
    };
    audit_tree::keep(db, &checkpoint)?;
    Ok(Some(Tree {
        head: Some(head),
        edge,
    }))
}

/// The hashes of leaves, as the tree has them.
pub fn leaf_hashes(db: &mut Db, indexes: &[u64]) -> Result<Vec<Option<Hash>>, StoreError> {
    let places: Vec<u64> = indexes.iter().map(|n| stored_hash_index(0, *n)).collect();
    let found = audit_tree::hashes(db, &places)?;
    Ok(found.into_iter().map(|hash| hash.map(Hash)).collect())
}
