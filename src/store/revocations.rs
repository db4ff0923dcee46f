//! Revocations, numbered in the order of commit.

use diesel::prelude::*;

use super::changes::Change;
use super::db::Db;
use super::error::StoreError;
use super::schema::{revocations, sequences};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation::{Entry, RevocationKind};

/// The counter that orders revocations.
const COUNTER: &str = "revocations";
/// Up to where revocations were forgotten.
const PURGED: &str = "revocations_purged";
/// The most that are read at a time.
pub const PAGE: i64 = 10_000;

/// Writes a revocation under the next number, and answers the number.
///
/// The change holds its own number to the commit, so this one too is in the order of commit.
pub fn insert(
    db: &mut Change<'_>,
    entry: &Entry,
    actor: &str,
    revoked_at: Instant,
    expires_at: Instant,
) -> Result<i64, StoreError> {
    let seq: i64 = diesel::update(sequences::table.find(COUNTER))
        .set(sequences::value.eq(sequences::value + 1))
        .returning(sequences::value)
        .get_result(&mut **db)?;
    let row = (
        revocations::seq.eq(seq),
        revocations::realm.eq(entry.realm),
        revocations::kind.eq(entry.revoked.kind()),
        revocations::id.eq(entry.revoked.id()),
        revocations::scope.eq(entry.revoked.scope()),
        revocations::revoked_at.eq(revoked_at),
        revocations::expires_at.eq(expires_at),
        revocations::reason.eq(&entry.reason),
        revocations::actor.eq(actor),
    );
    diesel::insert_into(revocations::table)
        .values(row)
        .execute(&mut **db)?;
    db.has_revoked(seq);
    Ok(seq)
}

/// A revocation with its number.
#[derive(Clone, Debug, Queryable)]
pub struct Numbered {
    pub seq: i64,
    pub realm: Realm,
    pub kind: RevocationKind,
    pub id: String,
    pub scope: Option<String>,
    pub revoked_at: Instant,
    pub expires_at: Instant,
}

/// The columns of [`Numbered`].
macro_rules! numbered {
    () => {
        (
            revocations::seq,
            revocations::realm,
            revocations::kind,
            revocations::id,
            revocations::scope,
            revocations::revoked_at,
            revocations::expires_at,
        )
    };
}

/// The revocations after a number, in order, at most [`PAGE`] of them.
pub fn after(db: &mut Db, seq: i64) -> Result<Vec<Numbered>, StoreError> {
    Ok(revocations::table
        .filter(revocations::seq.gt(seq))
        .order(revocations::seq.asc())
        .limit(PAGE)
        .select(numbered!())
        .load(db)?)
}

/// A realm's revocations after a number, in order, that can concern a living token.
pub fn living_of(
    db: &mut Db,
    realm: Realm,
    seq: i64,
    now: Instant,
) -> Result<Vec<Numbered>, StoreError> {
    Ok(revocations::table
        .filter(revocations::realm.eq(realm))
        .filter(revocations::seq.gt(seq))
        .filter(revocations::expires_at.ge(now))
        .order(revocations::seq.asc())
        .select(numbered!())
        .load(db)?)
}

/// The number of the last revocation.
pub fn head(db: &mut Db) -> Result<i64, StoreError> {
    counter(db, COUNTER)
}

/// Up to where revocations were forgotten; 0: none was.
pub fn purged(db: &mut Db) -> Result<i64, StoreError> {
    counter(db, PURGED)
}

fn counter(db: &mut Db, name: &str) -> Result<i64, StoreError> {
    Ok(sequences::table
        .find(name)
        .select(sequences::value)
        .first(db)?)
}

/// Forgets revocations, from the oldest on, as long as each expired before a moment; answers how many.
pub fn purge(db: &mut Change<'_>, before: Instant) -> Result<usize, StoreError> {
    let first_living: Option<i64> = revocations::table
        .filter(revocations::expires_at.ge(before))
        .select(diesel::dsl::min(revocations::seq))
        .first(&mut **db)?;
    let upto = match first_living {
        Some(seq) => seq - 1,
        None => head(db)?,
    };
    let forgotten =
        diesel::delete(revocations::table.filter(revocations::seq.le(upto))).execute(&mut **db)?;
    if forgotten > 0 {
        diesel::update(
            sequences::table
                .find(PURGED)
                .filter(sequences::value.lt(upto)),
        )
        .set(sequences::value.eq(upto))
        .execute(&mut **db)?;
    }
    Ok(forgotten)
}
