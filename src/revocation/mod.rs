//! Revocations: what must be refused everywhere from now on.
//!
//! Refuses to know HTTP.

pub mod feed;
pub mod seats;
pub mod status_list;

use std::time::Duration;

use crate::audit::Actor;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation::{Entry, Revoked};
use crate::store::StoreError;
use crate::store::changes::Change;
use crate::store::revocations;

/// Refuses every token of the subject that was given out before this change commits.
///
/// `remembered` is how long such a token could live; see [`crate::domain::revocation::remembered`].
pub fn revoke(
    db: &mut Change<'_>,
    actor: &Actor,
    realm: Realm,
    revoked: Revoked,
    reason: &str,
    remembered: Duration,
    now: Instant,
) -> Result<i64, StoreError> {
    let entry = Entry {
        realm,
        revoked,
        reason: reason.to_owned(),
    };
    revocations::insert(db, &entry, actor.as_str(), now, now.plus(remembered))
}
