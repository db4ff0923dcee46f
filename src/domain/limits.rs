//! How much a partner may ask for: rates and quotas, and what they are called.
//!
//! A partner and realm are the unit. What is said here of one client, or of reads and writes, is a part of
//! what the partner has, so that more clients buy nothing.

use std::num::NonZeroU32;

use super::id::PlanId;
use super::instant::Instant;
use super::money::Money;
use super::words;

words!(
    /// Whether limits bite.
    #[derive(Default)]
    Mode {
        /// Who is over one is refused.
        #[default]
        Enforce = "enforce",
        /// Who is over one is told and counted, and goes on.
        Shadow = "shadow",
    }
);

words!(
    /// What kind of request is counted.
    RouteClass {
        /// A request of the partner API that changes nothing.
        Read = "read",
        /// A request of the partner API that changes something.
        Write = "write",
        /// A request to the token endpoint, or another by which a client speaks of its own credentials.
        Token = "token",
        /// A message that a request has sent to a webhook endpoint.
        Message = "message",
    }
);

words!(
    /// Which limit it was. The words are codes that partners' programs go by, and never change.
    LimitName {
        /// The partner's requests of the API, by rate.
        Requests = "requests",
        /// Reads among them.
        Reads = "reads",
        /// Writes among them.
        Writes = "writes",
        /// One client's part of them.
        ClientRequests = "client_requests",
        /// The partner's token requests, by rate.
        Tokens = "tokens",
        /// One client's part of them.
        ClientTokens = "client_tokens",
        /// Messages that the partner's requests have sent to its webhook endpoints, by rate.
        WebhookMessages = "webhook_messages",
        /// Those to one endpoint.
        EndpointMessages = "endpoint_messages",
        /// Requests of the API on a day.
        RequestsPerDay = "requests_per_day",
        /// Requests of the API in a month.
        RequestsPerMonth = "requests_per_month",
        /// Token requests on a day.
        TokensPerDay = "tokens_per_day",
        /// Token requests in a month.
        TokensPerMonth = "tokens_per_month",
        /// Orders on a day.
        OrdersPerDay = "orders_per_day",
        /// Orders in a month.
        OrdersPerMonth = "orders_per_month",
        /// What orders of a month cost.
        SpendPerMonth = "spend_per_month",
    }
);

impl LimitName {
    /// The code of a refusal by this limit.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Requests => "requests_limit_exceeded",
            Self::Reads => "reads_limit_exceeded",
            Self::Writes => "writes_limit_exceeded",
            Self::ClientRequests => "client_requests_limit_exceeded",
            Self::Tokens => "tokens_limit_exceeded",
            Self::ClientTokens => "client_tokens_limit_exceeded",
            Self::WebhookMessages => "webhook_messages_limit_exceeded",
            Self::EndpointMessages => "endpoint_messages_limit_exceeded",
            Self::RequestsPerDay => "requests_per_day_exceeded",
            Self::RequestsPerMonth => "requests_per_month_exceeded",
            Self::TokensPerDay => "tokens_per_day_exceeded",
            Self::TokensPerMonth => "tokens_per_month_exceeded",
            Self::OrdersPerDay => "orders_per_day_exceeded",
            Self::OrdersPerMonth => "orders_per_month_exceeded",
            Self::SpendPerMonth => "spend_per_month_exceeded",
        }
    }

    /// Whether it is how much on a day or in a month, and not how fast.
    pub const fn is_quota(self) -> bool {
        matches!(
            self,
            Self::RequestsPerDay
                | Self::RequestsPerMonth
                | Self::TokensPerDay
                | Self::TokensPerMonth
                | Self::OrdersPerDay
                | Self::OrdersPerMonth
                | Self::SpendPerMonth
        )
    }

    /// What it holds down, for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Requests => "the partner's requests",
            Self::Reads => "the partner's reading requests",
            Self::Writes => "the partner's writing requests",
            Self::ClientRequests => "this client's requests",
            Self::Tokens => "the partner's token requests",
            Self::ClientTokens => "this client's token requests",
            Self::WebhookMessages => "the challenges and tests of the partner's endpoints",
            Self::EndpointMessages => "the challenges and tests of this endpoint",
            Self::RequestsPerDay => "the partner's requests of today",
            Self::RequestsPerMonth => "the partner's requests of this month",
            Self::TokensPerDay => "the partner's token requests of today",
            Self::TokensPerMonth => "the partner's token requests of this month",
            Self::OrdersPerDay => "the partner's orders of today",
            Self::OrdersPerMonth => "the partner's orders of this month",
            Self::SpendPerMonth => "the partner's expenses of this month",
        }
    }
}

/// So many a minute, and so many at once: what a bucket holds, and how fast it fills again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    per_minute: NonZeroU32,
    burst: NonZeroU32,
    /// Nanoseconds after which one more may come.
    interval: u64,
}

impl Rate {
    /// The highest figure: at more, a nanosecond would no longer tell requests apart well enough.
    pub const HIGHEST: u32 = 10_000_000;
    const MINUTE: u64 = 60_000_000_000;

    /// A rate; both figures are brought within 1 and [`Rate::HIGHEST`].
    pub fn new(per_minute: u32, burst: u32) -> Self {
        let within = |figure: u32| NonZeroU32::new(figure.min(Self::HIGHEST));
        let per_minute = within(per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            per_minute,
            burst: within(burst).unwrap_or(NonZeroU32::MIN),
            interval: Self::MINUTE / u64::from(per_minute.get()),
        }
    }

    /// How many a minute.
    pub fn per_minute(self) -> NonZeroU32 {
        self.per_minute
    }

    /// How many at once.
    pub fn burst(self) -> NonZeroU32 {
        self.burst
    }

    /// After how many nanoseconds one more may come. Cut to whole ones: a caller within its rate is not refused.
    pub fn interval(self) -> u64 {
        self.interval
    }

    /// How many nanoseconds an empty bucket takes to be full: at most [`Rate::HIGHEST`] minutes.
    pub fn refill(self) -> u64 {
        self.interval * u64::from(self.burst.get())
    }

    /// A part of it, in per cent, rounded up: at least one.
    pub fn share(self, percent: Percent) -> Self {
        // Below 2^32: both figures are at most HIGHEST.
        let part = |of: NonZeroU32| (of.get() * percent.0).div_ceil(100);
        Self::new(part(self.per_minute), part(self.burst))
    }

    /// What each of so many nodes may let through, so that all together let through no more than this;
    /// at least one a minute, and one at once.
    pub fn divided(self, nodes: u32) -> Self {
        let nodes = nodes.max(1);
        Self::new(self.per_minute.get() / nodes, self.burst.get() / nodes)
    }
}

/// A part of a whole: 1 to 100 per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Percent(u32);

impl Percent {
    /// All of it.
    pub const ALL: Self = Self(100);

    /// A part. `None`: not within 1 and 100.
    pub fn new(percent: u32) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The figures of a plan, or of a partner's own limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Requests of the partner API a minute.
    pub requests_per_minute: u32,
    /// How many of them at once.
    pub burst: u32,
    /// Token requests a minute; at once as many, but no more than `burst`.
    pub tokens_per_minute: u32,
    /// What one client may take of these.
    pub client_share: Percent,
    /// What reads may take of the requests.
    pub reads_share: Percent,
    /// What writes may take of the requests.
    pub writes_share: Percent,
    /// Quotas; `None`: without end.
    pub quotas: Quotas,
}

/// How much on a day and in a month, in UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Requests of the partner API.
    pub requests_per_day: Option<i64>,
    pub requests_per_month: Option<i64>,
    /// Token requests.
    pub tokens_per_day: Option<i64>,
    pub tokens_per_month: Option<i64>,
    /// Orders.
    pub orders_per_day: Option<i64>,
    pub orders_per_month: Option<i64>,
    /// What orders cost, as the ledger has it.
    pub spend_per_month: Option<Money>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            requests_per_minute: 6_000,
            burst: 1_000,
            tokens_per_minute: 600,
            client_share: Percent::ALL,
            reads_share: Percent::ALL,
            writes_share: Percent::ALL,
            quotas: Quotas::default(),
        }
    }
}

impl Figures {
    /// The partner's requests.
    pub fn requests(&self) -> Rate {
        Rate::new(self.requests_per_minute, self.burst)
    }

    /// The partner's token requests.
    pub fn tokens(&self) -> Rate {
        let burst = self.burst.min(self.tokens_per_minute);
        Rate::new(self.tokens_per_minute, burst)
    }

    /// Messages that the partner's requests have sent to its endpoints. No plan says otherwise: what is held down
    /// is how often a partner can have this server call a URL, which may be somebody else's.
    pub fn messages() -> Rate {
        Rate::new(30, 60)
    }

    /// Those to one endpoint.
    pub fn endpoint_messages() -> Rate {
        Rate::new(6, 20)
    }

    /// Each bucket that a request of a class is charged to: the partner's first, then lower ones. A share of
    /// the whole would be the same bucket again, and is left out.
    pub fn rates(&self, class: RouteClass) -> impl Iterator<Item = (LimitName, Rate)> {
        let (name, whole) = match class {
            RouteClass::Read | RouteClass::Write => (LimitName::Requests, self.requests()),
            RouteClass::Token => (LimitName::Tokens, self.tokens()),
            RouteClass::Message => (LimitName::WebhookMessages, Self::messages()),
        };
        let part = |name, of: Percent| (of != Percent::ALL).then(|| (name, whole.share(of)));
        let lower = match class {
            RouteClass::Read => [
                part(LimitName::Reads, self.reads_share),
                part(LimitName::ClientRequests, self.client_share),
            ],
            RouteClass::Write => [
                part(LimitName::Writes, self.writes_share),
                part(LimitName::ClientRequests, self.client_share),
            ],
            RouteClass::Token => [None, part(LimitName::ClientTokens, self.client_share)],
            RouteClass::Message => {
                let rate = Self::endpoint_messages();
                [None, Some((LimitName::EndpointMessages, rate))]
            }
        };
        let lower = lower.into_iter().flatten();
        std::iter::once((name, whole)).chain(lower)
    }
}

/// What holds for a partner in a realm at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Whether they bite.
    pub mode: Mode,
    /// How much.
    pub figures: Figures,
}

impl Limits {
    /// Whether who is over one is refused.
    pub fn bite(&self) -> bool {
        self.mode == Mode::Enforce
    }
}

/// All that was decided for a partner in a realm: what holds is told from it and the time, at each request,
/// since what is held in memory may be older than an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What the partner's plan says; the house's defaults without one.
    standard: Limits,
    /// The plan.
    plan: Option<PlanId>,
    /// What holds for this partner alone.
    own: Option<(Limits, Option<Instant>)>,
}

words!(
    /// Where a partner's limits come from.
    Source {
        /// The house's defaults.
        Default = "default",
        /// The partner's plan.
        Plan = "plan",
        /// The partner's own.
        Own = "own",
    }
);

impl Terms {
    /// What was decided: a mode, a plan, and own figures until they end.
    pub fn new(
        mode: Mode,
        plan: Option<(PlanId, Figures)>,
        own: Option<(Figures, Option<Instant>)>,
    ) -> Self {
        let (plan, figures) = plan.unzip();
        Self {
            standard: Limits {
                mode,
                figures: figures.unwrap_or_default(),
            },
            plan,
            own: own.map(|(figures, end)| (Limits { mode, figures }, end)),
        }
    }

    /// What holds now.
    pub fn limits(&self, now: Instant) -> &Limits {
        self.own_now(now)
            .map_or(&self.standard, |(limits, _)| limits)
    }

    /// Where that comes from.
    pub fn source(&self, now: Instant) -> Source {
        match (self.own_now(now), &self.plan) {
            (Some(_), _) => Source::Own,
            (None, Some(_)) => Source::Plan,
            (None, None) => Source::Default,
        }
    }

    /// When the partner's own limits end. `None`: it has none now, or they have no end.
    pub fn own_end(&self, now: Instant) -> Option<Instant> {
        self.own_now(now).and_then(|(_, end)| *end)
    }

    /// The plan that the partner is on, whether or not its own limits stand before it.
    pub fn plan(&self) -> Option<&PlanId> {
        self.plan.as_ref()
    }

    fn own_now(&self, now: Instant) -> Option<&(Limits, Option<Instant>)> {
        let own = self.own.as_ref();
        own.filter(|(_, end)| end.is_none_or(|end| now < end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(figures: &Figures, class: RouteClass) -> Vec<(LimitName, u32, u32)> {
        let rates = figures.rates(class);
        rates
            .map(|(name, rate)| (name, rate.per_minute().get(), rate.burst().get()))
            .collect()
    }

    #[test]
    fn a_share_of_the_whole_is_no_bucket_of_its_own() {
        let mut figures = Figures::default();
        let whole = [(LimitName::Requests, 6_000, 1_000)];
        assert_eq!(names(&figures, RouteClass::Read), whole);
        figures.client_share = Percent::new(50).unwrap();
        figures.writes_share = Percent::new(10).unwrap();
        assert_eq!(
            names(&figures, RouteClass::Write),
            [
                (LimitName::Requests, 6_000, 1_000),
                (LimitName::Writes, 600, 100),
                (LimitName::ClientRequests, 3_000, 500),
            ]
        );
        assert_eq!(
            names(&figures, RouteClass::Token),
            [
                (LimitName::Tokens, 600, 600),
                (LimitName::ClientTokens, 300, 300),
            ]
        );
        assert_eq!(
            names(&figures, RouteClass::Message),
            [
                (LimitName::WebhookMessages, 30, 60),
                (LimitName::EndpointMessages, 6, 20),
            ]
        );
    }

    #[test]
    fn a_share_is_never_nothing_and_no_node_is_without() {
        let one = Rate::new(1, 1);
        assert_eq!(one.share(Percent::new(1).unwrap()), one);
        assert_eq!(one.divided(3), one);
        assert_eq!(Rate::new(600, 100).divided(3), Rate::new(200, 33));
        assert_eq!(Rate::new(0, 0), one);
    }

    #[test]
    fn own_limits_stand_before_a_plan_until_they_end() {
        let at = Instant::from_epoch_seconds;
        let figures = |burst| Figures {
            burst,
            ..Figures::default()
        };
        let plan = (PlanId::generate(at(0)), figures(2));
        let own = (figures(3), Some(at(100)));
        let terms = Terms::new(Mode::Shadow, Some(plan), Some(own));
        assert_eq!(terms.limits(at(99)).figures.burst, 3);
        assert_eq!(terms.source(at(99)), Source::Own);
        assert_eq!(terms.limits(at(100)).figures.burst, 2);
        assert_eq!(terms.source(at(100)), Source::Plan);
        assert!(!terms.limits(at(100)).bite());
        let none = Terms::default();
        assert_eq!(none.source(at(0)), Source::Default);
        assert!(none.limits(at(0)).bite());
    }

    #[test]
    fn every_limit_has_a_code_of_its_own() {
        let codes: std::collections::BTreeSet<_> =
            LimitName::ALL.iter().map(|name| name.code()).collect();
        assert_eq!(codes.len(), LimitName::ALL.len());
    }
}
