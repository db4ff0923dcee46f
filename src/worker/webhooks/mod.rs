//! Deliveries: events are sent to partners' endpoints, in order, by any number of nodes.
//!
//! A node claims endpoints by lease and is the only one who delivers there. One task knows all that is
//! begun; it looks for events above each endpoint's cursor, sends, and writes down what came of it, many
//! at once. The cursor never passes an event that has no row, so whoever takes over an endpoint sends
//! again what was begun and is on no record: at least once, under the same id.
//!
//! A slow or dead endpoint has a share of its own, and all of those together one of theirs: the others
//! do not wait for them.

mod begin;
mod bucket;
mod hear;
mod hold;
mod lane;
mod look;
mod outcome;
mod run;
mod serve;
mod settle;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant as Moment;

use crate::app::App;
use crate::domain::id::WebhookEndpointId;
use crate::partner::PartnerError;
use crate::store::{StoreError, Target, webhook_lanes};

use hold::{Held, ROUND};
use lane::Lane;
use look::Look;
use outcome::Sent;
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

/// How many messages more may be on their way.
#[derive(Clone, Copy, Debug)]
struct Left {
    /// To endpoints that do well.
    well: usize,
    /// To those that hang or fail.
    ill: usize,
}

impl Left {
    fn of(&self, lane: &Lane, now: Moment) -> usize {
        if lane.is_ailing(now) {
            self.ill
        } else {
            self.well
        }
    }

    fn take(&mut self, lane: &Lane, count: usize, now: Moment) {
        let left = if lane.is_ailing(now) {
            &mut self.ill
        } else {
            &mut self.well
        };
        *left = left.saturating_sub(count);
    }
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

/// A name under which endpoints are held, which no other process has.
pub(super) fn new_node() -> String {
    crate::keys::hex(&rand::random::<[u8; 8]>())
}

/// Gives back what a node holds, so that others need not wait for its claims to end.
pub(super) async fn leave(app: &App, node: String) {
    let left = app.store.write(move |db| webhook_lanes::leave(db, &node));
    if let Err(error) = left.await {
        log::warn!("webhook endpoints could not be given back, and are free soon: {error}");
    }
}

/// Delivers until the process stops.
pub(super) async fn run(app: Arc<App>, node: String) {
    let now = Moment::now();
    let pace = match app.store.target() {
        Target::Sqlite(_) => PACE.0,
        #[cfg(feature = "postgres")]
        Target::Postgres(_) => PACE.1,
    };
    let courier = Courier {
        app,
        node,
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
                let writes = self.settle.under_way || self.hold.under_way;
                if self.lanes.values().all(Lane::is_idle) && !writes {
                    return leave(&self.app, self.node).await;
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

    /// How many messages more may be on their way.
    fn left(&self, now: Moment) -> Left {
        let mut left = Left {
            well: FLYING,
            ill: AILING,
        };
        for lane in self.lanes.values() {
            left.take(lane, lane.flying(), now);
        }
        left
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
}
