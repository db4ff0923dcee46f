//! How often partners sent what must not be sent; never what it was.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::prohibited_findings as findings;
use crate::domain::instant::Instant;
use crate::domain::prohibited::Material;
use crate::domain::tenant::Tenant;

/// Counts a finding.
pub fn count(
    db: &mut Db,
    tenant: &Tenant,
    material: Material,
    now: Instant,
) -> Result<(), StoreError> {
    let first = (
        findings::partner_id.eq(tenant.partner_id()),
        findings::realm.eq(tenant.realm()),
        findings::material.eq(material),
        findings::count.eq(1_i64),
        findings::first_at.eq(now),
        findings::last_at.eq(now),
    );
    on_engine!(db, conn => diesel::insert_into(findings::table)
        .values(first)
        .on_conflict((findings::partner_id, findings::realm, findings::material))
        .do_update()
        .set((
            findings::count.eq(findings::count + 1),
            findings::last_at.eq(excluded(findings::last_at)),
        ))
        .execute(conn))?;
    Ok(())
}
