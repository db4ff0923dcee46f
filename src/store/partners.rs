//! Partners.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::partners;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::domain::partner::PartnerState;

/// A row of `partners`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = partners)]
pub struct Partner {
    pub id: PartnerId,
    pub name: String,
    pub legal_name: String,
    pub security_contact: String,
    pub state: PartnerState,
    pub created_by: String,
    pub created_at: Instant,
    pub updated_at: Instant,
}

/// Writes a new partner.
pub fn insert(db: &mut Db, partner: &Partner) -> Result<(), StoreError> {
    diesel::insert_into(partners::table)
        .values(partner)
        .execute(db)?;
    Ok(())
}

/// A partner by id. `None`: unknown.
pub fn find(db: &mut Db, id: &PartnerId) -> Result<Option<Partner>, StoreError> {
    Ok(partners::table.find(id).get_result(db).optional()?)
}

/// A partner's state. `None`: unknown.
pub fn state(db: &mut Db, id: &PartnerId) -> Result<Option<PartnerState>, StoreError> {
    let state = partners::table.find(id).select(partners::state);
    let state = on_engine!(db, conn => state.get_result(conn));
    Ok(state.optional()?)
}

/// A page of all partners, oldest first.
pub fn page(db: &mut Db, page: &PageRequest) -> Result<Page<Partner>, StoreError> {
    let rows = partners::table
        .filter(partners::id.gt(page.after()))
        .order(partners::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |p: &Partner| p.id.as_str()))
}

/// Moves a partner from one state to another. `false`: it is not in `from`.
pub fn transition(
    db: &mut Db,
    id: &PartnerId,
    from: PartnerState,
    to: PartnerState,
    now: Instant,
) -> Result<bool, StoreError> {
    let changed = diesel::update(partners::table.find(id).filter(partners::state.eq(from)))
        .set((partners::state.eq(to), partners::updated_at.eq(now)))
        .execute(db)?;
    Ok(changed == 1)
}
