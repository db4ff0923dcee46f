//! What is counted and measured, for the platform to scrape.
//!
//! Names are OpenTelemetry's where it has one (semantic conventions 1.44), as Prometheus writes them;
//! the rest begins with `onyx_`. Like the log it is one a process, since a process has one `/metrics`.
//! It refuses to know who measures: rooms count here, and `http/metrics` asks the application for
//! what only the moment of a scrape can tell.
//!
//! Labels hold words from closed sets alone: methods, route templates, statuses, codes, realms. Nothing
//! that a caller chooses becomes a label, so no caller can fill the memory, and no secret can get here.

mod instruments;

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{Encoder, IntCounter, Registry, TextEncoder};

use crate::domain::realm::Realm;
use crate::domain::webhook::{EndpointState, FailureClass};
use crate::domain::webhook_delivery::WARNINGS;

pub(crate) use instruments::observe;
pub use instruments::{Abuse, Journals, Limits, Lookups, Pool, Rates, Telemetry, Tokens, Webhooks};

static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(|| Telemetry::register(Registry::new()));

/// The process's instruments.
pub fn telemetry() -> &'static Telemetry {
    &TELEMETRY
}

/// The media type of [`Telemetry::text`].
pub const TEXT: &str = prometheus::TEXT_FORMAT;

impl Telemetry {
    /// All that was measured, in Prometheus's text format.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl Tokens {
    /// A token was given out.
    pub fn issued(&self, realm: Realm) {
        self.issued_in(realm).inc();
    }

    /// A token request was refused, with the code that the caller was told.
    pub fn refused(&self, realm: Realm, reason: &'static str) {
        self.refused
            .with_label_values(&[realm.as_str(), reason])
            .inc();
    }

    fn issued_in(&self, realm: Realm) -> &IntCounter {
        match realm {
            Realm::Sandbox => &self.sandbox,
            Realm::Live => &self.live,
            Realm::Admin => &self.admin,
        }
    }
}

/// The outcome of an attempt that reached its receiver.
const ARRIVED: &str = "arrived";

impl Webhooks {
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

impl Limits {
    /// A request was over a limit: it was refused, or went on where limits do not bite.
    pub fn exceeded(&self, limit: &'static str, refused: bool) {
        let outcome = if refused { "refused" } else { "shadowed" };
        self.decisions.with_label_values(&[limit, outcome]).inc();
    }
}

impl Abuse {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_can_be_scraped() {
        let telemetry = Telemetry::register(Registry::new());
        telemetry.tokens.issued(Realm::Live);
        telemetry.tokens.issued(Realm::Live);
        telemetry.tokens.refused(Realm::Sandbox, "invalid_client");
        let text = String::from_utf8(telemetry.text().unwrap()).unwrap();
        for line in [
            "onyx_tokens_issued_total{realm=\"live\"} 2",
            "onyx_tokens_issued_total{realm=\"sandbox\"} 0",
            "onyx_tokens_refused_total{realm=\"sandbox\",reason=\"invalid_client\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    #[test]
    fn what_nobody_measures_is_not_a_number() {
        let telemetry = Telemetry::register(Registry::new());
        let text = String::from_utf8(telemetry.text().unwrap()).unwrap();
        assert!(text.contains("\nonyx_audit_sequencer_lag_seconds NaN\n"));
    }
}
