//! Privacy notices: one in force a partner, and those before it.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::privacy_notices;
use crate::domain::id::{PartnerId, PrivacyNoticeId};
use crate::domain::instant::Instant;

/// A row of `privacy_notices`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = privacy_notices, treat_none_as_default_value = false)]
pub struct PrivacyNotice {
    pub id: PrivacyNoticeId,
    pub partner_id: PartnerId,
    /// What the partner asks for.
    pub requests: String,
    pub purpose: String,
    pub retention: String,
    pub how_to_revoke: String,
    pub support_contact: String,
    pub url: Option<String>,
    pub recorded_by: String,
    pub recorded_at: Instant,
    /// `None`: in force.
    pub superseded_at: Option<Instant>,
}

/// Puts a notice in force.
pub fn insert(db: &mut Db, notice: &PrivacyNotice) -> Result<(), StoreError> {
    diesel::insert_into(privacy_notices::table)
        .values(notice)
        .execute(db)?;
    Ok(())
}

/// A partner's notice in force. `None`: it has none.
pub fn in_force(db: &mut Db, partner: &PartnerId) -> Result<Option<PrivacyNotice>, StoreError> {
    Ok(privacy_notices::table
        .filter(
            privacy_notices::partner_id
                .eq(partner)
                .and(privacy_notices::superseded_at.is_null()),
        )
        .first(db)
        .optional()?)
}

/// Makes room for the next notice; the former stays on record. `false`: there was none.
pub fn supersede(db: &mut Db, partner: &PartnerId, now: Instant) -> Result<bool, StoreError> {
    let former = privacy_notices::table.filter(
        privacy_notices::partner_id
            .eq(partner)
            .and(privacy_notices::superseded_at.is_null()),
    );
    let changed = diesel::update(former)
        .set(privacy_notices::superseded_at.eq(now))
        .execute(db)?;
    Ok(changed == 1)
}
