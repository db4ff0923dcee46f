//! Calls for what is another's. On the request's path it does not exist; afterwards somebody hears of it.

use super::reviews::{self, Case};
use super::{Act, AdminError};
use crate::domain::day::Day;
use crate::domain::review::ReviewKind;
use crate::store::changes::Change;
use crate::store::request_log::Call;
use crate::store::trespasses::{self, Owner};

/// Whether a call asked for what exists, for another partner or in another realm.
pub fn is_trespass(call: &Call, owner: &Owner) -> bool {
    owner.partner_id.as_ref() != Some(&call.partner_id) || owner.realm != Some(call.realm)
}

/// Opens a review of a partner's activity, once a day. It points at the call, which tells who made it.
pub fn raise(db: &mut Change<'_>, act: &Act, call: &Call) -> Result<(), AdminError> {
    let day = Day::of(call.at);
    // Changes queue, so nobody notes it between the question and the answer.
    if trespasses::is_noted(db, &call.partner_id, day)? {
        return Ok(());
    }
    let case = Case {
        kind: ReviewKind::UnexpectedActivity,
        partner: Some(&call.partner_id),
        realm: call.realm,
        pointer: call.request_id.as_str(),
    };
    let review = reviews::open(db, act, &case)?;
    trespasses::note(db, &call.partner_id, day, &review.id)?;
    Ok(())
}
