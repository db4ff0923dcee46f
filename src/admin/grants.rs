//! Scope grants: asked for with a purpose, decided by another.

use std::time::Duration;

use serde_json::json;

use super::{Act, AdminError, four_eyes, partners};
use crate::audit::{Action, Deed};
use crate::domain::event::{EventKind, GrantEnd};
use crate::domain::grant::{GrantState, GrantStep, POLICY};
use crate::domain::id::{GrantId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation::Revoked;
use crate::domain::scope::{PARTNER_SCOPES, Scope, ScopeSet};
use crate::events::data::GrantRevoked;
use crate::store::changes::{Change, Subject};
use crate::store::grants::{self, Grant};
use crate::store::resource_servers;
use crate::store::{Db, StoreError};

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
    act: &Act,
    partner: &PartnerId,
    new: NewGrant,
) -> Result<Grant, AdminError> {
    let now = act.now;
    partners::approved(db, partner)?;
    if !new.realm.is_environment() {
        return Err(AdminError::invalid(
            "/realm",
            "must be one of sandbox, live",
        ));
    }
    let (mut resource_server_id, mut looks) = (None, Vec::new());
    if new.expires_at <= now || new.expires_at > now.plus(LONGEST) {
        let detail = "must lie in the future, at most 366 days ahead";
        looks.push(Err(AdminError::invalid("/expires_at", detail)));
    }
    looks.push(audience(db, &new).map(|id| resource_server_id = id));
    AdminError::all(looks)?;
    let at_once = act.policy.sandbox_auto_approve && new.realm == Realm::Sandbox;
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
        requested_by: act.actor.to_string(),
        requested_at: now,
        decided_by: at_once.then(|| POLICY.to_owned()),
        decided_at: at_once.then_some(now),
        expires_at: new.expires_at,
        ended_by: None,
        ended_at: None,
        ended_reason: None,
    };
    grants::insert(db, &grant)?;
    db.touch(Subject::Partner(partner.clone()));
    act.record(db, deed(Action::ScopeGrantRequested, &grant))?;
    if at_once {
        act.by_policy()
            .record(db, deed(Action::ScopeGrantApproved, &grant))?;
    }
    Ok(grant)
}

fn deed(action: Action, grant: &Grant) -> Deed {
    Deed::new(action, &grant.id)
        .partner(&grant.partner_id)
        .realm(grant.realm)
        .detail("scope", grant.scope.as_str())
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

/// Decides a requested grant: `Approve` or `Deny`. Who asked does not decide.
pub fn decide(
    db: &mut Change<'_>,
    act: &Act,
    id: &GrantId,
    step: GrantStep,
    reason: Option<&str>,
) -> Result<Grant, AdminError> {
    let asked = grants::find(db, id)?.ok_or(AdminError::NotFound)?;
    if asked.state == GrantState::Requested {
        four_eyes::check(db, asked.realm, &asked.requested_by, &act.actor)?;
        if step == GrantStep::Approve {
            check_worth_approving(db, &asked, act.now)?;
        }
    }
    let decided = grants::decide(db, id, step, act.actor.as_str(), act.now)?;
    let grant = grants::find(db, id)?.ok_or(AdminError::NotFound)?;
    if !decided {
        return Err(AdminError::illegal::<GrantStep>("the grant", grant.state));
    }
    db.touch(Subject::Partner(grant.partner_id.clone()));
    let action = match step {
        GrantStep::Deny => Action::ScopeGrantDenied,
        _ => Action::ScopeGrantApproved,
    };
    act.record(db, deed(action, &grant).detail("reason", reason))?;
    Ok(grant)
}

/// What could never be used is not approved: it would only look as if it were.
fn check_worth_approving(db: &mut Db, asked: &Grant, now: Instant) -> Result<(), AdminError> {
    partners::approved(db, &asked.partner_id)?;
    if asked.expires_at <= now {
        let detail = "the end that was asked for has passed; deny it, and ask for a new one";
        return Err(AdminError::conflict("grant_overdue", detail));
    }
    Ok(())
}

/// Revokes an approved grant: its scope goes from the partner's next token, and the tokens that
/// carry it die, be it also granted otherwise: they do not say by which grant they came.
pub fn revoke(
    db: &mut Change<'_>,
    act: &Act,
    id: &GrantId,
    reason: &str,
) -> Result<Grant, AdminError> {
    let grant = end(db, act, id, GrantStep::Revoke, reason)?
        .map_err(|state| AdminError::illegal::<GrantStep>("the grant", state))?;
    let subject = Revoked::Grant(grant.partner_id.clone(), grant.scope.clone());
    act.revoke(db, grant.realm, subject, grant.state.as_str())?;
    tell(db, act, &grant, GrantEnd::Revoked)?;
    let deed = deed(Action::ScopeGrantRevoked, &grant).detail("reason", reason);
    act.record(db, deed)?;
    Ok(grant)
}

/// Puts an end to grants whose time is over, at most `limit`; answers how many.
///
/// The token endpoint has refused them since that very moment; this is for the record.
pub fn expire_overdue(db: &mut Change<'_>, act: &Act, limit: i64) -> Result<usize, AdminError> {
    let mut expired = 0;
    for overdue in grants::overdue(db, act.now, limit)? {
        let ended = end(db, act, &overdue.id, GrantStep::Expire, "its end has come")?;
        let Ok(grant) = ended else { continue };
        // No token outlives its grants, so this only takes the verifiers' leeway away. Where the
        // scope is still granted, tokens that rest on another grant must not pay for it.
        let standing = grants::in_force(db, &grant.partner_id, grant.realm, act.now)?;
        if !standing.iter().any(|other| other.scope == grant.scope) {
            let subject = Revoked::Grant(grant.partner_id.clone(), grant.scope.clone());
            act.revoke(db, grant.realm, subject, grant.state.as_str())?;
        }
        tell(db, act, &grant, GrantEnd::Expired)?;
        act.record(db, deed(Action::ScopeGrantExpired, &grant))?;
        expired += 1;
    }
    Ok(expired)
}

/// Tells the partner that a grant has ended: how, and not in whose words.
pub(super) fn tell(
    db: &mut Change<'_>,
    act: &Act,
    grant: &Grant,
    reason: GrantEnd,
) -> Result<(), StoreError> {
    let about = json!(GrantRevoked {
        grant_id: grant.id.clone(),
        scope: grant.scope.clone(),
        reason,
    });
    let kind = EventKind::ScopeGrantRevoked;
    act.tell(db, &grant.partner_id, grant.realm, kind, &about)
}

/// Ends an approved grant. The inner error: the state that it is in instead.
fn end(
    db: &mut Change<'_>,
    act: &Act,
    id: &GrantId,
    step: GrantStep,
    reason: &str,
) -> Result<Result<Grant, GrantState>, AdminError> {
    let ended = grants::end(db, id, step, act.actor.as_str(), reason, act.now)?;
    let grant = grants::find(db, id)?.ok_or(AdminError::NotFound)?;
    if !ended {
        return Ok(Err(grant.state));
    }
    db.touch(Subject::Partner(grant.partner_id.clone()));
    Ok(Ok(grant))
}

/// A grant by id.
pub fn get(db: &mut Db, id: &GrantId) -> Result<Grant, AdminError> {
    grants::find(db, id)?.ok_or(AdminError::NotFound)
}

/// The audience of a grant as its identifier; `None`: the partner API.
pub fn identifier(db: &mut Db, grant: &Grant) -> Result<Option<String>, StoreError> {
    match &grant.resource_server_id {
        Some(id) => Ok(resource_servers::find(db, id)?.map(|server| server.identifier)),
        None => Ok(None),
    }
}
