//! Four eyes: who asked does not decide, and in live no puppet of theirs either.

use std::collections::BTreeSet;

use super::AdminError;
use crate::audit::Actor;
use crate::domain::realm::Realm;
use crate::store::{Db, StoreError, clients};

/// Makes sure that two people stand behind what one asked for and the other decides.
///
/// In live, two operators do not count as two where one made the other or gave it a
/// credential, be it through further operators: who can make a second self could otherwise
/// decide alone.
pub fn check(db: &mut Db, realm: Realm, asked_by: &str, decider: &Actor) -> Result<(), AdminError> {
    let decides = decider.as_str();
    if asked_by == decides {
        return Err(AdminError::FourEyes(
            "who asked does not decide: another operator must",
        ));
    }
    if realm == Realm::Live
        && (is_from_hand_of(db, asked_by, decides)? || is_from_hand_of(db, decides, asked_by)?)
    {
        return Err(AdminError::FourEyes(
            "one of the two operators made the other or gave it a credential: in live, a third must decide",
        ));
    }
    Ok(())
}

/// Whether one operator owes itself to another: made or given a credential by it, or by
/// somebody who was.
fn is_from_hand_of(db: &mut Db, one: &str, other: &str) -> Result<bool, StoreError> {
    let mut seen = BTreeSet::from([one.to_owned()]);
    let mut open = vec![one.to_owned()];
    while let Some(next) = open.pop() {
        for hand in clients::hands_behind(db, &next)? {
            if hand == other {
                return Ok(true);
            }
            if seen.insert(hand.clone()) {
                open.push(hand);
            }
        }
    }
    Ok(false)
}
