//! A database that has lost the last of what it told, as a standby has that took over too early.
//!
//! Tokens carry the number of the last revocation before them. Were numbers given out again, no revocation could end
//! a token that carries a higher one; and what was revoked would be good again wherever it is read anew.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::revocations::Numbered;
use super::schema::{revocations, sequences, status_lists};
use crate::domain::instant::Instant;

/// Moves the numbers on above all that were given out, and writes down revocations that are not on record; answers
/// how many. What somebody else has done already is left as it is.
///
/// Status lists of before are closed: nobody knows which of their places were given out.
pub(super) fn catch_up(
    db: &mut Db,
    given_out: i64,
    held: &[Numbered],
    now: Instant,
) -> Result<usize, StoreError> {
    db.transaction(|db| {
        let above = above(given_out, now);
        let behind = sequences::table
            .filter(sequences::name.eq_any(["changes", "revocations"]))
            .filter(sequences::value.lt(given_out));
        // Locks both: who comes second finds it done.
        diesel::update(behind)
            .set(sequences::value.eq(above))
            .execute(db)?;
        diesel::update(status_lists::table.filter(status_lists::closed_at.is_null()))
            .set((
                status_lists::leased.eq(status_lists::size),
                status_lists::closed_at.eq(now),
            ))
            .execute(db)?;
        let mut written = 0;
        for one in held {
            let is_there: bool = diesel::select(diesel::dsl::exists(
                revocations::table.filter(revocations::seq.eq(one.seq)),
            ))
            .get_result(db)?;
            if !is_there {
                written += insert(db, one)?;
            }
        }
        Ok(written)
    })
}

/// A number that was never given out, also not after a backup whose database is lost: nobody
/// revokes a thousand times a second for years.
pub(super) fn above(head: i64, now: Instant) -> i64 {
    head.max(now.epoch_micros() / 1000) + 1
}

fn insert(db: &mut Db, one: &Numbered) -> Result<usize, StoreError> {
    Ok(diesel::insert_into(revocations::table)
        .values((
            revocations::seq.eq(one.seq),
            revocations::realm.eq(one.realm),
            revocations::kind.eq(one.kind),
            revocations::id.eq(&one.id),
            revocations::scope.eq(&one.scope),
            revocations::revoked_at.eq(one.revoked_at),
            revocations::expires_at.eq(one.expires_at),
            revocations::reason.eq("lost"),
            revocations::actor.eq("host"),
        ))
        .execute(db)?)
}
