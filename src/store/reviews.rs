//! Reviews: cases that operators look into.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::reviews;
use crate::domain::id::{PartnerId, ReviewId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::page::{Page, PageRequest};
use crate::domain::review::{CaseState, CaseStep, ReviewKind};

/// A row of `reviews`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = reviews, treat_none_as_default_value = false)]
pub struct Review {
    pub id: ReviewId,
    pub partner_id: Option<PartnerId>,
    pub kind: ReviewKind,
    /// The id of what raised it, never a value.
    pub pointer: String,
    pub state: CaseState,
    pub opened_at: Instant,
    pub closed_by: Option<String>,
    pub closed_at: Option<Instant>,
    pub closed_reason: Option<String>,
}

/// Which reviews a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<CaseState>,
    pub kind: Option<ReviewKind>,
    pub partner_id: Option<PartnerId>,
    pub pointer: Option<String>,
}

/// Writes a new review.
pub fn insert(db: &mut Db, review: &Review) -> Result<(), StoreError> {
    diesel::insert_into(reviews::table)
        .values(review)
        .execute(db)?;
    Ok(())
}

/// A review by id. `None`: unknown.
pub fn find(db: &mut Db, id: &ReviewId) -> Result<Option<Review>, StoreError> {
    Ok(reviews::table.find(id).first(db).optional()?)
}

/// The open review of this kind that the same thing raised. `None`: there is none.
pub fn open_on(db: &mut Db, kind: ReviewKind, pointer: &str) -> Result<Option<Review>, StoreError> {
    let open = reviews::table.filter(
        reviews::kind
            .eq(kind)
            .and(reviews::pointer.eq(pointer))
            // As the index of open ones has it: SQLite takes it for nothing else.
            .and(diesel::dsl::sql::<diesel::sql_types::Bool>(
                "state = 'open'",
            )),
    );
    Ok(open.first(db).optional()?)
}

/// Closes an open review. `false`: unknown, or closed already.
pub fn close(
    db: &mut Db,
    id: &ReviewId,
    (by, reason): (&str, &str),
    now: Instant,
) -> Result<bool, StoreError> {
    let step = CaseStep::Close;
    let ready = reviews::table
        .find(id)
        .filter(reviews::state.eq_any(step.from()));
    let changed = diesel::update(ready)
        .set((
            reviews::state.eq(step.to()),
            reviews::closed_by.eq(by),
            reviews::closed_at.eq(now),
            reviews::closed_reason.eq(reason),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// A page of reviews, oldest first.
pub fn page(db: &mut Db, filter: &Filter, page: &PageRequest) -> Result<Page<Review>, StoreError> {
    let mut query = reviews::table
        .filter(reviews::id.gt(page.after()))
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(reviews::state.eq(state));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(reviews::kind.eq(kind));
    }
    if let Some(partner) = &filter.partner_id {
        query = query.filter(reviews::partner_id.eq(partner));
    }
    if let Some(pointer) = &filter.pointer {
        query = query.filter(reviews::pointer.eq(pointer));
    }
    let rows = query
        .order(reviews::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |r: &Review| r.id.as_str()))
}
