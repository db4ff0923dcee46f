//! Which limits hold for a partner: a plan, figures of its own until they end, or the house's defaults.

use super::plans::with_figures;
use super::{Act, AdminError, partners};
use crate::audit::{Action, Deed};
use crate::domain::id::{PartnerId, PlanId};
use crate::domain::instant::Instant;
use crate::domain::limits::{Figures, Mode, Terms};
use crate::domain::realm::Realm;
use crate::store::changes::{Change, Subject};
use crate::store::limits::{self, Decision};
use crate::store::{Db, plans};

/// What is to hold.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub realm: Realm,
    pub mode: Mode,
    pub plan_id: Option<PlanId>,
    /// The partner's own.
    pub figures: Option<Figures>,
    /// When these end.
    pub ends_at: Option<Instant>,
}

/// What holds for a partner in a realm.
#[derive(Clone, Debug)]
pub struct InForce {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub terms: Terms,
    /// The plan, by its id and name.
    pub plan: Option<(PlanId, String)>,
    /// Who set it, and when. `None`: nobody, so it is the defaults.
    pub updated: Option<(String, Instant)>,
    /// As of when it is told.
    pub now: Instant,
}

/// What holds for a partner in a realm now.
pub fn get(
    db: &mut Db,
    partner: &PartnerId,
    realm: Realm,
    now: Instant,
) -> Result<InForce, AdminError> {
    partners::get(db, partner)?;
    let decided = limits::find(db, partner, realm)?;
    let terms = decided.as_ref().map(limits::Decided::terms);
    Ok(InForce {
        partner_id: partner.clone(),
        realm,
        terms: terms.unwrap_or_default(),
        plan: decided
            .as_ref()
            .and_then(|decided| decided.plan.as_ref())
            .map(|(id, name, _)| (id.clone(), name.clone())),
        updated: decided.map(|decided| (decided.updated_by, decided.updated_at)),
        now,
    })
}

/// Sets what holds for a partner in a realm, in the place of what did; what is already so is no change.
pub fn set(
    db: &mut Change<'_>,
    act: &Act,
    partner: &PartnerId,
    wanted: Wanted,
) -> Result<InForce, AdminError> {
    partners::open(db, partner)?;
    check(db, act, &wanted)?;
    let own = wanted.figures.map(|figures| (figures, wanted.ends_at));
    let before = limits::find(db, partner, wanted.realm)?;
    let is_so = before.is_some_and(|before| {
        let plan = before.plan.map(|(id, ..)| id);
        (before.mode, plan, before.own) == (wanted.mode, wanted.plan_id.clone(), own.clone())
    });
    if !is_so {
        let by = act.actor.to_string();
        let decision = Decision {
            partner_id: partner,
            realm: wanted.realm,
            mode: wanted.mode,
            plan_id: wanted.plan_id.as_ref(),
            own: own.as_ref().map(|(figures, end)| (figures, *end)),
            decided_by: &by,
        };
        limits::decide(db, &decision, act.now)?;
        db.touch(Subject::Partner(partner.clone()));
    }
    let after = get(db, partner, wanted.realm, act.now)?;
    if !is_so {
        let deed = Deed::new(Action::LimitsChanged, partner)
            .partner(partner)
            .realm(wanted.realm)
            .detail("mode", wanted.mode.as_str())
            .detail("source", after.terms.source(act.now).as_str())
            .detail("plan_id", wanted.plan_id.map(|id| id.to_string()))
            .detail("ends_at", wanted.ends_at.map(|end| end.to_string()));
        let figures = &after.terms.limits(act.now).figures;
        act.record(db, with_figures(deed, figures))?;
    }
    Ok(after)
}

fn check(db: &mut Db, act: &Act, wanted: &Wanted) -> Result<(), AdminError> {
    let mut faults = Vec::new();
    if let Some(id) = &wanted.plan_id
        && plans::find(db, id)?.is_none()
    {
        faults.push(("/plan_id", format!("there is no plan {id}")));
    }
    if let Some(end) = wanted.ends_at {
        if wanted.figures.is_none() {
            let detail = "only figures of the partner's own end: send them too, or leave it out";
            faults.push(("/ends_at", detail.to_owned()));
        } else if end <= act.now {
            faults.push(("/ends_at", "must be in the future".to_owned()));
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AdminError::Invalid(faults))
    }
}
