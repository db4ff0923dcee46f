//! Looking for what is to be sent: one read for all endpoints of a node.
//!
//! The endpoint, its state and its partner's are read with what is to be sent there, so nothing is sent on
//! the word of an earlier look.

use std::collections::HashMap;

use crate::domain::id::{ReplayId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::replay::ReplayState;
use crate::store::webhook_deliveries::{self as deliveries, Delivery, Outgoing};
use crate::store::webhook_lanes::{self as lanes, Ready, Why};
use crate::store::webhook_replays::{self as replays, Replay};
use crate::store::webhook_secrets::{self as secrets, Sealed};
use crate::store::{Db, StoreError, instance};

/// How many events are looked through at once: most may be of types that nobody asked for.
const LOOKED_THROUGH: i64 = 100;

/// What may be sent to an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub(super) claim: u64,
    /// Up to which event it was looked through.
    pub(super) read: i64,
    /// How much may be sent.
    pub(super) room: super::lane::Room,
    /// How many further attempts were begun: they look as if they waited.
    pub(super) begun_again: usize,
    /// The replay that is under way, and up to which event.
    pub(super) run: Option<(ReplayId, i64)>,
    /// As of which change of the endpoint its secrets are known, if they were looked for a moment ago.
    pub(super) secrets_of: Option<Instant>,
}

/// What there is for an endpoint.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) claim: u64,
    pub(super) ready: Ready,
    pub(super) secrets: Option<Vec<Sealed>>,
    pub(super) events: Vec<Outgoing>,
    /// Up to which number there is no event. `None`: there are some, or it was not asked for.
    pub(super) nothing_upto: Option<i64>,
    /// `None`: it was not asked for.
    pub(super) due: Option<Vec<(Delivery, Outgoing)>>,
    /// `None`: it was not asked for.
    pub(super) replay: Option<Option<Replayed>>,
}

/// What there is of a replay.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) replay: Replay,
    /// If it was not under way here: what of it is on record above the number that it is done up to.
    pub(super) settled: Vec<i64>,
    /// `None`: its turn has not come.
    pub(super) events: Option<Vec<Outgoing>>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) found: Vec<Found>,
    /// Whether there are endpoints that nobody delivers to.
    pub(super) claimable: bool,
}

/// Looks for news; now and then, `all`, also for further attempts, for replays and for endpoints that
/// nobody delivers to.
pub(super) fn look(
    db: &mut Db,
    node: &str,
    wants: &HashMap<WebhookEndpointId, Want>,
    all: bool,
    now: Instant,
) -> Result<Look, StoreError> {
    let mut look = Look::default();
    let mut at = HashMap::new();
    let mut whys = vec![];
    if !wants.is_empty() {
        whys.push(Why::News);
        if all {
            whys.extend([Why::Due(now), Why::Replay]);
        }
    }
    for why in whys {
        for ready in lanes::ready(db, node, why)? {
            // Claimed a moment ago, or all that may be sent is on its way.
            let Some(want) = wants.get(&ready.endpoint_id) else {
                continue;
            };
            let nth = *at.entry(ready.endpoint_id.clone()).or_insert_with(|| {
                look.found.push(Found {
                    claim: want.claim,
                    ready,
                    secrets: None,
                    events: Vec::new(),
                    nothing_upto: None,
                    due: None,
                    replay: None,
                });
                look.found.len() - 1
            });
            if let Some(found) = look.found.get_mut(nth) {
                fill(db, found, want, why, now)?;
            }
        }
    }
    for found in &mut look.found {
        let wanted = wants.get(&found.ready.endpoint_id);
        if found.has_something()
            && wanted.is_some_and(|want| want.secrets_of != Some(found.ready.updated_at))
        {
            let tenant = found.ready.tenant();
            let usable = secrets::usable(db, &tenant, &found.ready.endpoint_id, now)?;
            found.secrets = Some(usable);
        }
    }
    if all {
        // By the clock that claims are made by.
        let now = instance::time(db)?.unwrap_or(now);
        look.claimable = lanes::is_claimable(db, now)?;
    }
    Ok(look)
}

impl Found {
    fn has_something(&self) -> bool {
        let replayed = self
            .replay
            .iter()
            .flatten()
            .filter_map(|replay| replay.events.as_ref());
        !self.events.is_empty()
            || self.due.as_ref().is_some_and(|due| !due.is_empty())
            || replayed.flatten().next().is_some()
    }
}

fn fill(
    db: &mut Db,
    found: &mut Found,
    want: &Want,
    why: Why,
    now: Instant,
) -> Result<(), StoreError> {
    let tenant = found.ready.tenant();
    let endpoint = &found.ready.endpoint_id;
    match why {
        Why::News => {
            let is_behind = found.ready.head.is_some_and(|head| head > want.read);
            if is_behind && want.room.first > 0 {
                found.events = deliveries::outgoing(db, &tenant, want.read, LOOKED_THROUGH)?;
                // Numbers that a restore passed over. The head was read first: nothing below it is yet to come.
                if found.events.is_empty() {
                    found.nothing_upto = found.ready.head;
                }
            }
        }
        Why::Due(_) => {
            let most = want.room.again + want.begun_again + 1;
            let most = i64::try_from(most).unwrap_or(LOOKED_THROUGH);
            found.due = Some(deliveries::due(db, &tenant, endpoint, now, most)?);
        }
        Why::Replay => {
            // One that has begun goes on to its end: what is on its way has no row yet, and would be sent twice.
            let begun = match &want.run {
                Some((id, _)) => replays::find(db, &tenant, id)?,
                None => None,
            };
            let begun = begun.filter(|replay| replay.state == ReplayState::Running);
            let replay = match begun {
                Some(begun) => Some(begun),
                None => replays::running(db, &tenant, endpoint)?,
            };
            let Some(replay) = replay else {
                found.replay = Some(None);
                return Ok(());
            };
            let under_way = want.run.as_ref().filter(|(id, _)| *id == replay.id);
            let (above, settled) = match under_way {
                Some((_, read)) => (*read, Vec::new()),
                None => {
                    let (id, upto) = (replay.id.as_str(), replay.done_upto);
                    let settled = deliveries::settled_above(db, &tenant, endpoint, id, upto)?;
                    (replay.done_upto, settled)
                }
            };
            // It yields: to what is new, and to what is tried again.
            let is_busy = !found.events.is_empty()
                || found.ready.head.is_some_and(|head| head > want.read)
                || found.due.as_ref().is_some_and(|due| !due.is_empty());
            let events = if is_busy || want.room.replayed == 0 {
                None
            } else {
                let types = &found.ready.event_types;
                let most = want.room.replayed + settled.len();
                let most = i64::try_from(most).unwrap_or(LOOKED_THROUGH);
                Some(replays::next(db, &tenant, &replay, types, above, most)?)
            };
            found.replay = Some(Some(Replayed {
                replay,
                settled,
                events,
            }));
        }
    }
    Ok(())
}
