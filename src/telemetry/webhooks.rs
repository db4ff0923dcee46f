//! What is measured of deliveries to partners' endpoints.

use std::time::Duration;

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::making::{DURATIONS, counters, gauge, int_gauge, int_gauges, known, observe};
use crate::domain::webhook::{EndpointState, FailureClass};
use crate::domain::webhook_delivery::WARNINGS;

/// The outcome of an attempt that reached its receiver.
const ARRIVED: &str = "arrived";

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

impl Webhooks {
    pub(super) fn register(r: &Registry) -> Self {
        let attempts = counters(
            r,
            "onyx_webhook_attempts_total",
            "Attempts at partners' endpoints, by how they ended.",
            &["outcome"],
        );
        // There from the start: a counter that appears with its first event hides that event.
        attempts.with_label_values(&[ARRIVED]);
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

    /// An attempt has ended; of a first one also how long after its event.
    pub fn attempted(&self, failed: Option<FailureClass>, after: Option<Duration>) {
        let outcome = failed.map_or(ARRIVED, FailureClass::as_str);
        self.attempts.with_label_values(&[outcome]).inc();
        if let Some(after) = after.filter(|_| failed.is_none()) {
            observe(&self.delay, after);
        }
    }

    /// How endpoints do: how many are in each state, how many active ones fail, by how many warnings were
    /// given, and how long one that works has waited for an event.
    pub fn tell(&self, states: &[(EndpointState, i64)], failing: &[(i32, i64)], lag: Duration) {
        for state in EndpointState::ALL {
            let found = states.iter().find(|(known, _)| known == state);
            self.endpoints
                .with_label_values(&[state.as_str()])
                .set(found.map_or(0, |(_, many)| *many));
        }
        for (nth, warned) in [0].iter().chain(&WARNINGS).enumerate() {
            let warnings = i32::try_from(nth).unwrap_or(0);
            let found = failing.iter().find(|(given, _)| *given == warnings);
            self.failing
                .with_label_values(&[&warned.to_string()])
                .set(found.map_or(0, |(_, many)| *many));
        }
        self.lag.set(lag.as_secs_f64());
    }
}
