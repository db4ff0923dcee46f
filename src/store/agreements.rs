//! Agreements with partners.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::agreements;
use crate::domain::agreement::{AgreementKind, AgreementState, AgreementStep, Term};
use crate::domain::id::{AgreementId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::page::{Page, PageRequest};

/// A row of `agreements`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = agreements, treat_none_as_default_value = false)]
pub struct Agreement {
    pub id: AgreementId,
    pub partner_id: PartnerId,
    pub kind: AgreementKind,
    pub reference: String,
    pub document_sha256: String,
    pub lawful_basis: Option<String>,
    pub state: AgreementState,
    pub in_force_from: Instant,
    pub expires_at: Instant,
    pub created_by: String,
    pub created_at: Instant,
    /// Who brought it into force.
    pub decided_by: Option<String>,
    pub decided_at: Option<Instant>,
    /// Who terminated it, or let it expire.
    pub ended_by: Option<String>,
    pub ended_at: Option<Instant>,
    pub ended_reason: Option<String>,
}

/// Which agreements a list shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub kind: Option<AgreementKind>,
    pub state: Option<AgreementState>,
}

/// Writes a new agreement.
pub fn insert(db: &mut Db, agreement: &Agreement) -> Result<(), StoreError> {
    diesel::insert_into(agreements::table)
        .values(agreement)
        .execute(db)?;
    Ok(())
}

/// An agreement by id. `None`: unknown.
pub fn find(db: &mut Db, id: &AgreementId) -> Result<Option<Agreement>, StoreError> {
    Ok(agreements::table.find(id).first(db).optional()?)
}

/// A page of a partner's agreements, oldest first.
pub fn page(
    db: &mut Db,
    partner: &PartnerId,
    filter: Filter,
    page: &PageRequest,
) -> Result<Page<Agreement>, StoreError> {
    let mut query = agreements::table
        .filter(
            agreements::partner_id
                .eq(partner)
                .and(agreements::id.gt(page.after())),
        )
        .into_boxed();
    if let Some(kind) = filter.kind {
        query = query.filter(agreements::kind.eq(kind));
    }
    if let Some(state) = filter.state {
        query = query.filter(agreements::state.eq(state));
    }
    let rows = query
        .order(agreements::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |a: &Agreement| a.id.as_str()))
}

/// The terms of a partner's contracts that are in force by their state, whatever their dates say.
pub fn contract_terms(db: &mut Db, partner: &PartnerId) -> Result<Vec<Term>, StoreError> {
    let dates: Vec<(Instant, Instant)> = agreements::table
        .filter(
            agreements::partner_id
                .eq(partner)
                .and(agreements::kind.eq(AgreementKind::Contract))
                .and(agreements::state.eq(AgreementState::InForce)),
        )
        .order(agreements::id.asc())
        .select((agreements::in_force_from, agreements::expires_at))
        .load(db)?;
    let term = |(from, until)| Term { from, until };
    Ok(dates.into_iter().map(term).collect())
}

/// Agreements whose end has come and whose state does not say so yet, at most so many.
pub fn overdue(db: &mut Db, now: Instant, most: i64) -> Result<Vec<AgreementId>, StoreError> {
    Ok(agreements::table
        .filter(
            agreements::state
                .eq(AgreementState::InForce)
                .and(agreements::expires_at.le(now)),
        )
        .order(agreements::expires_at.asc())
        .limit(most)
        .select(agreements::id)
        .load(db)?)
}

/// Brings a draft into force. `false`: unknown, or no draft.
pub fn bring_into_force(
    db: &mut Db,
    id: &AgreementId,
    by: &str,
    now: Instant,
) -> Result<bool, StoreError> {
    let step = AgreementStep::BringIntoForce;
    let ready = agreements::table
        .find(id)
        .filter(agreements::state.eq_any(step.from()));
    let changed = diesel::update(ready)
        .set((
            agreements::state.eq(step.to()),
            agreements::decided_by.eq(by),
            agreements::decided_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Ends an agreement: `Terminate` or `Expire`. `false`: unknown, or not in force.
pub fn end(
    db: &mut Db,
    id: &AgreementId,
    step: AgreementStep,
    by: &str,
    reason: &str,
    now: Instant,
) -> Result<bool, StoreError> {
    let ready = agreements::table
        .find(id)
        .filter(agreements::state.eq_any(step.from()));
    let changed = diesel::update(ready)
        .set((
            agreements::state.eq(step.to()),
            agreements::ended_by.eq(by),
            agreements::ended_at.eq(now),
            agreements::ended_reason.eq(reason),
        ))
        .execute(db)?;
    Ok(changed == 1)
}
