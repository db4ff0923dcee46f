//! All instruments of a process in one.

use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, GaugeVec, HistogramVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::making::{DURATIONS, gauge, histograms, int_gauge, int_gauges, known, watch};
use super::{Abuse, Journals, Limits, Lookups, Pool, Rates, Tokens, Webhooks};

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
    /// When the certificate of a listener ends, in seconds of the epoch.
    pub certificate_ends: IntGaugeVec,
    /// Deliveries to partners' endpoints.
    pub webhooks: Webhooks,
    /// Rates that nodes share.
    pub rates: Rates,
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
            certificate_ends: int_gauges(
                r,
                "onyx_tls_certificate_expires_timestamp_seconds",
                "When the certificate of a listener ends, in seconds since 1970.",
                &["listener"],
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
