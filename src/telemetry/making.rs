//! How instruments are made: each is known to the registry from its making on.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// OpenTelemetry's boundaries for the duration of requests, and two below them: a token takes less.
pub(super) const DURATIONS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// How long the database takes for a batch, and how long one waits for a connection.
pub(super) const WAITS: [f64; 10] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
];
pub(super) const BATCHES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Notes a length of time.
pub(crate) fn observe(histogram: &Histogram, length: Duration) {
    histogram.observe(length.as_secs_f64());
}

#[expect(
    clippy::expect_used,
    reason = "names and labels are written in this room, each once, and a test registers them all"
)]
pub(super) fn known<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> C {
    let collector = made.expect("the name and the labels are well-formed");
    watch(registry, collector.clone());
    collector
}

#[expect(
    clippy::expect_used,
    reason = "every name is written in this room, once, and a test registers them all"
)]
pub(super) fn watch(registry: &Registry, collector: impl Collector + 'static) {
    registry
        .register(Box::new(collector))
        .expect("the name is new");
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> Gauge {
    known(registry, Gauge::new(name, help))
}

pub(super) fn int_gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    known(registry, IntGauge::new(name, help))
}

pub(super) fn int_gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> IntGaugeVec {
    known(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> IntCounterVec {
    known(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

pub(super) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
    labels: &[&str],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    known(registry, HistogramVec::new(options, labels))
}
