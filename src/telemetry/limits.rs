//! What is measured of limits: those of partners, those that nodes share, and who is blocked.

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Registry};

use super::making::{WAITS, counters, gauge, int_gauge, known};

/// What partners' limits decided.
pub struct Limits {
    /// Requests of the partner API that fitted.
    pub requests_allowed: IntCounter,
    /// Token requests that fitted.
    pub tokens_allowed: IntCounter,
    decisions: IntCounterVec,
    /// Partners of which something is not refilled yet.
    pub partners: IntGauge,
}

impl Limits {
    pub(super) fn register(r: &Registry) -> Self {
        let decisions = counters(
            r,
            "onyx_limit_decisions_total",
            "Requests of partners, by what their limits decided and the limit that decided.",
            &["limit", "outcome"],
        );
        Self {
            requests_allowed: decisions.with_label_values(&["requests", "allowed"]),
            tokens_allowed: decisions.with_label_values(&["tokens", "allowed"]),
            decisions,
            partners: int_gauge(
                r,
                "onyx_limit_partners",
                "Partners of which something is not refilled yet, by realm counted apart.",
            ),
        }
    }

    /// A request was over a limit: it was refused, or went on where limits do not bite.
    pub fn exceeded(&self, limit: &'static str, refused: bool) {
        let outcome = if refused { "refused" } else { "shadowed" };
        self.decisions.with_label_values(&[limit, outcome]).inc();
    }
}

/// Who failed to authenticate too often, by what is blocked.
pub struct Abuse {
    /// Blocks that began.
    blocks: IntCounterVec,
    /// Requests while one was on, by how they ended.
    met: IntCounterVec,
}

impl Abuse {
    pub(super) fn register(r: &Registry) -> Self {
        let blocks = counters(
            r,
            "onyx_authentication_blocks_total",
            "Times that failed authentications began to block a client id or an address.",
            &["subject"],
        );
        let met = counters(
            r,
            "onyx_authentications_blocked_total",
            "Authentications while a block was on, by what became of them.",
            &["subject", "outcome"],
        );
        for subject in ["client", "address"] {
            blocks.with_label_values(&[subject]);
            for outcome in ["refused", "passed"] {
                met.with_label_values(&[subject, outcome]);
            }
        }
        Self { blocks, met }
    }

    /// A block began.
    pub fn began(&self, subject: &'static str) {
        self.blocks.with_label_values(&[subject]).inc();
    }

    /// Somebody was not looked at, or wrong, while a block was on.
    pub fn refused(&self, subject: &'static str) {
        self.met.with_label_values(&[subject, "refused"]).inc();
    }

    /// Somebody was right while a block was on, from where it was right before.
    pub fn passed(&self, subject: &'static str) {
        self.met.with_label_values(&[subject, "passed"]).inc();
    }
}

/// Rates that nodes share.
pub struct Rates {
    /// 1: Redis answers; 0: it is away; not a number where there is none.
    pub shared: Gauge,
    /// Connections to Redis that were let go.
    pub lost: IntCounter,
    /// How long decisions of Redis took.
    pub duration: Histogram,
    /// Nodes that take requests.
    pub nodes: IntGauge,
}

impl Rates {
    pub(super) fn register(r: &Registry) -> Self {
        let name = "onyx_shared_rates_duration_seconds";
        let help = "How long Redis took for a decision.";
        Self {
            shared: gauge(
                r,
                "onyx_shared_rates_up",
                "1 while Redis answers, 0 while this node goes by its share of the rates.",
            ),
            lost: known(
                r,
                IntCounter::new(
                    "onyx_shared_rates_lost_total",
                    "Connections to Redis that were let go.",
                ),
            ),
            duration: known(
                r,
                Histogram::with_opts(HistogramOpts::new(name, help).buckets(WAITS.to_vec())),
            ),
            nodes: int_gauge(r, "onyx_nodes", "Nodes that take requests and live."),
        }
    }
}
