//! Launch reviews and their checks.

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::{launch_checks, launch_reviews};
use crate::domain::id::{LaunchReviewId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::launch::{CheckName, CheckState, CheckStep, ReviewState, ReviewStep};
use crate::domain::lifecycle::Step;

/// A row of `launch_reviews`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = launch_reviews, treat_none_as_default_value = false)]
pub struct LaunchReview {
    pub id: LaunchReviewId,
    pub partner_id: PartnerId,
    pub state: ReviewState,
    pub requested_by: String,
    pub requested_at: Instant,
    pub submitted_at: Option<Instant>,
    pub decided_by: Option<String>,
    pub decided_at: Option<Instant>,
    pub reason: Option<String>,
}

/// A row of `launch_checks`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = launch_checks, treat_none_as_default_value = false)]
pub struct LaunchCheck {
    pub review_id: LaunchReviewId,
    pub name: CheckName,
    pub state: CheckState,
    /// Who asked for the review.
    pub requested_by: String,
    pub settled_by: Option<String>,
    pub settled_at: Option<Instant>,
    pub evidence: Option<String>,
    pub reason: Option<String>,
}

/// How a check was settled.
#[derive(Clone, Copy, Debug)]
pub struct Settlement<'a> {
    pub step: CheckStep,
    pub by: &'a str,
    pub at: Instant,
    pub evidence: Option<&'a str>,
    pub reason: Option<&'a str>,
}

/// Writes a new review with every check pending.
pub fn insert(db: &mut Db, review: &LaunchReview) -> Result<(), StoreError> {
    diesel::insert_into(launch_reviews::table)
        .values(review)
        .execute(db)?;
    for name in CheckName::ALL {
        let check = LaunchCheck {
            review_id: review.id.clone(),
            name: *name,
            state: CheckState::Pending,
            requested_by: review.requested_by.clone(),
            settled_by: None,
            settled_at: None,
            evidence: None,
            reason: None,
        };
        diesel::insert_into(launch_checks::table)
            .values(&check)
            .execute(db)?;
    }
    Ok(())
}

/// A review by id. `None`: unknown.
pub fn find(db: &mut Db, id: &LaunchReviewId) -> Result<Option<LaunchReview>, StoreError> {
    Ok(launch_reviews::table.find(id).first(db).optional()?)
}

/// A partner's reviews, the newest first, at most so many.
pub fn of_partner(
    db: &mut Db,
    partner: &PartnerId,
    most: i64,
) -> Result<Vec<LaunchReview>, StoreError> {
    Ok(launch_reviews::table
        .filter(launch_reviews::partner_id.eq(partner))
        .order((
            launch_reviews::requested_at.desc(),
            launch_reviews::id.desc(),
        ))
        .limit(most)
        .load(db)?)
}

/// The checks of a review, in the order of their definition.
pub fn checks(db: &mut Db, review: &LaunchReviewId) -> Result<Vec<LaunchCheck>, StoreError> {
    let mut checks: Vec<LaunchCheck> = launch_checks::table
        .filter(launch_checks::review_id.eq(review))
        .load(db)?;
    checks.sort_by_key(|check| check.name);
    Ok(checks)
}

/// Settles a pending check. `false`: unknown, settled already, or waived by who asked for the review.
pub fn settle(
    db: &mut Db,
    review: &LaunchReviewId,
    name: CheckName,
    settled: &Settlement<'_>,
) -> Result<bool, StoreError> {
    let mut ready = diesel::update(launch_checks::table.find((review, name)))
        .set((
            launch_checks::state.eq(settled.step.to()),
            launch_checks::settled_by.eq(settled.by),
            launch_checks::settled_at.eq(settled.at),
            launch_checks::evidence.eq(settled.evidence),
            launch_checks::reason.eq(settled.reason),
        ))
        .filter(launch_checks::state.eq_any(settled.step.from()))
        .into_boxed();
    if settled.step.needs_four_eyes() {
        ready = ready.filter(launch_checks::requested_by.ne(settled.by));
    }
    Ok(ready.execute(db)? == 1)
}

/// Submits a draft of which no check is pending. `false`: it is no draft, or one is.
pub fn submit(db: &mut Db, id: &LaunchReviewId, now: Instant) -> Result<bool, StoreError> {
    let pending = launch_checks::table.filter(
        launch_checks::review_id
            .eq(id)
            .and(launch_checks::state.eq(CheckState::Pending)),
    );
    let step = ReviewStep::Submit;
    let ready = launch_reviews::table
        .find(id)
        .filter(launch_reviews::state.eq_any(step.from()))
        .filter(not(exists(pending)));
    let changed = diesel::update(ready)
        .set((
            launch_reviews::state.eq(step.to()),
            launch_reviews::submitted_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Decides a submitted review, by somebody other than who asked. `false`: it is not submitted.
pub fn decide(
    db: &mut Db,
    id: &LaunchReviewId,
    step: ReviewStep,
    by: &str,
    reason: &str,
    now: Instant,
) -> Result<bool, StoreError> {
    let ready = launch_reviews::table
        .find(id)
        .filter(launch_reviews::state.eq_any(step.from()))
        .filter(launch_reviews::requested_by.ne(by));
    let changed = diesel::update(ready)
        .set((
            launch_reviews::state.eq(step.to()),
            launch_reviews::decided_by.eq(by),
            launch_reviews::decided_at.eq(now),
            launch_reviews::reason.eq(reason),
        ))
        .execute(db)?;
    Ok(changed == 1)
}
