//! What is measured of data on its way: look-ups in the directory, journals, and connections to the database.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::making::{BATCHES, WAITS, counters, histograms, int_gauge, int_gauges};

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

impl Lookups {
    pub(super) fn register(r: &Registry) -> Self {
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

impl Journals {
    pub(super) fn register(r: &Registry) -> Self {
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
                "1 while a journal's writer lives and the database takes its rows.",
                &["journal"],
            ),
        }
    }
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

impl Pool {
    pub(super) fn register(r: &Registry) -> Self {
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
