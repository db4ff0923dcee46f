//! Deliveries: events are sent to partners' endpoints, in order, by any number of nodes.
//!
//! A node claims endpoints by lease and is the only one who delivers there. One task knows all that is
//! begun; it looks for events above each endpoint's cursor, sends, and writes down what came of it, many
//! at once. The cursor never passes an event that has no row, so whoever takes over an endpoint sends
//! again what was begun and is on no record: at least once, under the same id.
//!
//! A slow or dead endpoint has a share of its own, and all of those together one of theirs: the others
//! do not wait for them.

mod hold;
mod lane;
mod look;
mod outcome;
mod settle;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant as Moment;

use crate::app::App;
use crate::audit::Actor;
use crate::domain::id::WebhookEndpointId;
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::keys::webhook::WebhookSecret;
use crate::partner::PartnerError;
use crate::store::webhook_deliveries::Outgoing;
use crate::store::webhook_secrets::Sealed;
use crate::store::{StoreError, Target, webhook_lanes};
use crate::telemetry::telemetry;
use crate::webhook::sign;

use hold::{Held, LEASE, ROUND};
use lane::Lane;
use look::{Found, Look, Want};
use outcome::{Message, Sent, Way};
use settle::{Batch, Written};

/// How many messages are on their way at once to endpoints that do well.
const FLYING: usize = 384;
/// How many to endpoints that hang or fail, all together.
const AILING: usize = 128;
/// How often is looked for events on an embedded database, and on a server.
const PACE: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(50));
/// How often at most, while there is more to be sent.
const HOT: Duration = Duration::from_millis(10);
/// How often is looked for further attempts, replays and free endpoints.
const ALL: Duration = Duration::from_millis(200);
/// How long results gather before they are written down.
const GATHER: Duration = Duration::from_millis(10);
/// How often cursors are written down that only passed events of other types.
const PASSED: Duration = Duration::from_secs(1);
/// How long after a failure the database is asked again.
const RETRY: Duration = Duration::from_millis(250);
/// How many results are written down in one transaction.
const BATCH: usize = 500;
/// So long before its claims end, a node that could not renew them sends nothing any more.
const MARGIN: Duration = Duration::from_secs(2);
/// How often endpoints are counted, for who measures.
const COUNT: Duration = Duration::from_secs(10);

/// What the task hears.
enum News {
    Held(Moment, Result<Held, StoreError>),
    Looked(bool, Result<Look, StoreError>),
    /// Each batch, and what became of it.
    Settled(Vec<(Batch, Result<Written, PartnerError>)>),
    Sent(WebhookEndpointId, u64, Sent),
    Counted(Result<webhook_lanes::Count, StoreError>),
}

/// When something was last begun, and whether it is under way.
#[derive(Debug)]
struct Turn {
    next: Moment,
    under_way: bool,
}

impl Turn {
    fn new(now: Moment) -> Self {
        Self {
            next: now,
            under_way: false,
        }
    }

    fn is_due(&self, now: Moment) -> bool {
        !self.under_way && self.next <= now
    }

    fn begin(&mut self) {
        self.under_way = true;
    }

    fn end(&mut self, next: Moment) {
        self.under_way = false;
        self.next = next;
    }
}

struct Courier {
    app: Arc<App>,
    node: String,
    pace: Duration,
    lanes: HashMap<WebhookEndpointId, Lane>,
    tasks: JoinSet<News>,
    hold: Turn,
    look: Turn,
    settle: Turn,
    count: Turn,
    /// When everything is looked for next.
    all: Moment,
    /// When cursors are written down next that only passed.
    passed: Moment,
    /// Until when the claims hold for sure.
    claimed_until: Moment,
    /// What this node holds in the database and does not know.
    unwanted: Vec<WebhookEndpointId>,
    claims: u64,
    sends: u64,
}

/// Delivers until the process stops.
pub(super) async fn run(app: Arc<App>) {
    let now = Moment::now();
    let pace = match app.store.target() {
        Target::Sqlite(_) => PACE.0,
        #[cfg(feature = "postgres")]
        Target::Postgres(_) => PACE.1,
    };
    let courier = Courier {
        app,
        node: crate::keys::hex(&rand::random::<[u8; 8]>()),
        pace,
        lanes: HashMap::new(),
        tasks: JoinSet::new(),
        hold: Turn::new(now),
        look: Turn::new(now),
        settle: Turn::new(now),
        count: Turn::new(now),
        all: now,
        passed: now + PASSED,
        claimed_until: now,
        unwanted: Vec::new(),
        claims: 0,
        sends: 0,
    };
    courier.run().await;
}

impl Courier {
    async fn run(mut self) {
        loop {
            let is_stopping = self.app.stopping.load(Ordering::Relaxed);
            if is_stopping {
                self.lanes.values_mut().for_each(|lane| lane.leaves = true);
                if self.lanes.values().all(Lane::is_idle) && !self.settle.under_way {
                    return self.leave().await;
                }
            }
            let now = Moment::now();
            self.begin(now, is_stopping);
            let wake = if is_stopping {
                now + GATHER
            } else {
                self.wakes_at(now)
            };
            if self.tasks.is_empty() {
                tokio::time::sleep_until(wake).await;
            } else if let Ok(Some(news)) =
                tokio::time::timeout_at(wake, self.tasks.join_next()).await
            {
                self.hear(news);
                while let Some(news) = self.tasks.try_join_next() {
                    self.hear(news);
                }
            }
        }
    }

    /// Gives back what it holds, so that others need not wait for its claims to end.
    async fn leave(&self) {
        let node = self.node.clone();
        let left = self
            .app
            .store
            .write(move |db| webhook_lanes::leave(db, &node));
        if let Err(error) = left.await {
            log::warn!("webhook endpoints could not be given back, and are free soon: {error}");
        }
    }

    /// Begins whatever has its turn.
    fn begin(&mut self, now: Moment, is_stopping: bool) {
        // Both write many endpoints' rows: never at once, or each may wait for the other.
        if self.hold.is_due(now) && !self.settle.under_way && !is_stopping {
            self.begin_hold(now);
        }
        if self.settle.is_due(now) && !self.hold.under_way {
            self.begin_settle(now);
        }
        if self.look.is_due(now) && !is_stopping {
            self.begin_look(now);
        }
        if self.count.is_due(now) {
            self.count.begin();
            let (app, node) = (Arc::clone(&self.app), self.node.clone());
            self.tasks.spawn(async move {
                News::Counted(
                    app.store
                        .read(move |db| webhook_lanes::count(db, &node))
                        .await,
                )
            });
        }
    }

    /// When something has its turn next.
    fn wakes_at(&self, now: Moment) -> Moment {
        let wants_settling = self.lanes.values().any(Lane::has_news);
        let settle = if wants_settling {
            self.settle.next
        } else {
            self.passed
        };
        let turns = [
            (self.hold.under_way || self.settle.under_way, self.hold.next),
            (self.look.under_way, self.look.next),
            (self.settle.under_way || self.hold.under_way, settle),
            (self.count.under_way, self.count.next),
        ];
        let next = turns
            .iter()
            .filter(|(busy, _)| !busy)
            .map(|(_, at)| *at)
            .min();
        next.unwrap_or(now + ROUND)
            .max(now + Duration::from_millis(1))
    }

    fn begin_hold(&mut self, now: Moment) {
        self.hold.begin();
        let mut unwanted = std::mem::take(&mut self.unwanted);
        let leaving = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.leaves && lane.is_idle());
        unwanted.extend(leaving.map(|(id, _)| id.clone()));
        self.lanes.retain(|id, _| !unwanted.contains(id));
        let (app, node) = (Arc::clone(&self.app), self.node.clone());
        self.tasks.spawn(async move {
            let at = app.clock.now();
            let held = app
                .store
                .write(move |db| hold::hold(db, &node, &unwanted, at));
            News::Held(now, held.await)
        });
    }

    fn begin_look(&mut self, now: Moment) {
        let all = self.all <= now;
        let mut wants = HashMap::new();
        if now < self.claimed_until {
            let (mut well, mut ill) = (FLYING, AILING);
            for lane in self.lanes.values() {
                let left = if lane.is_ailing(now) {
                    &mut ill
                } else {
                    &mut well
                };
                *left = left.saturating_sub(lane.flying());
            }
            for (id, lane) in &mut self.lanes {
                let left = if lane.is_ailing(now) {
                    &mut ill
                } else {
                    &mut well
                };
                let room = lane.room(now, *left);
                if room == lane::Room::default() {
                    continue;
                }
                *left = left.saturating_sub(room.first.max(room.again));
                let want = Want {
                    claim: lane.claim,
                    read: lane.read(),
                    room,
                    begun_again: lane.begun_again(),
                    run: lane.run().map(|run| (run.id.clone(), run.read)),
                    has_keys: lane.has_fresh_secrets(now),
                };
                wants.insert(id.clone(), want);
            }
        }
        if wants.is_empty() && !all {
            self.look.next = now + self.pace;
            return;
        }
        self.look.begin();
        let (app, node) = (Arc::clone(&self.app), self.node.clone());
        self.tasks.spawn(async move {
            let at = app.clock.now();
            let looked = app
                .store
                .read(move |db| look::look(db, &node, &wants, all, at));
            News::Looked(all, looked.await)
        });
    }

    fn begin_settle(&mut self, now: Moment) {
        let passes = self.passed <= now;
        if passes {
            self.passed = now + PASSED;
        }
        let (mut batches, mut rows) = (Vec::new(), 0);
        for (id, lane) in &mut self.lanes {
            if rows < BATCH && (lane.has_news() || passes && lane.has_moved()) {
                let batch = lane.batch(id);
                rows += batch.first.len() + batch.again.len();
                batches.push(batch);
            }
        }
        if batches.is_empty() {
            return;
        }
        // In one order, so that nobody who writes several waits for who waits for him.
        batches.sort_by(|one, other| one.endpoint.cmp(&other.endpoint));
        self.begin_writing(batches, Duration::ZERO);
    }

    fn begin_writing(&mut self, batches: Vec<Batch>, pause: Duration) {
        self.settle.begin();
        let (app, node) = (Arc::clone(&self.app), self.node.clone());
        self.tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            News::Settled(write(&app, &node, batches).await)
        });
    }

    fn hear(&mut self, news: Result<News, JoinError>) {
        let now = Moment::now();
        match news {
            Ok(News::Held(asked, held)) => self.held(asked, held, now),
            Ok(News::Looked(all, look)) => self.looked(all, look, now),
            Ok(News::Settled(written)) => self.settled(written, now),
            Ok(News::Sent(endpoint, claim, sent)) => self.sent(&endpoint, claim, sent, now),
            Ok(News::Counted(count)) => self.counted(count, now),
            Err(error) if error.is_cancelled() => {}
            // A panic, which the log has. What it was is not known: everything is claimed anew.
            Err(_) => {
                self.tasks.abort_all();
                self.unwanted.extend(self.lanes.drain().map(|(id, _)| id));
                for turn in [
                    &mut self.hold,
                    &mut self.look,
                    &mut self.settle,
                    &mut self.count,
                ] {
                    turn.end(now + RETRY);
                }
            }
        }
    }

    fn held(&mut self, asked: Moment, held: Result<Held, StoreError>, now: Moment) {
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                log::warn!("webhook endpoints could not be claimed, and will be: {error}");
                return self.hold.end(now + RETRY);
            }
        };
        self.hold.end(now + ROUND);
        self.claimed_until = asked + LEASE - MARGIN;
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

    fn looked(&mut self, all: bool, look: Result<Look, StoreError>, now: Moment) {
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
        let mut is_behind = false;
        for found in look.found {
            is_behind |= self.serve(found, is_late, now);
        }
        self.look.end(now + if is_behind { HOT } else { self.pace });
        let (flying, backlog) = self.lanes.values().fold((0, 0), |(flying, backlog), lane| {
            (flying + lane.flying(), backlog + lane.backlog())
        });
        let told = &telemetry().webhooks;
        told.flying.set(i64::try_from(flying).unwrap_or(i64::MAX));
        told.backlog.set(backlog);
    }

    /// Sends what was found for an endpoint; answers whether more could begin at once.
    fn serve(&mut self, found: Found, is_late: bool, now: Moment) -> bool {
        let id = found.ready.endpoint_id.clone();
        let Some(lane) = self
            .lanes
            .get_mut(&id)
            .filter(|lane| lane.claim == found.claim)
        else {
            return false;
        };
        lane.see(found.ready.head.unwrap_or(0));
        if let Some(sealed) = &found.secrets {
            match unsealed(&self.app, &found, sealed) {
                Ok(keys) if !keys.is_empty() => lane.learn(keys, now),
                // Under another master key, say: nothing is passed that could not be sent.
                failed => {
                    log::error!("there is nothing to sign with for {id}: {failed:?}");
                    lane.rest(now);
                }
            }
        }
        let left = usize::MAX;
        let room = lane.room(now, left);
        if is_late || lane.secrets().is_none() {
            return false;
        }
        let mut out: Vec<(Outgoing, Way)> = Vec::new();
        let types = &found.ready.event_types;
        for event in found.events {
            if lane.pass(event.seq, types.take(event.kind)) {
                continue;
            }
            if out.len() >= room.first {
                break;
            }
            out.push((event, Way::First));
        }
        if let Some(due) = found.due {
            let mut left = 0;
            for (delivery, event) in due {
                if lane.has_begun_again(&delivery) {
                    continue;
                }
                if out.len() < room.again {
                    out.push((event, Way::Again(Box::new(delivery))));
                } else {
                    left += 1;
                }
            }
            lane.leave_waiting(left);
        }
        match found.replay {
            None => {}
            Some(None) => lane.take_up(None),
            Some(Some(replayed)) => {
                let replay = replayed.replay;
                lane.take_up(Some((
                    replay.id.clone(),
                    replay.done_upto,
                    replayed.settled,
                )));
                if let Some(events) = replayed.events {
                    if events.is_empty() {
                        lane.end_run();
                    }
                    for event in events {
                        if lane.pass_replayed(event.seq) {
                            continue;
                        }
                        if out.len() >= room.replayed {
                            break;
                        }
                        out.push((event, Way::Replayed(replay.id.clone())));
                    }
                }
            }
        }
        for (event, way) in out {
            self.send(&id, &found.ready.url, &event, way, now);
        }
        self.lanes
            .get_mut(&id)
            .is_some_and(|lane| lane.is_behind() && lane.room(now, left).first > 0)
    }

    fn send(&mut self, id: &WebhookEndpointId, url: &str, event: &Outgoing, way: Way, now: Moment) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let body = match outcome::body(event, lane.tenant.realm(), &way) {
            Ok(body) => body,
            Err(error) => return log::error!("{} cannot be sent: {error}", event.id),
        };
        let at = self.app.clock.now();
        let Some(secrets) = lane.secrets() else {
            return;
        };
        let headers = sign::sign(secrets, event.id.as_str(), at, &body);
        self.sends += 1;
        let (nth, claim) = (self.sends, lane.claim);
        let message = Message::of(event, way);
        lane.begin(nth, &message, now);
        let (app, id, url) = (Arc::clone(&self.app), id.clone(), url.to_owned());
        self.tasks.spawn(async move {
            let attempt = app.webhooks.post(&url, &headers, body, false).await;
            let sent = Sent {
                nth,
                message,
                attempt,
                at: app.clock.now(),
                chance: rand::random(),
            };
            News::Sent(id, claim, sent)
        });
    }

    fn sent(&mut self, endpoint: &WebhookEndpointId, claim: u64, sent: Sent, now: Moment) {
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

    fn settled(&mut self, written: Vec<(Batch, Result<Written, PartnerError>)>, now: Moment) {
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

    fn counted(&mut self, count: Result<webhook_lanes::Count, StoreError>, now: Moment) {
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

/// Opens an endpoint's secrets.
fn unsealed(
    app: &App,
    found: &Found,
    sealed: &[Sealed],
) -> Result<Vec<WebhookSecret>, crate::keys::sealed::SealError> {
    let ready = &found.ready;
    let open = |one: &Sealed| {
        WebhookSecret::open(
            &app.master,
            &ready.endpoint_id,
            ready.signature,
            &one.sealed,
        )
    };
    sealed.iter().map(open).collect()
}

/// Writes batches down at once; where the database refuses that, each by itself, so that what is wrong
/// with one costs that one alone.
async fn write(
    app: &Arc<App>,
    node: &str,
    batches: Vec<Batch>,
) -> Vec<(Batch, Result<Written, PartnerError>)> {
    let batches = Arc::new(batches);
    let whole = write_all(app, node, Arc::clone(&batches)).await;
    match whole {
        Ok(written) => batches
            .iter()
            .cloned()
            .zip(written.into_iter().map(Ok))
            .collect(),
        Err(PartnerError::Store(StoreError::Unreachable(_) | StoreError::Interrupted)) => {
            let lost = |batch: &Batch| (batch.clone(), Err(StoreError::Interrupted.into()));
            batches.iter().map(lost).collect()
        }
        Err(error) if batches.len() == 1 => {
            let only = batches.first().cloned();
            only.map(|batch| (batch, Err(error))).into_iter().collect()
        }
        Err(_) => {
            let mut all = Vec::new();
            for batch in batches.iter() {
                let written = write_all(app, node, Arc::new(vec![batch.clone()])).await;
                let written = written.map(|all| all.first().copied().unwrap_or(Written::Lost));
                all.push((batch.clone(), written));
            }
            all
        }
    }
}

async fn write_all(
    app: &Arc<App>,
    node: &str,
    batches: Arc<Vec<Batch>>,
) -> Result<Vec<Written>, PartnerError> {
    let (act, node) = (app.partner_act(Actor::policy()), node.to_owned());
    let written = app
        .store
        .write(move |db| settle::write(db, &node, &act, &batches));
    written.await
}
