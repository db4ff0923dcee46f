//! Reviews: cases opened by what the server notices, closed by operators with a reason.

use super::{Act, AdminError};
use crate::audit::{Action, Deed};
use crate::domain::id::{PartnerId, ReviewId};
use crate::domain::realm::Realm;
use crate::domain::review::{CaseState, CaseStep, ReviewKind};
use crate::store::changes::Change;
use crate::store::reviews::{self, Review};

/// What is looked into.
#[derive(Debug)]
pub struct Case<'a> {
    pub kind: ReviewKind,
    /// Whose it is; the admin realm's is nobody's.
    pub partner: Option<&'a PartnerId>,
    pub realm: Realm,
    /// The id of what raised it, never a value.
    pub pointer: &'a str,
}

/// A case that is open now.
#[derive(Debug)]
pub struct Opened {
    pub id: ReviewId,
    /// It was not open before.
    pub is_new: bool,
}

/// Opens a case, unless the same thing has raised one that is still open.
pub fn open(db: &mut Change<'_>, act: &Act, case: &Case<'_>) -> Result<Opened, AdminError> {
    // Changes queue, so nobody opens it between the question and the answer.
    if let Some(open) = reviews::open_on(db, case.kind, case.pointer)? {
        let (id, is_new) = (open.id, false);
        return Ok(Opened { id, is_new });
    }
    let review = Review {
        id: ReviewId::generate(act.now),
        partner_id: case.partner.cloned(),
        kind: case.kind,
        pointer: case.pointer.to_owned(),
        state: CaseState::Open,
        opened_at: act.now,
        closed_by: None,
        closed_at: None,
        closed_reason: None,
    };
    reviews::insert(db, &review)?;
    let deed = Deed::new(Action::ReviewOpened, &review.id)
        .partner_if(case.partner)
        .realm(case.realm)
        .detail("kind", case.kind.as_str())
        .detail("pointer", case.pointer);
    act.record(db, deed)?;
    let (id, is_new) = (review.id, true);
    Ok(Opened { id, is_new })
}

/// Closes a case with a reason.
pub fn close(
    db: &mut Change<'_>,
    act: &Act,
    id: &ReviewId,
    reason: &str,
) -> Result<Review, AdminError> {
    let closed = reviews::close(db, id, (act.actor.as_str(), reason), act.now)?;
    let review = reviews::find(db, id)?.ok_or(AdminError::NotFound)?;
    if !closed {
        return Err(AdminError::illegal::<CaseStep>("the review", review.state));
    }
    let deed = Deed::new(Action::ReviewClosed, id)
        .partner_if(review.partner_id.as_ref())
        .detail("pointer", review.pointer.as_str())
        .detail("reason", reason);
    act.record(db, deed)?;
    Ok(review)
}
