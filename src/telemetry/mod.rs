//! What is counted and measured, for the platform to scrape.
//!
//! Names are OpenTelemetry's where it has one (semantic conventions 1.44), as Prometheus writes them;
//! the rest begins with `onyx_`. Like the log it is one a process, since a process has one `/metrics`.
//! It refuses to know who measures: rooms count here, and `http/metrics` asks the application for
//! what only the moment of a scrape can tell.
//!
//! Labels hold words from closed sets alone: methods, route templates, statuses, codes, realms. Nothing
//! that a caller chooses becomes a label, so no caller can fill the memory, and no secret can get here.

mod data;
mod instruments;
mod limits;
mod making;
mod tokens;
mod webhooks;

use std::sync::LazyLock;

use prometheus::{Encoder, Registry, TextEncoder};

pub use data::{Journals, Lookups, Pool};
pub use instruments::Telemetry;
pub use limits::{Abuse, Limits, Rates};
pub(crate) use making::observe;
pub use tokens::Tokens;
pub use webhooks::Webhooks;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::realm::Realm;

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
