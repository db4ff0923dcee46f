//! Plans: named sets of limits, for as many partners as are on them.

use super::{Act, AdminError};
use crate::audit::{Action, Deed};
use crate::domain::id::PlanId;
use crate::domain::limits::Figures;
use crate::domain::revision::Revision;
use crate::store::Db;
use crate::store::changes::{Change, Subject};
use crate::store::plans::{self, Plan};

/// A plan to be.
#[derive(Clone, Debug)]
pub struct NewPlan {
    pub name: String,
    pub figures: Figures,
}

/// Makes a plan.
pub fn create(db: &mut Change<'_>, act: &Act, new: NewPlan) -> Result<Plan, AdminError> {
    check_name(db, &new.name)?;
    let plan = Plan {
        id: PlanId::generate(act.now),
        name: new.name,
        figures: new.figures,
        version: 1,
        created_by: act.actor.to_string(),
        created_at: act.now,
        updated_at: act.now,
    };
    plans::insert(db, &plan)?;
    let deed = Deed::new(Action::PlanCreated, &plan.id);
    act.record(db, with_figures(deed, &plan.figures))?;
    Ok(plan)
}

/// A plan by id.
pub fn get(db: &mut Db, id: &PlanId) -> Result<Plan, AdminError> {
    plans::find(db, id)?.ok_or(AdminError::NotFound)
}

/// Changes a plan, for all who are on it; what is already so is no change. `expected`: only if it is at one of these
/// revisions.
pub fn edit(
    db: &mut Change<'_>,
    act: &Act,
    id: &PlanId,
    expected: Option<&[Revision]>,
    name: Option<String>,
    change: impl FnOnce(&Figures) -> Figures,
) -> Result<Plan, AdminError> {
    let before = get(db, id)?;
    if !before.revision().is_among(expected) {
        return Err(AdminError::Outdated);
    }
    let figures = change(&before.figures);
    let name = name.unwrap_or_else(|| before.name.clone());
    if (&name, &figures) == (&before.name, &before.figures) {
        return Ok(before);
    }
    if name != before.name {
        check_name(db, &name)?;
    }
    if !plans::edit(db, id, before.version, &name, &figures, act.now)? {
        return Err(AdminError::Outdated);
    }
    db.touch(Subject::Plan(id.clone()));
    let after = get(db, id)?;
    let deed = Deed::new(Action::PlanChanged, id).detail("version", after.version);
    act.record(db, with_figures(deed, &after.figures))?;
    Ok(after)
}

/// Changes follow one another, so nobody takes the name between this look and the writing.
fn check_name(db: &mut Db, name: &str) -> Result<(), AdminError> {
    match plans::named(db, name)? {
        None => Ok(()),
        Some(id) => Err(AdminError::Conflict {
            code: "plan_name_taken",
            detail: format!("{id} has this name: plans are told apart by theirs"),
        }),
    }
}

/// A deed with the figures that it set.
pub(super) fn with_figures(deed: Deed, figures: &Figures) -> Deed {
    let quotas = &figures.quotas;
    let spend = quotas.spend_per_month;
    deed.detail("requests_per_minute", figures.requests_per_minute)
        .detail("burst", figures.burst)
        .detail("tokens_per_minute", figures.tokens_per_minute)
        .detail("client_share", figures.client_share.get())
        .detail("reads_share", figures.reads_share.get())
        .detail("writes_share", figures.writes_share.get())
        .detail("requests_per_day", quotas.requests_per_day)
        .detail("requests_per_month", quotas.requests_per_month)
        .detail("tokens_per_day", quotas.tokens_per_day)
        .detail("tokens_per_month", quotas.tokens_per_month)
        .detail("orders_per_day", quotas.orders_per_day)
        .detail("orders_per_month", quotas.orders_per_month)
        .detail("spend_per_month", spend.map(|spend| spend.amount))
        .detail("spend_currency", spend.map(|spend| spend.currency.as_str()))
}
