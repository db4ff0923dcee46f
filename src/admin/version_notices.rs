//! Telling partners that a version which they speak has a successor: each once, in each environment.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::Act;
use crate::domain::event::EventKind;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::domain::version::{ApiVersion, CURRENT, Retirement};
use crate::events::data::VersionDeprecated;
use crate::store::changes::Change;
use crate::store::version_notices as rows;
use crate::store::{Db, StoreError};

/// Who has not called in a version for longer than this, and is not pinned to it, does not speak it.
const SPOKEN: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whose notice it is, and of which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who speaks it, and where.
    pub tenant: Tenant,
    /// The version.
    pub version: ApiVersion,
}

/// Some of the notices that are due.
pub fn due(db: &mut Db, now: Instant, limit: i64) -> Result<Vec<Notice>, StoreError> {
    let mut notices = Vec::new();
    for version in ApiVersion::ALL.iter().copied() {
        if deprecated(version, now).is_none() {
            continue;
        }
        let speakers: BTreeSet<(PartnerId, Realm)> =
            rows::due(db, version, now.minus(SPOKEN), limit)?;
        notices.extend(speakers.into_iter().map(|(partner, realm)| Notice {
            tenant: Tenant::of_record(partner, realm),
            version,
        }));
    }
    Ok(notices)
}

/// Gives a notice where the version has a successor by now. `false`: it has none, or the notice was given.
pub fn give(db: &mut Change<'_>, act: &Act, notice: &Notice) -> Result<bool, StoreError> {
    let Notice { tenant, version } = notice;
    let Some(end) = deprecated(*version, act.now) else {
        return Ok(false);
    };
    if !rows::insert(db, tenant, *version, act.now)? {
        return Ok(false);
    }
    let data = json!(VersionDeprecated {
        version: *version,
        deprecated_at: end.deprecated_at,
        sunset_at: end.sunset_at,
        current: CURRENT,
    });
    let kind = EventKind::VersionDeprecated;
    act.tell(db, tenant.partner_id(), tenant.realm(), kind, &data)?;
    Ok(true)
}

/// How a version ends, once it has a successor.
fn deprecated(version: ApiVersion, now: Instant) -> Option<Retirement> {
    version.retirement().filter(|end| end.deprecated_at <= now)
}
