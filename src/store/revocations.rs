//! Revocations, numbered in the order of commit.

use diesel::prelude::*;

use super::changes::Change;
use super::error::StoreError;
use super::schema::{revocations, sequences};
use crate::domain::instant::Instant;
use crate::domain::revocation::Entry;

/// The counter that orders revocations.
const COUNTER: &str = "revocations";

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
    Ok(seq)
}
