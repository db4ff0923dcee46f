//! Which limits hold for partners: the plan they are on, and what holds for one alone.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::figures::{FigureRow, figures_of, set_figures};
use super::schema::{limit_overrides, partner_limits, plans};
use crate::domain::id::{PartnerId, PlanId};
use crate::domain::instant::Instant;
use crate::domain::limits::{Figures, Mode, Terms};
use crate::domain::realm::Realm;

/// What was decided about a partner in a realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    pub mode: Mode,
    /// The plan, with its name and figures.
    pub plan: Option<(PlanId, String, Figures)>,
    /// The partner's own figures, and when they end; those that have ended too.
    pub own: Option<(Figures, Option<Instant>)>,
    pub updated_by: String,
    pub updated_at: Instant,
}

impl Decided {
    /// What holds, told from the time.
    pub fn terms(&self) -> Terms {
        let plan = self.plan.as_ref();
        Terms::new(
            self.mode,
            plan.map(|(id, _, figures)| (id.clone(), figures.clone())),
            self.own.clone(),
        )
    }
}

#[derive(Queryable)]
struct Row {
    mode: Mode,
    plan: Option<(PlanId, String, FigureRow)>,
    own: Option<(FigureRow, Option<Instant>)>,
    updated_by: String,
    updated_at: Instant,
}

/// What was decided about a partner. `None`: nothing, so the house's defaults hold.
pub fn find(db: &mut Db, partner: &PartnerId, realm: Realm) -> Result<Option<Decided>, StoreError> {
    let of_partner = limit_overrides::partner_id
        .eq(partner_limits::partner_id)
        .and(limit_overrides::realm.eq(partner_limits::realm));
    let query = partner_limits::table
        .left_join(plans::table.on(partner_limits::plan_id.eq(plans::id.nullable())))
        .left_join(limit_overrides::table.on(of_partner))
        .filter(partner_limits::partner_id.eq(partner))
        .filter(partner_limits::realm.eq(realm))
        .select((
            partner_limits::mode,
            (plans::id, plans::name, figures_of!(plans)).nullable(),
            (figures_of!(limit_overrides), limit_overrides::ends_at).nullable(),
            partner_limits::updated_by,
            partner_limits::updated_at,
        ));
    let row: Option<Row> = on_engine!(db, conn => query.first(conn)).optional()?;
    Ok(row.map(|row| Decided {
        mode: row.mode,
        plan: row
            .plan
            .map(|(id, name, figures)| (id, name, figures.into())),
        own: row.own.map(|(figures, end)| (figures.into(), end)),
        updated_by: row.updated_by,
        updated_at: row.updated_at,
    }))
}

/// What holds for a partner, told from the time.
pub fn terms(db: &mut Db, partner: &PartnerId, realm: Realm) -> Result<Terms, StoreError> {
    let decided = find(db, partner, realm)?;
    Ok(decided.map_or_else(Terms::default, |decided| decided.terms()))
}

/// What is decided about a partner, in the place of what was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    pub partner_id: &'a PartnerId,
    pub realm: Realm,
    pub mode: Mode,
    pub plan_id: Option<&'a PlanId>,
    /// The partner's own figures, and when they end.
    pub own: Option<(&'a Figures, Option<Instant>)>,
    pub decided_by: &'a str,
}

/// Writes a decision down. Within a change, whose number two deciders take in turn.
pub fn decide(db: &mut Db, decision: &Decision<'_>, now: Instant) -> Result<(), StoreError> {
    let (partner, realm) = (decision.partner_id, decision.realm);
    let values = (
        partner_limits::mode.eq(decision.mode),
        partner_limits::plan_id.eq(decision.plan_id),
        partner_limits::updated_by.eq(decision.decided_by),
        partner_limits::updated_at.eq(now),
    );
    let known = diesel::update(partner_limits::table.find((partner, realm)))
        .set(values)
        .execute(db)?;
    if known == 0 {
        let key = (
            partner_limits::partner_id.eq(partner),
            partner_limits::realm.eq(realm),
        );
        diesel::insert_into(partner_limits::table)
            .values((key, values))
            .execute(db)?;
    }
    diesel::delete(limit_overrides::table.find((partner, realm))).execute(db)?;
    if let Some((figures, end)) = decision.own {
        let figures = FigureRow::from(figures);
        let row = (
            limit_overrides::partner_id.eq(partner),
            limit_overrides::realm.eq(realm),
            set_figures!(limit_overrides, figures),
            limit_overrides::ends_at.eq(end),
        );
        diesel::insert_into(limit_overrides::table)
            .values(row)
            .execute(db)?;
    }
    Ok(())
}
