//! The instruments themselves.

use std::time::Duration;

use crate::domain::webhook::FailureClass;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// OpenTelemetry's boundaries for the duration of requests, and two below them: a token takes less.
const DURATIONS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// How long the database takes for a batch, and how long one waits for a connection.
const WAITS: [f64; 10] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
];
const BATCHES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// All instruments of a process.
pub struct Telemetry {
    pub(super) registry: Registry,
    /// From a request's head to its answer's, by method, route, status and error.
    pub requests: HistogramVec,
    /// Handlers that panicked, and threads.
    pub panics: IntCounter,
    /// Tokens given and refused.
    pub tokens: Tokens,
    /// What partners' limits let through, and what not.
    pub limits: Limits,
    /// Who failed to authenticate too often.
    pub abuse: Abuse,
    /// Connections that were closed as they came.
    pub connections_refused: IntCounter,
    /// Look-ups of clients and audiences.
    pub lookups: Lookups,
    /// Batches of rows.
    pub journals: Journals,
    /// Connections to the database.
    pub pool: Pool,
    /// Seconds since the database was last heard.
    pub staleness: Gauge,
    /// After how many of them cached clients are not trusted.
    pub staleness_limit: Gauge,
    /// Listeners of the revocation feed.
    pub feed_listeners: IntGauge,
    /// How many may listen.
    pub feed_listeners_limit: IntGauge,
    /// The highest revocation that this process has applied.
    pub feed_head: IntGauge,
    /// Seconds since the oldest audit event that is in no checkpoint; not a number while nobody says.
    pub sequencer_lag: Gauge,
    /// Seconds since the key that signs began to, by realm and algorithm.
    pub key_age: GaugeVec,
    /// Deliveries to partners' endpoints.
    pub webhooks: Webhooks,
    /// Rates that nodes share.
    pub rates: Rates,
}

/// Deliveries to partners' endpoints.
pub struct Webhooks {
    /// Attempts, by how they ended: `arrived`, or the class of the failure.
    pub attempts: IntCounterVec,
    /// From an event to the end of the first attempt at it.
    pub delay: Histogram,
    /// Messages on their way.
    pub flying: IntGauge,
    /// Endpoints that this process delivers to.
    pub held: IntGauge,
    /// Events that those are behind with.
    pub backlog: IntGauge,
    /// Seconds since the oldest event that an endpoint which works was not sent.
    pub lag: Gauge,
    /// All endpoints, by state.
    pub endpoints: IntGaugeVec,
    /// Active endpoints that fail, by the last warning.
    pub failing: IntGaugeVec,
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

/// What the token endpoint did.
pub struct Tokens {
    pub(super) sandbox: IntCounter,
    pub(super) live: IntCounter,
    pub(super) admin: IntCounter,
    pub(super) refused: IntCounterVec,
}

/// What partners' limits decided.
pub struct Limits {
    /// Requests of the partner API that fitted.
    pub requests_allowed: IntCounter,
    /// Token requests that fitted.
    pub tokens_allowed: IntCounter,
    pub(super) decisions: IntCounterVec,
    /// Partners of which something is not refilled yet.
    pub partners: IntGauge,
}

/// Who failed to authenticate too often, by what is blocked.
pub struct Abuse {
    /// Blocks that began.
    pub(super) blocks: IntCounterVec,
    /// Requests while one was on, by how they ended.
    pub(super) met: IntCounterVec,
}

/// What the directory was asked for.
pub struct Lookups {
    /// Clients that were in memory, those that are known to be unknown among them.
    pub client_hits: IntCounter,
    /// Clients that the database was asked for.
    pub client_misses: IntCounter,
    /// Audiences that were in memory.
    pub audience_hits: IntCounter,
    /// Audiences that the database was asked for.
    pub audience_misses: IntCounter,
    /// How many are held, by kind.
    pub held: IntGaugeVec,
    /// How many clients may be held.
    pub clients_limit: IntGauge,
}

/// What journals wrote, by journal.
pub struct Journals {
    /// Rows in a transaction.
    pub rows: HistogramVec,
    /// How long the transaction took.
    pub duration: HistogramVec,
    /// Rows that wait.
    pub waiting: IntGaugeVec,
    /// Whether the writer lives.
    pub running: IntGaugeVec,
}

/// Connections to the database, by pool.
pub struct Pool {
    /// By state: `idle` or `used`.
    pub connections: IntGaugeVec,
    /// How many there may be.
    pub limit: IntGaugeVec,
    /// Who waits for a turn.
    pub pending: IntGaugeVec,
    /// How long turns were waited for.
    pub waits: HistogramVec,
    /// Who waited too long.
    pub timeouts: IntCounterVec,
}

impl Telemetry {
    /// Makes every instrument, and has the registry know it.
    pub(super) fn register(registry: Registry) -> Self {
        let r = &registry;
        watch(r, ProcessCollector::for_self());
        let build = known(
            r,
            IntGaugeVec::new(
                Opts::new("onyx_build_info", "1; the version is a label."),
                &["version"],
            ),
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let telemetry = Self {
            requests: histograms(
                r,
                "http_server_request_duration_seconds",
                "From a request's head to its answer's head.",
                &DURATIONS,
                &[
                    "http_request_method",
                    "http_route",
                    "http_response_status_code",
                    "error_type",
                ],
            ),
            panics: known(
                r,
                IntCounter::new("onyx_panics_total", "Panics of handlers and threads."),
            ),
            tokens: Tokens::register(r),
            limits: Limits::register(r),
            abuse: Abuse::register(r),
            connections_refused: known(
                r,
                IntCounter::new(
                    "onyx_connections_refused_total",
                    "Connections closed as they came: their address had too many.",
                ),
            ),
            lookups: Lookups::register(r),
            journals: Journals::register(r),
            pool: Pool::register(r),
            staleness: gauge(
                r,
                "onyx_staleness_seconds",
                "Seconds since the database was last heard.",
            ),
            staleness_limit: gauge(
                r,
                "onyx_staleness_limit_seconds",
                "Seconds of silence after which cached clients are not trusted.",
            ),
            feed_listeners: int_gauge(
                r,
                "onyx_feed_listeners",
                "Listeners of the revocation feed.",
            ),
            feed_listeners_limit: int_gauge(
                r,
                "onyx_feed_listeners_limit",
                "Listeners of the revocation feed that there may be.",
            ),
            feed_head: int_gauge(
                r,
                "onyx_feed_head",
                "The highest revocation that this process has applied.",
            ),
            sequencer_lag: gauge(
                r,
                "onyx_audit_sequencer_lag_seconds",
                "Age of the oldest audit event that is in no checkpoint.",
            ),
            key_age: known(
                r,
                GaugeVec::new(
                    Opts::new(
                        "onyx_signing_key_age_seconds",
                        "Seconds since the key that signs began to.",
                    ),
                    &["realm", "alg"],
                ),
            ),
            webhooks: Webhooks::register(r),
            rates: Rates::register(r),
            registry,
        };
        telemetry.sequencer_lag.set(f64::NAN);
        telemetry.webhooks.tell(&[], &[], Duration::ZERO);
        telemetry.rates.shared.set(f64::NAN);
        telemetry
    }
}

impl Tokens {
    fn register(r: &Registry) -> Self {
        let issued = counters(
            r,
            "onyx_tokens_issued_total",
            "Access tokens given out.",
            &["realm"],
        );
        Self {
            sandbox: issued.with_label_values(&["sandbox"]),
            live: issued.with_label_values(&["live"]),
            admin: issued.with_label_values(&["admin"]),
            refused: counters(
                r,
                "onyx_tokens_refused_total",
                "Token requests refused, by the code that the caller was told.",
                &["realm", "reason"],
            ),
        }
    }
}

impl Limits {
    fn register(r: &Registry) -> Self {
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
}

impl Abuse {
    fn register(r: &Registry) -> Self {
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
}

impl Lookups {
    fn register(r: &Registry) -> Self {
        let lookups = counters(
            r,
            "onyx_directory_lookups_total",
            "Look-ups in the directory: a miss asks the database.",
            &["kind", "outcome"],
        );
        Self {
            client_hits: lookups.with_label_values(&["client", "hit"]),
            client_misses: lookups.with_label_values(&["client", "miss"]),
            audience_hits: lookups.with_label_values(&["audience", "hit"]),
            audience_misses: lookups.with_label_values(&["audience", "miss"]),
            held: int_gauges(
                r,
                "onyx_directory_entries",
                "What the directory holds in memory.",
                &["kind"],
            ),
            clients_limit: int_gauge(
                r,
                "onyx_directory_clients_limit",
                "Clients that the directory may hold.",
            ),
        }
    }
}

impl Journals {
    fn register(r: &Registry) -> Self {
        Self {
            rows: histograms(
                r,
                "onyx_journal_batch_rows",
                "Rows in one transaction of a journal.",
                &BATCHES,
                &["journal"],
            ),
            duration: histograms(
                r,
                "onyx_journal_write_duration_seconds",
                "How long a journal's transaction took.",
                &WAITS,
                &["journal"],
            ),
            waiting: int_gauges(
                r,
                "onyx_journal_waiting_rows",
                "Rows that wait to be written.",
                &["journal"],
            ),
            running: int_gauges(
                r,
                "onyx_journal_running",
                "1 while a journal's writer lives.",
                &["journal"],
            ),
        }
    }
}

impl Rates {
    fn register(r: &Registry) -> Self {
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

impl Pool {
    fn register(r: &Registry) -> Self {
        let name = "db_client_connection_pool_name";
        Self {
            connections: int_gauges(
                r,
                "db_client_connection_count",
                "Connections to the database, by state.",
                &[name, "db_client_connection_state"],
            ),
            limit: int_gauges(
                r,
                "db_client_connection_max",
                "Connections to the database that there may be.",
                &[name],
            ),
            pending: int_gauges(
                r,
                "db_client_connection_pending_requests",
                "Who waits for a connection.",
                &[name],
            ),
            waits: histograms(
                r,
                "db_client_connection_wait_time_seconds",
                "How long a connection was waited for.",
                &WAITS,
                &[name],
            ),
            timeouts: counters(
                r,
                "db_client_connection_timeouts_total",
                "Who waited for a connection in vain.",
                &[name],
            ),
        }
    }
}

impl Webhooks {
    fn register(r: &Registry) -> Self {
        let attempts = counters(
            r,
            "onyx_webhook_attempts_total",
            "Attempts at partners' endpoints, by how they ended.",
            &["outcome"],
        );
        // There from the start: a counter that appears with its first event hides that event.
        attempts.with_label_values(&[super::ARRIVED]);
        for class in FailureClass::ALL {
            attempts.with_label_values(&[class.as_str()]);
        }
        Self {
            attempts,
            delay: known(
                r,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "onyx_webhook_delay_seconds",
                        "From an event to the end of the first attempt at it.",
                    )
                    .buckets(DURATIONS.to_vec()),
                ),
            ),
            flying: int_gauge(
                r,
                "onyx_webhook_in_flight",
                "Messages on their way to partners' endpoints.",
            ),
            held: int_gauge(
                r,
                "onyx_webhook_endpoints_held",
                "Endpoints that this process delivers to.",
            ),
            backlog: int_gauge(
                r,
                "onyx_webhook_backlog_events",
                "Events that the endpoints of this process are behind with.",
            ),
            lag: gauge(
                r,
                "onyx_webhook_lag_seconds",
                "Age of the oldest event that an endpoint which works was not sent.",
            ),
            endpoints: int_gauges(
                r,
                "onyx_webhook_endpoints",
                "Endpoints of all partners, by state.",
                &["state"],
            ),
            failing: int_gauges(
                r,
                "onyx_webhook_endpoints_failing",
                "Active endpoints that nothing reaches, by the last warning, in hundredths of the time.",
                &["warned"],
            ),
        }
    }
}

/// Notes a length of time.
pub(crate) fn observe(histogram: &Histogram, length: Duration) {
    histogram.observe(length.as_secs_f64());
}

#[expect(
    clippy::expect_used,
    reason = "names and labels are written in this file, each once, and a test registers them all"
)]
fn known<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> C {
    let collector = made.expect("the name and the labels are well-formed");
    watch(registry, collector.clone());
    collector
}

#[expect(
    clippy::expect_used,
    reason = "every name is written in this file, once, and a test registers them all"
)]
fn watch(registry: &Registry, collector: impl Collector + 'static) {
    registry
        .register(Box::new(collector))
        .expect("the name is new");
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Gauge {
    known(registry, Gauge::new(name, help))
}

fn int_gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    known(registry, IntGauge::new(name, help))
}

fn int_gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    known(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    known(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
    labels: &[&str],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    known(registry, HistogramVec::new(options, labels))
}
