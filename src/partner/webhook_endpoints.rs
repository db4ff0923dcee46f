//! Webhook endpoints: set up, verified, changed, given new secrets, switched off and on.
//!
//! What happens on the network happens between two of these functions, never within one.

use std::time::Duration;

use serde_json::json;

use super::{Act, PartnerError};
use crate::audit::{Action, Deed};
use crate::domain::event::EventKind;
use crate::domain::id::WebhookEndpointId;
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::domain::webhook::{
    DisabledReason, EndpointState, EndpointStep, EventTypes, SignatureKind,
};
use crate::events::data::EndpointDisabled;
use crate::keys::MasterKey;
use crate::keys::webhook::WebhookSecret;
use crate::store::Db;
use crate::store::webhook_deliveries;
use crate::store::webhook_endpoints::{self, Endpoint, MOST};
use crate::store::webhook_replays;
use crate::store::webhook_secrets::{self, Sealed};

/// How long a secret signs beside its successor, unless it is said otherwise.
pub const OVERLAP: Duration = Duration::from_secs(86_400);
/// The longest that it may.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(604_800);

/// An endpoint to be.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    pub id: WebhookEndpointId,
    /// Checked by the guard.
    pub url: String,
    pub event_types: EventTypes,
    pub signature: SignatureKind,
}

/// What is to be another way.
#[derive(Clone, Debug)]
pub struct Change {
    /// Checked by the guard.
    pub url: Option<String>,
    pub event_types: Option<EventTypes>,
}

/// An endpoint with what signs for it now, the newest first.
#[derive(Debug)]
pub struct Signing {
    pub endpoint: Endpoint,
    pub secrets: Vec<WebhookSecret>,
}

/// An endpoint's new secret, which is shown once.
#[derive(Debug)]
pub struct Rotated {
    pub endpoint: Endpoint,
    pub secret: WebhookSecret,
    /// Until when the one before it signs, too.
    pub previous_until: Instant,
}

/// Sets an endpoint up, pending, with its first secret.
pub fn create(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    master: &MasterKey,
    new: NewEndpoint,
) -> Result<Signing, PartnerError> {
    webhook_endpoints::hold(db, tenant)?;
    if webhook_endpoints::count(db, tenant)? >= MOST {
        return Err(PartnerError::Conflict {
            code: "webhook_endpoint_limit",
            detail: format!("you have {MOST} endpoints, which is the most: delete one first"),
        });
    }
    let now = act.now;
    let endpoint = Endpoint {
        partner_id: tenant.partner_id().clone(),
        realm: tenant.realm(),
        id: new.id,
        url: new.url,
        event_types: new.event_types,
        signature: new.signature,
        state: EndpointState::Pending,
        disabled_reason: None,
        created_at: now,
        updated_at: now,
        verified_at: None,
        activated_at: None,
        failing_since: None,
        warned: 0,
        cursor: 0,
        next_at: None,
        lease_owner: None,
        lease_until: None,
    };
    webhook_endpoints::insert(db, tenant, &endpoint)?;
    let secret = WebhookSecret::generate(endpoint.signature)?;
    keep(db, tenant, master, &endpoint.id, (1, &secret), now)?;
    let deed = Deed::new(Action::WebhookEndpointCreated, &endpoint.id)
        .detail("event_types", event_types(&endpoint.event_types))
        .detail("signature", endpoint.signature.as_str());
    act.record(db, tenant, deed)?;
    Ok(Signing {
        endpoint,
        secrets: vec![secret],
    })
}

/// Seals a secret and writes it, as the one with this number.
fn keep(
    db: &mut Db,
    tenant: &Tenant,
    master: &MasterKey,
    endpoint: &WebhookEndpointId,
    (version, secret): (i64, &WebhookSecret),
    now: Instant,
) -> Result<(), PartnerError> {
    let row = Sealed {
        partner_id: tenant.partner_id().clone(),
        realm: tenant.realm(),
        endpoint_id: endpoint.clone(),
        version,
        sealed: secret.seal(master, endpoint)?,
        public_key: secret.public_key(),
        created_at: now,
        usable_until: None,
    };
    Ok(webhook_secrets::insert(db, tenant, &row)?)
}

/// A tenant's endpoint.
pub fn get(db: &mut Db, tenant: &Tenant, id: &WebhookEndpointId) -> Result<Endpoint, PartnerError> {
    webhook_endpoints::find(db, tenant, id)?.ok_or(PartnerError::NotFound)
}

/// A tenant's endpoint with what signs for it.
pub fn signing(
    db: &mut Db,
    tenant: &Tenant,
    master: &MasterKey,
    id: &WebhookEndpointId,
    now: Instant,
) -> Result<Signing, PartnerError> {
    let endpoint = get(db, tenant, id)?;
    let sealed = webhook_secrets::usable(db, tenant, id, now)?;
    let secrets = open(master, &endpoint, &sealed)?;
    Ok(Signing { endpoint, secrets })
}

/// Opens what signs for an endpoint, in its order.
pub fn open(
    master: &MasterKey,
    endpoint: &Endpoint,
    sealed: &[Sealed],
) -> Result<Vec<WebhookSecret>, PartnerError> {
    let open = |one: &Sealed| {
        WebhookSecret::open(master, &endpoint.id, endpoint.signature, &one.sealed)
            .map_err(PartnerError::from)
    };
    sealed.iter().map(open).collect()
}

/// Refuses to ask a disabled endpoint for its challenge: enabling it does.
pub fn check_unverified(endpoint: &Endpoint) -> Result<(), PartnerError> {
    match endpoint.state {
        EndpointState::Disabled => Err(illegal(endpoint.state)),
        _ => Ok(()),
    }
}

/// Refuses to send to where nobody has answered the challenge.
pub fn check_verified(endpoint: &Endpoint) -> Result<(), PartnerError> {
    match endpoint.verified_at {
        Some(_) => Ok(()),
        None => Err(PartnerError::Conflict {
            code: "webhook_not_verified",
            detail: "the endpoint has not answered its challenge at this URL yet: ask it again \
                     under …/verify"
                .to_owned(),
        }),
    }
}

/// Notes what came of an endpoint's challenge at the URL that it had when it was asked. A pending one that
/// answered becomes active.
pub fn challenged(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    asked: &Endpoint,
    answered: bool,
) -> Result<Endpoint, PartnerError> {
    // Under another URL by now, it has yet to answer there.
    if answered && webhook_endpoints::verify(db, tenant, &asked.id, &asked.url, act.now)? {
        let deed = Deed::new(Action::WebhookEndpointVerified, &asked.id);
        act.record(db, tenant, deed.detail("before", asked.state.as_str()))?;
    }
    get(db, tenant, &asked.id)
}

/// Changes an endpoint. At another URL it is pending, unless it is disabled, and its record is clean.
/// Answers whether it stands at another URL now.
pub fn change(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &WebhookEndpointId,
    change: Change,
) -> Result<bool, PartnerError> {
    let before = get(db, tenant, id)?;
    let (now, mut changed) = (act.now, Vec::new());
    if let Some(url) = change.url.filter(|url| *url != before.url) {
        found(webhook_endpoints::readdress(db, tenant, id, &url, now)?)?;
        changed.push("url");
    }
    if let Some(types) = change
        .event_types
        .filter(|types| *types != before.event_types)
    {
        found(webhook_endpoints::choose(db, tenant, id, &types, now)?)?;
        changed.push("event_types");
    }
    let moved = changed.contains(&"url");
    if !changed.is_empty() {
        // The URL itself may hold a key of the partner's.
        let deed = Deed::new(Action::WebhookEndpointChanged, id)
            .detail("changed", changed)
            .detail(
                "event_types",
                event_types(&get(db, tenant, id)?.event_types),
            );
        act.record(db, tenant, deed)?;
    }
    Ok(moved)
}

/// Gives an endpoint a new secret; the one before it signs too, for as long as is said.
pub fn rotate(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    master: &MasterKey,
    id: &WebhookEndpointId,
    overlap: Duration,
) -> Result<Rotated, PartnerError> {
    // Holds the row, so that who rotates goes one after the other.
    found(webhook_endpoints::touch(db, tenant, id, act.now)?)?;
    let endpoint = get(db, tenant, id)?;
    let until = act.now.plus(overlap);
    let before = webhook_secrets::supersede(db, tenant, id, until)?.unwrap_or(0);
    let secret = WebhookSecret::generate(endpoint.signature)?;
    keep(db, tenant, master, id, (before + 1, &secret), act.now)?;
    let deed = Deed::new(Action::WebhookSecretRotated, id)
        .detail("version", before + 1)
        .detail("previous_until", until.to_string());
    act.record(db, tenant, deed)?;
    Ok(Rotated {
        endpoint,
        secret,
        previous_until: until,
    })
}

/// Disables an active endpoint, and tells the partner. What waits for another attempt is cancelled.
pub fn disable(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &WebhookEndpointId,
    reason: DisabledReason,
) -> Result<Endpoint, PartnerError> {
    if !webhook_endpoints::disable(db, tenant, id, reason, act.now)? {
        return Err(illegal(get(db, tenant, id)?.state));
    }
    webhook_deliveries::cancel_of_endpoint(db, tenant, id, act.now)?;
    let deed = Deed::new(Action::WebhookEndpointDisabled, id).detail("reason", reason.as_str());
    act.record(db, tenant, deed)?;
    let about = json!(EndpointDisabled {
        webhook_endpoint_id: id.clone(),
        reason,
    });
    act.tell(db, tenant, EventKind::WebhookEndpointDisabled, &about)?;
    get(db, tenant, id)
}

/// Enables a disabled endpoint that has answered at its URL; what has happened meanwhile follows.
pub fn enable(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &WebhookEndpointId,
) -> Result<Endpoint, PartnerError> {
    if !webhook_endpoints::enable(db, tenant, id, act.now)? {
        let endpoint = get(db, tenant, id)?;
        return Err(match endpoint.state {
            EndpointState::Disabled => PartnerError::Conflict {
                code: "webhook_not_verified",
                detail: "the endpoint did not answer its challenge, and stays disabled".to_owned(),
            },
            state => illegal(state),
        });
    }
    act.record(db, tenant, Deed::new(Action::WebhookEndpointEnabled, id))?;
    get(db, tenant, id)
}

/// Deletes an endpoint, with its secrets.
pub fn delete(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &WebhookEndpointId,
) -> Result<(), PartnerError> {
    // Before the endpoint, as whoever delivers takes them.
    webhook_replays::cancel_of_endpoint(db, tenant, id, act.now)?;
    found(webhook_endpoints::delete(db, tenant, id, act.now)?)?;
    webhook_secrets::forget(db, tenant, id)?;
    webhook_deliveries::cancel_of_endpoint(db, tenant, id, act.now)?;
    Ok(act.record(db, tenant, Deed::new(Action::WebhookEndpointDeleted, id))?)
}

fn found(found: bool) -> Result<(), PartnerError> {
    found.then_some(()).ok_or(PartnerError::NotFound)
}

fn illegal(state: EndpointState) -> PartnerError {
    PartnerError::illegal::<EndpointStep>("the endpoint", state)
}

/// As the audit trail keeps them.
fn event_types(types: &EventTypes) -> serde_json::Value {
    json!(types)
}
