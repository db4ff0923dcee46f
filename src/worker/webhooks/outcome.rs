//! A message on its way to an endpoint, and what came of it.

use crate::domain::event::EventKind;
use crate::domain::id::{EventId, ReplayId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::domain::webhook_delivery::{WebhookDeliveryState, wait_after};
use crate::events::Envelope;
use crate::store::webhook_deliveries::{AttemptRow, Delivery, Outgoing};
use crate::webhook::Attempt;

/// Why a message is sent.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// The event has come up.
    First,
    /// It failed before; this is its row.
    Again(Box<Delivery>),
    /// A replay sends it.
    Replayed(ReplayId),
}

impl Way {
    /// The replay that the message names.
    pub(super) fn replay(&self) -> Option<ReplayId> {
        match self {
            Self::First => None,
            Self::Again(before) => before.replay(),
            Self::Replayed(replay) => Some(replay.clone()),
        }
    }
}

/// What is sent, but for its text.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) seq: i64,
    pub(super) event_id: EventId,
    pub(super) kind: EventKind,
    pub(super) created_at: Instant,
    pub(super) way: Way,
}

impl Message {
    pub(super) fn of(event: &Outgoing, way: Way) -> Self {
        Self {
            seq: event.seq,
            event_id: event.id.clone(),
            kind: event.kind,
            created_at: event.created_at,
            way,
        }
    }
}

/// A message that was sent, and what came of it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) nth: u64,
    pub(super) message: Message,
    pub(super) attempt: Attempt,
    /// When it ended.
    pub(super) at: Instant,
    /// By how much the next wait differs from its middle, from 0 to 1.
    pub(super) chance: f64,
}

/// HTTP's word for an endpoint that wants nothing any more.
const GONE: u16 = 410;

/// What an attempt says about its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: Instant,
    pub(super) failed: bool,
    pub(super) is_gone: bool,
}

impl Mark {
    pub(super) fn of(sent: &Sent) -> Self {
        Self {
            at: sent.at,
            failed: !sent.attempt.succeeded(),
            is_gone: sent.attempt.status == Some(GONE),
        }
    }
}

impl Sent {
    /// The delivery as it stands after the attempt, and the attempt.
    pub(super) fn rows(
        &self,
        endpoint: &WebhookEndpointId,
        tenant: &Tenant,
    ) -> (Delivery, AttemptRow) {
        let (message, attempt) = (&self.message, &self.attempt);
        let (number, created_at) = match &message.way {
            Way::Again(before) => (before.attempts + 1, before.created_at),
            Way::First | Way::Replayed(_) => (1, self.at),
        };
        let next = wait_after(number, self.chance, attempt.retry_after);
        let (state, next) = match next {
            _ if attempt.succeeded() => (WebhookDeliveryState::Succeeded, None),
            Some(wait) => (WebhookDeliveryState::Retrying, Some(self.at.plus(wait))),
            None => (WebhookDeliveryState::Exhausted, None),
        };
        let replay_id = message
            .way
            .replay()
            .map_or_else(String::new, |id| id.to_string());
        let row = AttemptRow {
            endpoint_id: endpoint.clone(),
            seq: message.seq,
            replay_id: replay_id.clone(),
            number,
            at: self.at.minus(attempt.took),
            class: attempt.class,
            status: attempt.status.map(i32::from),
            millis: i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX),
            address: attempt.address.map(|address| address.to_string()),
        };
        let delivery = Delivery {
            endpoint_id: endpoint.clone(),
            seq: message.seq,
            replay_id,
            partner_id: tenant.partner_id().clone(),
            realm: tenant.realm(),
            event_id: message.event_id.clone(),
            kind: message.kind,
            state,
            attempts: number,
            next_attempt_at: next,
            created_at,
            updated_at: self.at,
        };
        (delivery, row)
    }
}

/// The text of a message.
pub(super) fn body(event: &Outgoing, env: Realm, way: &Way) -> Result<Vec<u8>, serde_json::Error> {
    let envelope = Envelope {
        id: event.id.clone(),
        kind: event.kind,
        seq: event.seq,
        created_at: event.created_at,
        env,
        data: event.data.parse()?,
        replay: None,
    };
    let envelope = match way.replay() {
        Some(replay) => envelope.replayed_by(replay),
        None => envelope,
    };
    Ok(envelope.body())
}
