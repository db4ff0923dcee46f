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

/// The counters that nodes follow.
const FOLLOWED: [&str; 4] = [
    "changes",
    "changes_purged",
    "revocations",
    "revocations_purged",
];

/// How many numbers of status lists are passed over: more than were given out since, whoever knew of them.
const PASSED: i64 = 1_000_000;

/// Lets the numbers go on above all that were given out, and writes revocations down that are not on record.
///
/// Every node then finds its own number purged, and looks at everything again. Status lists of before are closed:
/// nobody knows which of their places were given out.
pub(super) fn mend(
    db: &mut Db,
    given_out: i64,
    missing: &[Numbered],
    now: Instant,
) -> Result<(), StoreError> {
    db.transaction(|db| {
        // First the lock that every change takes first: nothing is numbered meanwhile, and nobody waits crosswise.
        let changes: i64 = diesel::update(sequences::table.find("changes"))
            .set(sequences::value.eq(sequences::value))
            .returning(sequences::value)
            .get_result(db)?;
        let highest: Option<i64> = sequences::table
            .filter(sequences::name.eq_any(FOLLOWED))
            .select(diesel::dsl::max(sequences::value))
            .first(db)?;
        // Another node may have had the lock before, and written the same.
        let mut lost = Vec::new();
        for one in missing {
            if !is_on_record(db, one)? {
                lost.push(one);
            }
        }
        if lost.is_empty() && changes > given_out {
            return Ok(());
        }
        let above = above(given_out.max(highest.unwrap_or(0)), now);
        let mut last = above;
        for one in lost {
            last += 1;
            insert(db, last, one)?;
        }
        for (name, value) in [
            ("changes", above),
            ("changes_purged", above),
            ("revocations", last),
        ] {
            diesel::update(sequences::table.find(name))
                .set(sequences::value.eq(value))
                .execute(db)?;
        }
        diesel::update(sequences::table.find("status_lists"))
            .set(sequences::value.eq(sequences::value + PASSED))
            .execute(db)?;
        diesel::update(status_lists::table.filter(status_lists::closed_at.is_null()))
            .set((
                status_lists::leased.eq(status_lists::size),
                status_lists::closed_at.eq(now),
            ))
            .execute(db)?;
        Ok(())
    })
}

/// A number that was never given out, also not after a backup whose database is lost: nobody
/// revokes a thousand times a second for years.
pub(super) fn above(head: i64, now: Instant) -> i64 {
    head.max(now.epoch_micros() / 1000) + 1
}

fn is_on_record(db: &mut Db, one: &Numbered) -> Result<bool, StoreError> {
    let scopes: Vec<Option<String>> = revocations::table
        .filter(revocations::realm.eq(one.realm))
        .filter(revocations::kind.eq(one.kind))
        .filter(revocations::id.eq(&one.id))
        .select(revocations::scope)
        .load(db)?;
    Ok(scopes.contains(&one.scope))
}

fn insert(db: &mut Db, seq: i64, one: &Numbered) -> Result<(), StoreError> {
    diesel::insert_into(revocations::table)
        .values((
            revocations::seq.eq(seq),
            revocations::realm.eq(one.realm),
            revocations::kind.eq(one.kind),
            revocations::id.eq(&one.id),
            revocations::scope.eq(&one.scope),
            revocations::revoked_at.eq(one.revoked_at),
            revocations::expires_at.eq(one.expires_at),
            revocations::reason.eq("lost"),
            revocations::actor.eq("host"),
        ))
        .execute(db)?;
    Ok(())
}
