//! How fast partners may ask: what is left to each, and whether one request more fits.
//!
//! A partner and realm have buckets, charged by all their clients; lower ones hold a client, reads and
//! writes down to a part of them. Messages that requests have sent to webhook endpoints have two more. One
//! request is charged to all that concern it or to none: what is refused drains nothing. Limits come with each
//! request, so a change of them counts at once. This room refuses to know HTTP, where limits are kept, and the
//! time of day: a clock that is set back must not lock anybody out.

pub mod addresses;
mod bucket;
pub mod failures;
mod local;
pub mod nodes;
pub mod quota;
pub mod shared;
mod sharing;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};

use crate::domain::id::{ClientId, PartnerId, WebhookEndpointId};
use crate::domain::limits::{LimitName, Limits, Rate, RouteClass};
use crate::domain::realm::Realm;

pub use local::Local;

use nodes::Nodes;
use shared::Shared;

/// A point on a clock that never goes back: nanoseconds since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// So long after the clock began.
    pub fn at(since: Duration) -> Self {
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// So many nanoseconds after this one.
    fn plus(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// How many nanoseconds after an earlier one; none, if that is later.
    fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One request that wants to be let through.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Whose it is.
    pub partner: &'a PartnerId,
    /// Where.
    pub realm: Realm,
    /// What of the partner's has buckets of its own.
    pub part: Part<'a>,
    /// What it does.
    pub class: RouteClass,
    /// What holds for the partner there.
    pub limits: &'a Limits,
}

/// A part of what a partner has.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// The client that sends a request.
    Client(&'a ClientId),
    /// The endpoint that a message is for.
    Endpoint(&'a WebhookEndpointId),
}

impl<'a> Part<'a> {
    /// Tells it from every other part.
    fn ulid(self) -> u128 {
        match self {
            Self::Client(id) => id.ulid(),
            Self::Endpoint(id) => id.ulid(),
        }
    }

    /// Its id.
    fn id(self) -> &'a str {
        match self {
            Self::Client(id) => id.as_str(),
            Self::Endpoint(id) => id.as_str(),
        }
    }
}

/// What was decided about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Which limit it is over; `None`: it fits, and was charged.
    ///
    /// Whether it is refused for that is told by [`Limits::bite`].
    pub over: Option<Over>,
    /// Every limit that concerns it, as it stands after it.
    pub readings: Vec<Reading>,
}

/// A limit that a request does not fit into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which.
    pub limit: LimitName,
    /// When it would fit.
    pub retry_after: Duration,
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which.
    pub limit: LimitName,
    /// How many it lets through within its window.
    pub quota: u64,
    /// How long a window is.
    pub window: Duration,
    /// How many it lets through now.
    pub remaining: u64,
    /// How long until it is whole again; where nothing remains, until it lets one through.
    pub reset: Duration,
}

/// A decision, and whether it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// What was decided.
    pub decision: Decision,
    /// Whether who is over a limit is refused.
    pub bites: bool,
}

impl Charged {
    /// The limit that the request is refused for. `None`: it goes on.
    pub fn refusal(&self) -> Option<Over> {
        self.decision.over.filter(|_| self.bites)
    }

    /// The limit that it would be refused for, if it bit.
    pub fn shadowed(&self) -> Option<Over> {
        self.decision.over.filter(|_| !self.bites)
    }
}

impl Decision {
    /// Whether the request fits.
    pub fn fits(&self) -> bool {
        self.over.is_none()
    }

    /// The limit that is nearest to its end.
    pub fn tightest(&self) -> Option<&Reading> {
        let over = self.over.map(|over| over.limit);
        // Compared as remaining/quota, without dividing.
        self.readings.iter().min_by(|one, other| {
            let rank = |reading: &Reading| over != Some(reading.limit);
            let part = |of: &Reading, by: &Reading| u128::from(of.remaining) * u128::from(by.quota);
            rank(one)
                .cmp(&rank(other))
                .then(part(one, other).cmp(&part(other, one)))
        })
    }
}

impl Reading {
    /// A bucket: its burst is its quota, which it refills within its window.
    fn of(limit: LimitName, rate: Rate, remaining: u64, reset: u64) -> Self {
        Self {
            limit,
            quota: u64::from(rate.burst().get()),
            window: Duration::from_nanos(rate.refill()),
            remaining,
            reset: Duration::from_nanos(reset),
        }
    }
}

/// Decides about requests by the limits that come with them: in Redis, where nodes share one, else in memory.
pub struct Rates {
    local: Local,
    began: Monotonic,
    shared: Option<Arc<Shared>>,
    nodes: Arc<Nodes>,
}

impl Default for Rates {
    fn default() -> Self {
        Self::new(None, Arc::default())
    }
}

impl Rates {
    /// Those of this process, or those that nodes share.
    pub fn new(shared: Option<Arc<Shared>>, nodes: Arc<Nodes>) -> Self {
        Self {
            local: Local::default(),
            began: Monotonic::now(),
            shared,
            nodes,
        }
    }

    /// Charges a request to every bucket that concerns it, or to none.
    ///
    /// What Redis lets through is charged to this node's share as well, so that a share that is gone by later is not
    /// fresh.
    pub async fn decide(&self, ask: Ask<'_>) -> Decision {
        let Some(shared) = &self.shared else {
            return self.local.decide(&ask, self.now());
        };
        let decided = sharing::decide(shared, &ask).await;
        if decided.as_ref().is_some_and(|decided| !decided.fits()) {
            return decided.unwrap_or_default();
        }
        let share = self.local.decide_share(&ask, self.nodes.live(), self.now());
        decided.unwrap_or(share)
    }

    /// How the limits stand that would concern a request. Charges nothing.
    pub async fn look(&self, ask: Ask<'_>) -> Vec<Reading> {
        if let Some(shared) = &self.shared {
            return match sharing::look(shared, &ask).await {
                Some(readings) => readings,
                None => self.local.look_share(&ask, self.nodes.live(), self.now()),
            };
        }
        self.local.look(&ask, self.now())
    }

    /// How many partners' buckets are not full; what is full is let go.
    pub fn live(&self) -> usize {
        self.local.sweep(self.now())
    }

    fn now(&self) -> Moment {
        Moment::at(self.began.elapsed())
    }
}

/// What one holder of addresses has: an IPv4 address, or the /64 of an IPv6 address.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
