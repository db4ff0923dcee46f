//! Partners that send what must not be sent: counted by kind, and a case for operators.

use super::reviews::{self, Case};
use super::{Act, AdminError};
use crate::domain::prohibited::Material;
use crate::domain::review::ReviewKind;
use crate::domain::tenant::Tenant;
use crate::store::changes::Change;
use crate::store::prohibited_findings;

/// Notes what kinds of material a tenant's request held. One case is open for a partner, a realm
/// and a kind at a time; what was sent is known to nobody by now.
pub fn note(
    db: &mut Change<'_>,
    act: &Act,
    tenant: &Tenant,
    found: &[Material],
) -> Result<(), AdminError> {
    for material in found {
        prohibited_findings::count(db, tenant, *material, act.now)?;
        let pointer = format!("{} {} {material}", tenant.partner_id(), tenant.realm());
        let case = Case {
            kind: ReviewKind::ProhibitedMaterial,
            partner: Some(tenant.partner_id()),
            realm: tenant.realm(),
            pointer: &pointer,
        };
        reviews::open(db, act, &case)?;
    }
    Ok(())
}
