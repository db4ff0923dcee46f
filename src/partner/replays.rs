//! Replays: a partner has events sent to one of its endpoints again.

use super::{Act, PartnerError};
use crate::audit::{Action, Deed};
use crate::domain::id::{ReplayId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::replay::{ReplayState, ReplayStep, Selection};
use crate::domain::tenant::Tenant;
use crate::domain::webhook::{EndpointState, EventTypes};
use crate::store::webhook_endpoints::{self, Endpoint};
use crate::store::webhook_replays::{self, Progress, Replay};
use crate::store::{Db, StoreError, webhook_deliveries};

/// A replay to be.
#[derive(Clone, Debug)]
pub struct NewReplay {
    pub endpoint_id: WebhookEndpointId,
    /// Events from then on.
    pub from: Option<Instant>,
    /// Events from before.
    pub to: Option<Instant>,
    pub event_types: Option<EventTypes>,
    pub selection: Selection,
    /// Whether it is only counted.
    pub dry_run: bool,
}

/// A replay, and what became of its events so far.
#[derive(Clone, Debug)]
pub struct Shown {
    pub replay: Replay,
    pub progress: Progress,
}

/// Counts what a replay means, and begins it unless it is a dry run.
///
/// It means events that the endpoint was or would have been sent by now; whatever comes later is sent
/// anyway.
pub fn create(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    new: NewReplay,
) -> Result<Shown, PartnerError> {
    let found = webhook_endpoints::find(db, tenant, &new.endpoint_id)?;
    let endpoint = found.ok_or_else(|| {
        let detail = "is not one of your webhook endpoints".to_owned();
        PartnerError::Invalid("/endpoint_id", detail)
    })?;
    let now = act.now;
    let mut replay = Replay {
        partner_id: tenant.partner_id().clone(),
        realm: tenant.realm(),
        id: ReplayId::generate(now),
        endpoint_id: new.endpoint_id,
        selection: new.selection,
        from_at: new.from,
        to_at: new.to,
        event_types: new.event_types,
        upto: endpoint.cursor,
        done_upto: 0,
        state: ReplayState::Previewed,
        count: 0,
        created_by: act.actor.to_string(),
        created_at: now,
        started_at: None,
        ended_at: None,
    };
    replay.count = webhook_replays::count(db, tenant, &replay, &endpoint.event_types)?;
    if !new.dry_run {
        check_active(&endpoint)?;
        replay.state = ReplayState::Running;
        replay.started_at = Some(now);
    }
    webhook_replays::insert(db, tenant, &replay)?;
    if replay.state == ReplayState::Running {
        record_start(db, tenant, act, &replay)?;
    }
    Ok(Shown {
        replay,
        progress: Progress::default(),
    })
}

/// A tenant's replay.
pub fn get(db: &mut Db, tenant: &Tenant, id: &ReplayId) -> Result<Shown, PartnerError> {
    let replay = webhook_replays::find(db, tenant, id)?.ok_or(PartnerError::NotFound)?;
    let progress = webhook_replays::progress(db, tenant, &replay)?;
    Ok(Shown { replay, progress })
}

/// Begins a replay that was previewed.
pub fn run(db: &mut Db, tenant: &Tenant, act: &Act, id: &ReplayId) -> Result<Shown, PartnerError> {
    let before = get(db, tenant, id)?.replay;
    let endpoint = webhook_endpoints::find(db, tenant, &before.endpoint_id)?;
    if let Some(endpoint) = &endpoint {
        check_active(endpoint)?;
    }
    // One whose endpoint was deleted has nowhere to go.
    let runs =
        endpoint.is_some() && webhook_replays::step(db, tenant, id, ReplayStep::Run, act.now)?;
    if !runs {
        return Err(illegal(db, tenant, id));
    }
    record_start(db, tenant, act, &before)?;
    get(db, tenant, id)
}

/// Calls a replay off: what has not been sent is not, nor is what failed tried again.
pub fn cancel(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    id: &ReplayId,
) -> Result<Shown, PartnerError> {
    let before = get(db, tenant, id)?.replay;
    if !webhook_replays::step(db, tenant, id, ReplayStep::Cancel, act.now)? {
        return Err(illegal(db, tenant, id));
    }
    webhook_deliveries::cancel_of_replay(db, tenant, &before.endpoint_id, id, act.now)?;
    act.record(db, tenant, Deed::new(Action::ReplayCancelled, id))?;
    get(db, tenant, id)
}

fn record_start(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    replay: &Replay,
) -> Result<(), StoreError> {
    let deed = Deed::new(Action::ReplayStarted, &replay.id)
        .detail("endpoint_id", replay.endpoint_id.as_str())
        .detail("only", replay.selection.as_str())
        .detail("count", replay.count);
    act.record(db, tenant, deed)
}

/// Nothing is sent to an endpoint that is not active, by a replay neither.
fn check_active(endpoint: &Endpoint) -> Result<(), PartnerError> {
    if endpoint.state == EndpointState::Active {
        return Ok(());
    }
    Err(PartnerError::Conflict {
        code: "webhook_endpoint_not_active",
        detail: format!(
            "the endpoint is {}, and nothing is sent to it: make it active first",
            endpoint.state
        ),
    })
}

fn illegal(db: &mut Db, tenant: &Tenant, id: &ReplayId) -> PartnerError {
    match webhook_replays::find(db, tenant, id) {
        Ok(Some(replay)) => PartnerError::illegal::<ReplayStep>("the replay", replay.state),
        Ok(None) => PartnerError::NotFound,
        Err(error) => error.into(),
    }
}
