//! Plans: named sets of limits.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::figures::{FigureRow, figures_of, set_figures};
use super::schema::plans;
use crate::domain::id::PlanId;
use crate::domain::instant::Instant;
use crate::domain::limits::Figures;
use crate::domain::page::{Page, PageRequest};
use crate::domain::revision::Revision;

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub id: PlanId,
    /// No two plans have the same.
    pub name: String,
    pub figures: Figures,
    /// Counts changes.
    pub version: i64,
    pub created_by: String,
    pub created_at: Instant,
    pub updated_at: Instant,
}

impl Plan {
    /// Which state of the plan this is.
    pub fn revision(&self) -> Revision {
        Revision::new(self.version, self.updated_at)
    }
}

/// A row of `plans`.
#[derive(Queryable)]
struct Row {
    id: PlanId,
    name: String,
    figures: FigureRow,
    version: i64,
    created_by: String,
    created_at: Instant,
    updated_at: Instant,
}

impl From<Row> for Plan {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            figures: row.figures.into(),
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

macro_rules! all_columns {
    () => {
        (
            plans::id,
            plans::name,
            figures_of!(plans),
            plans::version,
            plans::created_by,
            plans::created_at,
            plans::updated_at,
        )
    };
}

/// Writes a new plan. A name that is taken is [`StoreError::Duplicate`].
pub fn insert(db: &mut Db, plan: &Plan) -> Result<(), StoreError> {
    let figures = FigureRow::from(&plan.figures);
    let row = (
        plans::id.eq(&plan.id),
        plans::name.eq(&plan.name),
        set_figures!(plans, figures),
        plans::version.eq(plan.version),
        plans::created_by.eq(&plan.created_by),
        plans::created_at.eq(plan.created_at),
        plans::updated_at.eq(plan.updated_at),
    );
    diesel::insert_into(plans::table).values(row).execute(db)?;
    Ok(())
}

/// A plan by id. `None`: unknown.
pub fn find(db: &mut Db, id: &PlanId) -> Result<Option<Plan>, StoreError> {
    let row: Option<Row> = plans::table
        .find(id)
        .select(all_columns!())
        .first(db)
        .optional()?;
    Ok(row.map(Plan::from))
}

/// The plan that has a name. `None`: none has.
pub fn named(db: &mut Db, name: &str) -> Result<Option<PlanId>, StoreError> {
    let id = plans::table
        .filter(plans::name.eq(name))
        .select(plans::id)
        .first(db);
    Ok(id.optional()?)
}

/// A page of plans, oldest first.
pub fn page(db: &mut Db, page: &PageRequest) -> Result<Page<Plan>, StoreError> {
    let rows: Vec<Row> = plans::table
        .filter(plans::id.gt(page.after()))
        .order(plans::id.asc())
        .limit(page.probe())
        .select(all_columns!())
        .load(db)?;
    let rows = rows.into_iter().map(Plan::from).collect();
    Ok(page.page(rows, |plan: &Plan| plan.id.as_str()))
}

/// Changes a plan that is still at a version. `false`: unknown, or changed since.
pub fn edit(
    db: &mut Db,
    id: &PlanId,
    version: i64,
    name: &str,
    figures: &Figures,
    now: Instant,
) -> Result<bool, StoreError> {
    let figures = FigureRow::from(figures);
    let known = plans::table.find(id).filter(plans::version.eq(version));
    let changed = diesel::update(known)
        .set((
            plans::name.eq(name),
            set_figures!(plans, figures),
            plans::version.eq(plans::version + 1),
            plans::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}
