//! Scope grants: asked for with a purpose, decided by another.

use std::time::Duration;

use super::{Actor, AdminError, partners};
use crate::domain::grant::{GrantState, POLICY};
use crate::domain::id::{GrantId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::{PARTNER_SCOPES, Scope, ScopeSet};
use crate::store::changes::{Change, Subject};
use crate::store::grants::{self, Grant};
use crate::store::{Db, StoreError};
use crate::store::{clients, resource_servers};

/// No grant is given for longer: what is needed for good is asked for again.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A request for a permission.
#[derive(Clone, Debug)]
pub struct NewGrant {
    pub realm: Realm,
    pub scope: Scope,
    /// The audience's identifier; `None`: the partner API.
    pub resource: Option<String>,
    pub purpose: String,
    pub lawful_basis: Option<String>,
    pub data_classes: Vec<String>,
    pub retention_days: i32,
    pub expires_at: Instant,
}

/// Records a request. In the sandbox it is approved at once where the server is so configured.
pub fn request(
    db: &mut Change<'_>,
    actor: &Actor,
    partner: &PartnerId,
    new: NewGrant,
    auto_approve_sandbox: bool,
    now: Instant,
) -> Result<Grant, AdminError> {
    partners::approved(db, partner)?;
    if !new.realm.is_environment() {
        return Err(AdminError::invalid(
            "/realm",
            "must be one of sandbox, live",
        ));
    }
    if new.expires_at <= now || new.expires_at > now.plus(LONGEST) {
        return Err(AdminError::invalid(
            "/expires_at",
            "must lie in the future, at most 366 days ahead",
        ));
    }
    let resource_server_id = audience(db, &new)?;
    let at_once = auto_approve_sandbox && new.realm == Realm::Sandbox;
    let grant = Grant {
        id: GrantId::generate(now),
        partner_id: partner.clone(),
        realm: new.realm,
        scope: new.scope,
        resource_server_id,
        purpose: new.purpose,
        lawful_basis: new.lawful_basis,
        data_classes: serde_json::Value::from(new.data_classes).to_string(),
        retention_days: new.retention_days,
        state: if at_once {
            GrantState::Approved
        } else {
            GrantState::Requested
        },
        requested_by: actor.to_string(),
        requested_at: now,
        decided_by: at_once.then(|| POLICY.to_owned()),
        decided_at: at_once.then_some(now),
        expires_at: new.expires_at,
    };
    grants::insert(db, &grant)?;
    db.touch(Subject::Partner(partner.clone()));
    Ok(grant)
}

/// The audience of the grant, which must know the scope.
fn audience(db: &mut Db, new: &NewGrant) -> Result<Option<ResourceServerId>, AdminError> {
    let unknown = |known: &ScopeSet| {
        AdminError::invalid(
            "/scope",
            format!("must be one of {}", known.as_str().replace(' ', ", ")),
        )
    };
    match &new.resource {
        None => {
            let known = ScopeSet::of(PARTNER_SCOPES);
            if known.contains(&new.scope) {
                Ok(None)
            } else {
                Err(unknown(&known))
            }
        }
        Some(identifier) => {
            let server =
                resource_servers::by_identifier(db, new.realm, identifier)?.ok_or_else(|| {
                    AdminError::invalid(
                        "/resource",
                        "no resource server is registered under this identifier in the realm",
                    )
                })?;
            if server.scopes.contains(&new.scope) {
                Ok(Some(server.id))
            } else {
                Err(unknown(&server.scopes))
            }
        }
    }
}

/// Decides a requested grant: `Approved` or `Denied`. Who asked does not decide; in live,
/// neither does an operator whom the asker made or gave a credential, nor the other way round.
pub fn decide(
    db: &mut Change<'_>,
    actor: &Actor,
    id: &GrantId,
    to: GrantState,
    now: Instant,
) -> Result<Grant, AdminError> {
    let asked = grants::find(db, id)?.ok_or(AdminError::NotFound)?;
    if asked.realm == Realm::Live && asked.state == GrantState::Requested {
        let (one, other) = (asked.requested_by.as_str(), actor.as_str());
        if clients::is_from_hand_of(db, one, other)? || clients::is_from_hand_of(db, other, one)? {
            return Err(AdminError::FourEyes(
                "one of the two operators made the other or gave it a credential: in live, a third must decide",
            ));
        }
    }
    let decided = grants::decide(db, id, to, actor.as_str(), now)?;
    let grant = grants::find(db, id)?.ok_or(AdminError::NotFound)?;
    if decided {
        db.touch(Subject::Partner(grant.partner_id.clone()));
        log::info!("grant {id} is {to}, by {actor}");
        return Ok(grant);
    }
    if grant.state == GrantState::Requested {
        return Err(AdminError::FourEyes(
            "who asked for a grant does not decide it: another operator must",
        ));
    }
    let allowed: &[GrantState] = match grant.state {
        GrantState::Requested => &[GrantState::Approved, GrantState::Denied],
        GrantState::Approved => &[GrantState::Revoked, GrantState::Expired],
        GrantState::Denied | GrantState::Revoked | GrantState::Expired => &[],
    };
    Err(AdminError::illegal("the grant", grant.state, allowed))
}

/// The audience of a grant as its identifier; `None`: the partner API.
pub fn identifier(db: &mut Db, grant: &Grant) -> Result<Option<String>, StoreError> {
    match &grant.resource_server_id {
        Some(id) => Ok(resource_servers::find(db, id)?.map(|server| server.identifier)),
        None => Ok(None),
    }
}
