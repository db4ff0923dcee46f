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

/// A replay that was counted, and is on no record yet.
#[derive(Clone, Debug)]
pub struct Counted {
    replay: Replay,
    dry_run: bool,
}

/// Counts what a replay means, which looks through all events that are kept: for a read, which nobody who
/// writes waits for.
///
/// It means events that the endpoint was or would have been sent by now; whatever comes later, and what is
/// on its way, is sent anyway.
pub fn count(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    new: NewReplay,
) -> Result<Counted, PartnerError> {
    let endpoint = endpoint(db, tenant, &new.endpoint_id)?;
    if !new.dry_run {
        // Before the work of counting.
        check_active(&endpoint)?;
    }
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
        upto: upto(db, tenant, &endpoint, new.selection)?,
        done_upto: 0,
        state: ReplayState::Previewed,
        count: 0,
        created_by: act.actor.to_string(),
        created_at: now,
        started_at: None,
        ended_at: None,
    };
    replay.count = webhook_replays::count(db, tenant, &replay, &endpoint.event_types)?;
    Ok(Counted {
        replay,
        dry_run: new.dry_run,
    })
}

/// Writes a replay down that was counted, and begins it unless it is a dry run.
pub fn create(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    counted: Counted,
) -> Result<Shown, PartnerError> {
    let Counted {
        mut replay,
        dry_run,
    } = counted;
    let endpoint = endpoint(db, tenant, &replay.endpoint_id)?;
    if !dry_run {
        check_active(&endpoint)?;
        replay.state = ReplayState::Running;
        replay.started_at = Some(act.now);
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

fn endpoint(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
) -> Result<Endpoint, PartnerError> {
    let found = webhook_endpoints::find(db, tenant, id)?;
    found.ok_or_else(|| {
        let detail = "is not one of your webhook endpoints".to_owned();
        PartnerError::Invalid("/endpoint_id", detail)
    })
}

/// Up to which event a replay goes. The cursor stays below the first event that is on its way: others above
/// it have arrived or failed already.
fn upto(
    db: &mut Db,
    tenant: &Tenant,
    endpoint: &Endpoint,
    selection: Selection,
) -> Result<i64, StoreError> {
    let cursor = endpoint.cursor;
    let tried = match selection {
        // It asks for no row: what is on its way has none either.
        Selection::Missing => None,
        Selection::Failed | Selection::All => {
            let tried = webhook_deliveries::settled_above(db, tenant, &endpoint.id, "", cursor)?;
            tried.into_iter().max()
        }
    };
    Ok(tried.unwrap_or(cursor))
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
