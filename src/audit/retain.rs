//! Events that are kept no longer; the tree stays as it is.
//!
//! Addresses go earlier, with their salts (`audit_events::drop_addresses`): leaves hold commitments.

use tlog_tiles::record_hash;

use super::verify::kept_from;
use super::{Action, Actor, Deed, leaf};
use crate::domain::instant::Instant;
use crate::keys::AuditKeys;
use crate::store::audit_events::{self, AuditEvent};
use crate::store::{Db, StoreError};

/// What a deletion's record is about.
const TARGET: &str = "audit_log";

/// What a step of deletion came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many events were deleted; there may be more.
    Deleted(usize),
    /// The next deletion is on record; it is carried out once that record has its place in the tree.
    Announced,
    /// There is nothing to delete, or not yet.
    Nothing,
}

/// One step of deleting events of before a moment.
///
/// First a record that names the range; once that is a leaf of the tree, the rows: a verification accepts
/// exactly the gaps that such records name.
pub fn delete_events(
    db: &mut Db,
    keys: &AuditKeys,
    before: Instant,
    limit: i64,
    now: Instant,
) -> Result<Step, StoreError> {
    let announced = audit_events::newest_of(db, TARGET, Action::AuditEventsDeleted.as_str(), 10)?
        .into_iter()
        .filter(|event| is_genuine(keys, event))
        .filter_map(|event| Some((kept_from(&event.details)?, event.leaf_index)))
        // Ids of one moment are in no order.
        .max();
    let mut from = 0;
    if let Some((place, leaf_index)) = announced {
        if leaf_index.is_none() {
            return Ok(Step::Nothing);
        }
        from = i64::try_from(place).unwrap_or(0);
        let deleted = audit_events::delete_below(db, from, limit)?;
        if deleted > 0 {
            return Ok(Step::Deleted(deleted));
        }
    }
    let until = old_until(db, keys, from, before, limit)?;
    if until == from {
        return Ok(Step::Nothing);
    }
    let deed = Deed::new(Action::AuditEventsDeleted, TARGET)
        .detail("first_leaf", from)
        .detail("last_leaf", until - 1)
        .detail("kept_from", until)
        .detail("before", before.to_string());
    super::record(db, keys, &Actor::policy(), deed, now)?;
    Ok(Step::Announced)
}

/// Up to which place events are old, from the first on that is kept.
///
/// Only what is there without a gap, and as this server wrote it: a record of deletion must not cover for
/// who deleted a row, or made it look old.
fn old_until(
    db: &mut Db,
    keys: &AuditKeys,
    from: i64,
    before: Instant,
    limit: i64,
) -> Result<i64, StoreError> {
    let mut until = from;
    for event in audit_events::by_place(db, (i64::MIN, ""), limit)? {
        if event.leaf_index != Some(until) || !is_genuine(keys, &event) || !is_placed(keys, &event)
        {
            log::error!(
                "the audit event of leaf {until} is missing or was changed: no old events are deleted until \
                 that is looked into"
            );
            break;
        }
        if event.at.get().is_none_or(|at| at >= before) {
            break;
        }
        until += 1;
    }
    Ok(until)
}

fn is_genuine(keys: &AuditKeys, event: &AuditEvent) -> bool {
    let mac = event.mac.as_deref();
    mac.is_some_and(|mac| keys.is_mac(&leaf::of(event), mac))
}

fn is_placed(keys: &AuditKeys, event: &AuditEvent) -> bool {
    let place = event.leaf_index.and_then(|place| u64::try_from(place).ok());
    let (Some(place), Some(mac)) = (place, &event.leaf_mac) else {
        return false;
    };
    keys.is_place_mac(place, &record_hash(&leaf::of(event)).0, mac)
}
