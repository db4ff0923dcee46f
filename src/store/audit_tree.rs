//! The audit tree's hashes and its signed heads.
//!
//! Hashes stand one after another in the order in which they become known: after a leaf's come those
//! of the subtrees that it completes. So what is stored only ever grows at its end.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{audit_checkpoints, audit_hashes};
use crate::domain::instant::Instant;

/// The length of a hash.
pub const HASH: usize = 32;
/// How many hashes a row has.
const IN_A_ROW: u64 = 512;

/// A signed head of the tree.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = audit_checkpoints)]
pub struct Checkpoint {
    /// How many leaves it is over.
    pub size: i64,
    /// The signed note.
    pub note: String,
    pub signed_at: Instant,
}

/// The newest checkpoint. `None`: nothing was sequenced yet.
pub fn newest(db: &mut Db) -> Result<Option<Checkpoint>, StoreError> {
    let newest = audit_checkpoints::table
        .order(audit_checkpoints::size.desc())
        .limit(1);
    Ok(on_engine!(db, conn => newest.first(conn)).optional()?)
}

/// Checkpoints over more than so many leaves, the smallest first.
pub fn checkpoints_after(
    db: &mut Db,
    size: i64,
    limit: i64,
) -> Result<Vec<Checkpoint>, StoreError> {
    Ok(audit_checkpoints::table
        .filter(audit_checkpoints::size.gt(size))
        .order(audit_checkpoints::size.asc())
        .limit(limit)
        .load(db)?)
}

/// Keeps a checkpoint.
pub fn keep(db: &mut Db, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    diesel::insert_into(audit_checkpoints::table)
        .values(checkpoint)
        .execute(db)?;
    Ok(())
}

/// The hashes at these places, in the order of asking. `None` for one that is not there.
pub fn hashes(db: &mut Db, places: &[u64]) -> Result<Vec<Option<[u8; HASH]>>, StoreError> {
    let mut chunks: Vec<i64> = places.iter().map(|place| chunk_of(*place)).collect();
    chunks.sort_unstable();
    chunks.dedup();
    let rows: Vec<(i64, Vec<u8>)> = audit_hashes::table
        .filter(audit_hashes::chunk.eq_any(chunks))
        .load(db)?;
    let rows: BTreeMap<i64, Vec<u8>> = rows.into_iter().collect();
    let at = |place: &u64| {
        let start = offset_in(*place);
        let bytes = rows.get(&chunk_of(*place))?.get(start..start + HASH)?;
        bytes.try_into().ok()
    };
    Ok(places.iter().map(at).collect())
}

/// Adds hashes from a place on, which must be the end of what is there.
///
/// # Errors
/// `Rewound` where it is not.
pub fn append(db: &mut Db, place: u64, hashes: &[[u8; HASH]]) -> Result<(), StoreError> {
    let mut place = place;
    let mut rest = hashes;
    while !rest.is_empty() {
        let (chunk, start) = (chunk_of(place), offset_in(place));
        let fits = usize::try_from(IN_A_ROW - place % IN_A_ROW).unwrap_or(1);
        let (now, later) = rest.split_at(fits.min(rest.len()));
        let row = audit_hashes::table.find(chunk);
        if start == 0 {
            diesel::insert_into(audit_hashes::table)
                .values((
                    audit_hashes::chunk.eq(chunk),
                    audit_hashes::hashes.eq(now.concat()),
                ))
                .execute(db)?;
        } else {
            let mut bytes: Vec<u8> = row.select(audit_hashes::hashes).first(db)?;
            if bytes.len() != start {
                return Err(StoreError::Rewound);
            }
            bytes.extend(now.iter().flatten());
            diesel::update(row)
                .set(audit_hashes::hashes.eq(bytes))
                .execute(db)?;
        }
        place += u64::try_from(now.len()).unwrap_or(0);
        rest = later;
    }
    Ok(())
}

fn chunk_of(place: u64) -> i64 {
    i64::try_from(place / IN_A_ROW).unwrap_or(i64::MAX)
}

fn offset_in(place: u64) -> usize {
    usize::try_from(place % IN_A_ROW).unwrap_or(0) * HASH
}
