//! An endpoint that this node delivers to, as it stands in memory: what was begun, what of it is on
//! record, and how much more may begin.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant as Moment;

use super::bucket::Bucket;
use super::outcome::{Mark, Message, Sent, Way};
use super::run::Run;
use super::settle::Batch;
use crate::domain::id::{ReplayId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::domain::webhook::FailureClass;
use crate::keys::webhook::WebhookSecret;
use crate::store::webhook_deliveries::{AttemptRow, Delivery};

/// How many messages are on their way to one endpoint at once.
pub(super) const CONCURRENCY: usize = 8;
/// How many to one that hangs or fails: enough to notice that it is well again.
const AILING_CONCURRENCY: usize = 2;
/// How many of them may be further attempts, while there is something new to send.
const AGAIN: usize = 4;
/// How many may be a replay's.
const REPLAYED: usize = 4;
/// How many a second begin at one endpoint.
const RATE: f64 = 200.0;
/// How many of a replay.
const REPLAY_RATE: f64 = 20.0;
/// How many that were begun may be on no record yet: so many are sent twice if the process dies.
const UNSETTLED: usize = 64;
/// After how many failures in a row an endpoint is ailing.
const FAILURES: u32 = 3;
/// An endpoint whose answer takes longer is ailing from then on, until one answers.
const HANGS: Duration = Duration::from_secs(3);
/// How long unsealed secrets are used before they are looked for again.
const KEYS: Duration = Duration::from_secs(1);
/// How long an endpoint rests that has nothing to sign with.
const REST: Duration = Duration::from_secs(60);

/// An endpoint.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) tenant: Tenant,
    /// Which claim this is: what another began comes too late.
    pub(super) claim: u64,
    /// Up to which event it was looked through.
    read: i64,
    /// The cursor that is on record.
    durable: i64,
    /// The partner's last event, as far as is known.
    head: i64,
    /// Begun, and on no record.
    open: BTreeSet<i64>,
    /// On record, above others that are not.
    settled: BTreeSet<i64>,
    /// Further attempts that were begun and are on no record.
    again: BTreeSet<(i64, String)>,
    /// How many further attempts could have begun at the last look.
    due: usize,
    /// What is on its way: since when, and how.
    flying: BTreeMap<u64, (Moment, Kind)>,
    landed: Vec<Sent>,
    failures: u32,
    rate: Bucket,
    replay_rate: Bucket,
    replay: Option<Run>,
    /// Since when they are known, as of which change of the endpoint, and the secrets.
    keys: Option<(Moment, Instant, Vec<WebhookSecret>)>,
    rests_until: Moment,
    /// Another node's turn has come: nothing new begins.
    pub(super) leaves: bool,
}

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    First,
    Again,
    Replayed,
}

impl From<&Way> for Kind {
    fn from(way: &Way) -> Self {
        match way {
            Way::First => Self::First,
            Way::Again(_) => Self::Again,
            Way::Replayed(_) => Self::Replayed,
        }
    }
}

/// How much may begin at an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Of what is new.
    pub(super) first: usize,
    /// Of what failed before.
    pub(super) again: usize,
    /// Of a replay.
    pub(super) replayed: usize,
}

impl Lane {
    /// As it was when it was claimed: up to where it was done, and what above that is on record already.
    pub(super) fn new(
        tenant: Tenant,
        claim: u64,
        cursor: i64,
        settled: Vec<i64>,
        now: Moment,
    ) -> Self {
        Self {
            tenant,
            claim,
            read: cursor,
            durable: cursor,
            head: cursor,
            open: BTreeSet::new(),
            settled: settled.into_iter().collect(),
            again: BTreeSet::new(),
            due: 0,
            flying: BTreeMap::new(),
            landed: Vec::new(),
            failures: 0,
            rate: Bucket::new(RATE, now),
            replay_rate: Bucket::new(REPLAY_RATE, now),
            replay: None,
            keys: None,
            rests_until: now,
            leaves: false,
        }
    }

    /// How many messages are on their way.
    pub(super) fn flying(&self) -> usize {
        self.flying.len()
    }

    /// Whether it hangs or fails.
    pub(super) fn is_ailing(&self, now: Moment) -> bool {
        let oldest = self.flying.first_key_value();
        let hangs = oldest.is_some_and(|(_, (since, _))| now.duration_since(*since) > HANGS);
        hangs || self.failures >= FAILURES
    }

    /// Whether nothing is on its way and everything is on record.
    pub(super) fn is_idle(&self) -> bool {
        self.flying.is_empty()
            && self.landed.is_empty()
            && self.open.is_empty()
            && self.again.is_empty()
    }

    /// Whether there are events that it was not looked through for.
    pub(super) fn is_behind(&self) -> bool {
        self.head > self.read
    }

    /// How many events it is behind with, as far as is on record.
    pub(super) fn backlog(&self) -> i64 {
        self.head - self.durable
    }

    /// Up to which event it was looked through.
    pub(super) fn read(&self) -> i64 {
        self.read
    }

    /// Further attempts that were begun.
    pub(super) fn begun_again(&self) -> usize {
        self.again.len()
    }

    /// How much may begin, where so much is left for all.
    pub(super) fn room(&mut self, now: Moment, left: usize) -> Room {
        if self.leaves || now < self.rests_until {
            return Room::default();
        }
        let most = if self.is_ailing(now) {
            AILING_CONCURRENCY
        } else {
            CONCURRENCY
        };
        let on_no_record = self.open.len() + self.again.len();
        let room = most
            .saturating_sub(self.flying.len())
            .min(self.rate.left(now))
            .min(UNSETTLED.saturating_sub(on_no_record))
            .min(left);
        let flying = |kind| self.flying.values().filter(|(_, one)| *one == kind).count();
        let (again, replayed) = (flying(Kind::Again), flying(Kind::Replayed));
        // A share is kept for further attempts as long as some wait; new ones do not wait for them.
        let kept = AGAIN.min(most / 2).saturating_sub(again).min(self.due);
        Room {
            first: room.saturating_sub(kept),
            again: room,
            replayed: REPLAYED
                .min(most / 2)
                .saturating_sub(replayed)
                .min(room)
                .min(self.replay_rate.left(now)),
        }
    }

    /// Takes note of the partner's last event.
    pub(super) fn see(&mut self, head: i64) {
        self.head = self.head.max(head);
    }

    /// Passes an event: it is of no type that is asked for, or on record already. `false`: it must be sent.
    pub(super) fn pass(&mut self, seq: i64, is_asked_for: bool) -> bool {
        if is_asked_for && !self.settled.contains(&seq) {
            return false;
        }
        self.read = self.read.max(seq);
        true
    }

    /// Whether a further attempt was begun already.
    pub(super) fn has_begun_again(&self, delivery: &Delivery) -> bool {
        self.again
            .contains(&(delivery.seq, delivery.replay_id.clone()))
    }

    /// Notes how many further attempts wait still.
    pub(super) fn leave_waiting(&mut self, due: usize) {
        self.due = due;
    }

    /// Notes that a message goes out.
    pub(super) fn begin(&mut self, nth: u64, message: &Message, now: Moment) {
        self.rate.take();
        self.flying.insert(nth, (now, Kind::from(&message.way)));
        match &message.way {
            Way::First => {
                self.read = self.read.max(message.seq);
                self.open.insert(message.seq);
            }
            Way::Again(before) => {
                self.again.insert((before.seq, before.replay_id.clone()));
            }
            Way::Replayed(_) => {
                self.replay_rate.take();
                if let Some(run) = &mut self.replay {
                    run.begin(message.seq);
                }
            }
        }
    }

    /// Notes what came of a message.
    pub(super) fn land(&mut self, sent: Sent) {
        self.flying.remove(&sent.nth);
        match sent.attempt.class {
            // The endpoint has no part in that.
            Some(_) if sent.attempt.crowded_out => {}
            None => self.failures = 0,
            // One that hangs is known by that alone.
            Some(FailureClass::Timeout) => self.failures = self.failures.saturating_add(FAILURES),
            Some(_) => self.failures = self.failures.saturating_add(1),
        }
        self.landed.push(sent);
    }

    /// What its messages are signed with. `None`: that was not found out yet.
    pub(super) fn secrets(&self) -> Option<&[WebhookSecret]> {
        self.keys.as_ref().map(|(.., keys)| keys.as_slice())
    }

    /// As of which change of the endpoint that is, if it was looked for a moment ago.
    pub(super) fn secrets_of(&self, now: Moment) -> Option<Instant> {
        let (since, changed, _) = self.keys.as_ref()?;
        (now.saturating_duration_since(*since) < KEYS).then_some(*changed)
    }

    /// Lets it rest, since nothing can be sent to it.
    pub(super) fn rest(&mut self, now: Moment) {
        self.keys = None;
        self.rests_until = now + REST;
    }

    /// Takes up secrets, as of a change of the endpoint.
    pub(super) fn learn(&mut self, keys: Vec<WebhookSecret>, changed: Instant, now: Moment) {
        self.keys = Some((now, changed, keys));
    }

    /// The replay under way.
    pub(super) fn run(&self) -> Option<&Run> {
        self.replay.as_ref()
    }

    /// Takes up a replay, unless it is under way; `None`: none runs any more.
    pub(super) fn take_up(&mut self, replay: Option<(ReplayId, i64, Vec<i64>)>) {
        let Some((id, done_upto, settled)) = replay else {
            self.replay = None;
            return;
        };
        if self.replay.as_ref().is_none_or(|run| run.id != id) {
            self.replay = Some(Run::new(id, done_upto, settled));
        }
    }

    /// Passes an event of the replay that is on record already. `false`: it must be sent.
    pub(super) fn pass_replayed(&mut self, seq: i64) -> bool {
        self.replay.as_mut().is_none_or(|run| run.pass(seq))
    }

    /// Notes that the replay has nothing left to be sent.
    pub(super) fn end_run(&mut self) {
        if let Some(run) = &mut self.replay {
            run.end();
        }
    }

    /// Whether there is something to be written down.
    pub(super) fn has_news(&self) -> bool {
        let ended = self.replay.as_ref().is_some_and(Run::is_over);
        !self.landed.is_empty() || ended
    }

    /// Whether the cursor could be moved on, though nothing was sent.
    pub(super) fn has_moved(&self) -> bool {
        self.cursor(&BTreeSet::new()) > self.durable
    }

    /// The highest number up to which everything is on record, once these are.
    fn cursor(&self, landed: &BTreeSet<i64>) -> i64 {
        let first = self.open.iter().find(|seq| !landed.contains(seq));
        first.map_or(self.read, |first| first - 1)
    }

    /// What is to be written down. Nothing of it is on record before [`Self::settled`] says so.
    pub(super) fn batch(&mut self, endpoint: &WebhookEndpointId) -> Batch {
        let landed = std::mem::take(&mut self.landed);
        let (mut first, mut replayed) = (BTreeSet::new(), BTreeSet::new());
        let mut batch = Batch {
            endpoint: endpoint.clone(),
            tenant: self.tenant.clone(),
            claim: self.claim,
            cursor: 0,
            first: Vec::new(),
            again: Vec::new(),
            marks: Vec::new(),
            replay: None,
        };
        for sent in landed {
            let (row, attempt): (Delivery, AttemptRow) = sent.rows(endpoint, &self.tenant);
            // Whatever a replay makes says nothing about how the endpoint does; nor what was never sent.
            if row.replay_id.is_empty() && !sent.attempt.crowded_out {
                batch.marks.push(Mark::of(&sent));
            }
            match &sent.message.way {
                Way::First => {
                    first.insert(sent.message.seq);
                    batch.first.push((row, attempt));
                }
                Way::Again(_) => batch.again.push((row, attempt)),
                Way::Replayed(replay) => {
                    // Of a replay that was cancelled meanwhile, too: it was sent.
                    if self.replay.as_ref().is_some_and(|run| run.id == *replay) {
                        replayed.insert(sent.message.seq);
                    }
                    batch.first.push((row, attempt));
                }
            }
        }
        batch.cursor = self.cursor(&first);
        batch.replay = self.replay.as_ref().and_then(|run| run.news(&replayed));
        batch
    }

    /// Notes that a batch is on record.
    pub(super) fn settled(&mut self, batch: &Batch) {
        for (row, _) in &batch.first {
            if row.replay_id.is_empty() {
                self.open.remove(&row.seq);
            } else if let Some(run) = &mut self.replay
                && run.id.as_str() == row.replay_id
            {
                run.landed(row.seq);
            }
        }
        for (row, _) in &batch.again {
            self.again.remove(&(row.seq, row.replay_id.clone()));
        }
        self.durable = self.durable.max(batch.cursor);
        self.settled = self.settled.split_off(&(self.durable + 1));
        if let Some((id, upto, is_over)) = &batch.replay
            && let Some(run) = self.replay.as_mut().filter(|run| run.id == *id)
        {
            run.settled(*upto);
            if *is_over {
                self.replay = None;
            }
        }
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
