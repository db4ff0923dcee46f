//! What the task hears, and what it makes of it.

use std::time::Duration;

use tokio::time::Instant as Moment;

use super::hold::{Held, ROUND};
use super::lane::Lane;
use super::look::Look;
use super::outcome::{Sent, Way};
use super::settle::{Batch, Written};
use super::{ALL, COUNT, Courier, GATHER, HOT, MARGIN, RETRY};
use crate::domain::id::WebhookEndpointId;
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::partner::PartnerError;
use crate::store::{StoreError, webhook_lanes};
use crate::telemetry::telemetry;

impl Courier {
    pub(super) fn held(&mut self, asked: Moment, held: Result<Held, StoreError>, now: Moment) {
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                log::warn!("webhook endpoints could not be claimed, and will be: {error}");
                return self.hold.end(now + RETRY);
            }
        };
        self.hold.end(now + ROUND);
        self.claimed_until = asked + webhook_lanes::LEASE - MARGIN;
        self.lanes.retain(|id, _| held.kept.contains(id));
        self.unwanted = held
            .kept
            .iter()
            .filter(|id| !self.lanes.contains_key(id))
            .cloned()
            .collect();
        let holds = held.kept.len() + held.claimed.len();
        for (claim, settled) in held.claimed {
            self.claims += 1;
            let tenant = Tenant::of_record(claim.partner_id, claim.realm);
            let lane = Lane::new(tenant, self.claims, claim.cursor, settled, now);
            self.lanes.insert(claim.endpoint_id, lane);
        }
        // Others are there, too: what is above this node's share goes to them, once nothing is on its way.
        let mut above = holds.saturating_sub(held.share);
        for lane in self.lanes.values_mut() {
            lane.leaves = above > 0;
            above = above.saturating_sub(1);
        }
        // Given back at once, so that whoever claims it need not wait.
        let goes = |lane: &Lane| lane.leaves && lane.is_idle();
        if !self.unwanted.is_empty() || self.lanes.values().any(goes) {
            self.hold.next = now;
        }
        telemetry()
            .webhooks
            .held
            .set(i64::try_from(self.lanes.len()).unwrap_or(i64::MAX));
    }

    pub(super) fn looked(&mut self, all: bool, look: Result<Look, StoreError>, now: Moment) {
        let look = match look {
            Ok(look) => look,
            Err(error) => {
                log::warn!("events to be delivered could not be looked for, and will be: {error}");
                return self.look.end(now + RETRY);
            }
        };
        if all {
            self.all = now + ALL;
        }
        if look.claimable {
            self.hold.next = now;
        }
        let is_late = now >= self.claimed_until;
        let (mut is_behind, mut left) = (false, self.left(now));
        // Where there is not enough for all, it is not always the same ones who come first.
        let mut found = look.found;
        if !found.is_empty() {
            let first = rand::random_range(0..found.len());
            found.rotate_left(first);
        }
        for found in found {
            is_behind |= self.serve(found, is_late, &mut left, now);
        }
        self.look.end(now + if is_behind { HOT } else { self.pace });
        let (flying, backlog) = self.lanes.values().fold((0, 0), |(flying, backlog), lane| {
            (flying + lane.flying(), backlog + lane.backlog())
        });
        let told = &telemetry().webhooks;
        told.flying.set(i64::try_from(flying).unwrap_or(i64::MAX));
        told.backlog.set(backlog);
    }

    pub(super) fn sent(
        &mut self,
        endpoint: &WebhookEndpointId,
        claim: u64,
        sent: Sent,
        now: Moment,
    ) {
        telemetry().webhooks.attempted(
            sent.attempt.class,
            matches!(sent.message.way, Way::First).then(|| since(sent.message.created_at, sent.at)),
        );
        let Some(lane) = self
            .lanes
            .get_mut(endpoint)
            .filter(|lane| lane.claim == claim)
        else {
            // Another node has the endpoint by now, and sends it again.
            return;
        };
        lane.land(sent);
        if lane.is_behind() && !self.look.under_way {
            self.look.next = self.look.next.min(now + HOT);
        }
        if !self.settle.under_way && self.settle.next < now {
            self.settle.next = now + GATHER;
        }
    }

    pub(super) fn settled(
        &mut self,
        written: Vec<(Batch, Result<Written, PartnerError>)>,
        now: Moment,
    ) {
        let mut again = Vec::new();
        for (batch, written) in written {
            let Some(lane) = self
                .lanes
                .get_mut(&batch.endpoint)
                .filter(|lane| lane.claim == batch.claim)
            else {
                continue;
            };
            match written {
                Ok(Written::Done) => {
                    lane.settled(&batch);
                    if lane.leaves && lane.is_idle() {
                        self.hold.next = now;
                    }
                }
                Ok(Written::Lost) => {
                    self.lanes.remove(&batch.endpoint);
                }
                Err(PartnerError::Store(StoreError::Unreachable(_) | StoreError::Interrupted)) => {
                    again.push(batch);
                }
                Err(error) => {
                    // It is claimed anew, from what is on record; what was sent is sent again.
                    let id = &batch.endpoint;
                    log::error!("what was delivered to {id} could not be written down: {error}");
                    self.lanes.remove(id);
                    self.unwanted.push(batch.endpoint);
                }
            }
        }
        self.settle.end(now + GATHER);
        if !again.is_empty() {
            log::warn!("what was delivered could not be written down, and will be");
            self.begin_writing(again, RETRY);
        }
    }

    pub(super) fn counted(&mut self, count: Result<webhook_lanes::Count, StoreError>, now: Moment) {
        self.count.end(now + COUNT);
        match count {
            Ok(count) => {
                let now = self.app.clock.now();
                let lag = count
                    .oldest
                    .map_or(Duration::ZERO, |oldest| since(oldest, now));
                telemetry()
                    .webhooks
                    .tell(&count.states, &count.failing, lag);
            }
            Err(error) => log::debug!("webhook endpoints could not be counted: {error}"),
        }
    }
}

/// How long after a moment another is; nothing where it is before.
fn since(one: Instant, other: Instant) -> Duration {
    let micros = other.epoch_micros().saturating_sub(one.epoch_micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
