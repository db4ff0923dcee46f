//! Launch reviews: what a partner has shown, what operators attest or waive, and who decides.

mod sandbox;
#[cfg(test)]
mod tests;

use super::{Act, AdminError, four_eyes, partners};
use crate::audit::{Action, Deed};
use crate::domain::id::{LaunchReviewId, PartnerId};
use crate::domain::launch::{
    CheckName, CheckState, CheckStep, Decision, Finding, ReviewState, ReviewStep,
};
use crate::domain::lifecycle::Step;
use crate::domain::realm::Realm;
use crate::store::changes::{Change, Subject};
use crate::store::launch_reviews::{self, LaunchCheck, LaunchReview, Settlement};
use crate::store::{Db, StoreError};

pub use sandbox::{Evidence, Sandbox, SandboxRecord};

/// So many earlier reviews are shown.
const EARLIER: i64 = 20;

/// A review with its checks, and the reviews before it, the newest first.
#[derive(Clone, Debug)]
pub struct Dossier {
    pub review: LaunchReview,
    pub checks: Vec<LaunchCheck>,
    pub earlier: Vec<LaunchReview>,
}

/// What an operator says about a check.
#[derive(Clone, Debug)]
pub struct Settled {
    pub finding: Finding,
    pub evidence: Option<String>,
    pub reason: Option<String>,
}

/// Opens a review with every check pending; those that the sandbox shows already are passed at once.
pub fn request(
    db: &mut Change<'_>,
    act: &Act,
    record: &dyn SandboxRecord,
    partner: &PartnerId,
) -> Result<Dossier, AdminError> {
    partners::approved(db, partner)?;
    if let Some(open) = newest(db, partner)?.filter(is_open) {
        let detail = format!(
            "the partner's review {} is {}; it must be decided first",
            open.id, open.state
        );
        return Err(AdminError::conflict("launch_review_open", detail));
    }
    let review = LaunchReview {
        id: LaunchReviewId::generate(act.now),
        partner_id: partner.clone(),
        state: ReviewState::Draft,
        requested_by: act.actor.to_string(),
        requested_at: act.now,
        submitted_at: None,
        decided_by: None,
        decided_at: None,
        reason: None,
    };
    launch_reviews::insert(db, &review)?;
    db.touch(Subject::Partner(partner.clone()));
    act.record(db, deed(Action::LaunchReviewRequested, &review))?;
    settle_shown(db, act, record, &review)?;
    dossier(db, partner)
}

/// A partner's newest review.
pub fn dossier(db: &mut Db, partner: &PartnerId) -> Result<Dossier, AdminError> {
    let mut reviews = launch_reviews::of_partner(db, partner, EARLIER + 1)?.into_iter();
    let review = reviews.next().ok_or(AdminError::NotFound)?;
    Ok(Dossier {
        checks: launch_reviews::checks(db, &review.id)?,
        earlier: reviews.collect(),
        review,
    })
}

/// Whether the sandbox shows something that the newest review does not say yet.
pub fn has_news(
    db: &mut Db,
    record: &dyn SandboxRecord,
    partner: &PartnerId,
) -> Result<bool, StoreError> {
    match newest(db, partner)? {
        Some(review) => Ok(!shown(db, record, &review)?.is_empty()),
        None => Ok(false),
    }
}

/// Passes the checks that the sandbox shows by now; the server itself does so.
pub fn take_up(
    db: &mut Change<'_>,
    act: &Act,
    record: &dyn SandboxRecord,
    partner: &PartnerId,
) -> Result<Dossier, AdminError> {
    let review = newest(db, partner)?.ok_or(AdminError::NotFound)?;
    settle_shown(db, act, record, &review)?;
    dossier(db, partner)
}

/// Settles a pending check of the newest review: attested, or waived by a second operator.
pub fn settle(
    db: &mut Change<'_>,
    act: &Act,
    record: &dyn SandboxRecord,
    partner: &PartnerId,
    name: CheckName,
    settled: &Settled,
) -> Result<Dossier, AdminError> {
    let Dossier { review, checks, .. } = take_up(db, act, record, partner)?;
    let step = settled.finding.step();
    let waived = step == CheckStep::Waive;
    if state_of(&checks, name)? == CheckState::Pending {
        if name.is_computed() && !waived {
            let detail = format!(
                "{name} is computed from what the partner does in the sandbox; by hand it can only be waived"
            );
            return Err(AdminError::barred(
                "check_is_computed",
                detail,
                CheckState::Pending,
                &[CheckState::Waived],
            ));
        }
        if waived {
            if settled.reason.is_none() {
                return Err(AdminError::invalid("/reason", "a waiver must say why"));
            }
            four_eyes::check(db, Realm::Live, &review.requested_by, &act.actor)?;
        }
    }
    let settlement = Settlement {
        step,
        by: act.actor.as_str(),
        at: act.now,
        evidence: settled.evidence.as_deref(),
        reason: settled.reason.as_deref(),
    };
    if !launch_reviews::settle(db, &review.id, name, &settlement)? {
        let checks = launch_reviews::checks(db, &review.id)?;
        let state = state_of(&checks, name)?;
        return Err(AdminError::illegal::<CheckStep>("the check", state));
    }
    db.touch(Subject::Partner(partner.clone()));
    act.record(db, check_deed(&review, name, &settlement))?;
    submit(db, act, &review)?;
    dossier(db, partner)
}

/// Decides the newest review, once submitted. Who asked does not decide, and nobody approves what failed.
pub fn decide(
    db: &mut Change<'_>,
    act: &Act,
    record: &dyn SandboxRecord,
    partner: &PartnerId,
    decision: Decision,
    reason: &str,
) -> Result<Dossier, AdminError> {
    let Dossier { review, checks, .. } = take_up(db, act, record, partner)?;
    if review.state == ReviewState::Submitted {
        four_eyes::check(db, Realm::Live, &review.requested_by, &act.actor)?;
        let failed: Vec<&str> = checks
            .iter()
            .filter(|check| check.state == CheckState::Failed)
            .map(|check| check.name.as_str())
            .collect();
        if decision == Decision::Approve && !failed.is_empty() {
            let detail = format!(
                "failed: {}; reject this review, and ask for another once that is mended",
                failed.join(", ")
            );
            return Err(AdminError::barred(
                "check_failed",
                detail,
                ReviewState::Submitted,
                &[ReviewState::Rejected],
            ));
        }
    }
    let (step, by) = (decision.step(), act.actor.as_str());
    let decided = launch_reviews::decide(db, &review.id, step, by, reason, act.now)?;
    let after = dossier(db, partner)?;
    if !decided {
        let state = after.review.state;
        return Err(AdminError::illegal::<ReviewStep>(
            "the launch review",
            state,
        ));
    }
    db.touch(Subject::Partner(partner.clone()));
    let action = match decision {
        Decision::Approve => Action::LaunchReviewApproved,
        Decision::Reject => Action::LaunchReviewRejected,
    };
    act.record(db, deed(action, &review).detail("reason", reason))?;
    Ok(after)
}

/// Whether a partner's newest review that was decided was approved: one that is asked for anew takes nothing away
/// until then.
pub(super) fn is_approved(db: &mut Db, partner: &PartnerId) -> Result<bool, StoreError> {
    // At most one is open.
    let newest = launch_reviews::of_partner(db, partner, 2)?;
    let decided = newest.iter().find(|review| !is_open(review));
    Ok(decided.is_some_and(|review| review.state == ReviewState::Approved))
}

fn newest(db: &mut Db, partner: &PartnerId) -> Result<Option<LaunchReview>, StoreError> {
    Ok(launch_reviews::of_partner(db, partner, 1)?
        .into_iter()
        .next())
}

fn is_open(review: &LaunchReview) -> bool {
    matches!(review.state, ReviewState::Draft | ReviewState::Submitted)
}

fn state_of(checks: &[LaunchCheck], name: CheckName) -> Result<CheckState, AdminError> {
    let check = checks.iter().find(|check| check.name == name);
    check.map(|check| check.state).ok_or(AdminError::NotFound)
}

/// The pending computed checks for which the sandbox has something to show.
fn shown(
    db: &mut Db,
    record: &dyn SandboxRecord,
    review: &LaunchReview,
) -> Result<Vec<(CheckName, Evidence)>, StoreError> {
    if review.state != ReviewState::Draft {
        return Ok(Vec::new());
    }
    let mut shown = Vec::new();
    for check in launch_reviews::checks(db, &review.id)? {
        let waits = check.state == CheckState::Pending && check.name.is_computed();
        if waits && let Some(evidence) = record.evidence(db, &review.partner_id, check.name)? {
            shown.push((check.name, evidence));
        }
    }
    Ok(shown)
}

fn settle_shown(
    db: &mut Change<'_>,
    act: &Act,
    record: &dyn SandboxRecord,
    review: &LaunchReview,
) -> Result<(), AdminError> {
    let policy = act.by_policy();
    let shown = shown(db, record, review)?;
    for (name, evidence) in &shown {
        let settlement = Settlement {
            step: CheckStep::Pass,
            by: policy.actor.as_str(),
            at: act.now,
            evidence: Some(evidence.as_str()),
            reason: None,
        };
        if launch_reviews::settle(db, &review.id, *name, &settlement)? {
            policy.record(db, check_deed(review, *name, &settlement))?;
        }
    }
    if !shown.is_empty() {
        db.touch(Subject::Partner(review.partner_id.clone()));
        submit(db, act, review)?;
    }
    Ok(())
}

/// Submits the review if nothing is pending any more; nobody has to ask for that.
fn submit(db: &mut Change<'_>, act: &Act, review: &LaunchReview) -> Result<(), AdminError> {
    if launch_reviews::submit(db, &review.id, act.now)? {
        let submitted = deed(Action::LaunchReviewSubmitted, review);
        act.by_policy().record(db, submitted)?;
    }
    Ok(())
}

fn deed(action: Action, review: &LaunchReview) -> Deed {
    Deed::new(action, &review.id)
        .partner(&review.partner_id)
        .realm(Realm::Live)
}

fn check_deed(review: &LaunchReview, name: CheckName, settled: &Settlement<'_>) -> Deed {
    deed(Action::LaunchCheckSettled, review)
        .detail("check", name.as_str())
        .detail("state", settled.step.to().as_str())
        .detail("evidence", settled.evidence)
        .detail("reason", settled.reason)
}
