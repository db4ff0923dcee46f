//! A moment in UTC, kept to the microsecond.
//!
//! SQLite keeps nanoseconds and PostgreSQL microseconds; a moment that both
//! print alike must be cut to what both can keep.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDateTime, SecondsFormat, TimeDelta, Utc};

/// A moment in UTC with microsecond precision.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Timestamp)]
pub struct Instant(NaiveDateTime);

/// The text is not an RFC 3339 time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a time like 2030-01-31T12:00:00Z (RFC 3339)")]
pub struct BadInstant;

impl Instant {
    /// The moment `seconds` after 1970-01-01T00:00:00Z; out of range is the epoch.
    pub fn from_epoch_seconds(seconds: i64) -> Self {
        Self::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default())
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down (RFC 7519 §2, NumericDate).
    pub fn epoch_seconds(self) -> i64 {
        self.0.and_utc().timestamp()
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn epoch_micros(self) -> i64 {
        self.0.and_utc().timestamp_micros()
    }

    /// This moment without its fraction of a second.
    pub fn to_whole_seconds(self) -> Self {
        Self::from_epoch_seconds(self.epoch_seconds())
    }

    /// The moment `length` later; stays put past the end of the calendar.
    pub fn plus(self, length: Duration) -> Self {
        let moved = TimeDelta::from_std(length)
            .ok()
            .and_then(|d| self.0.checked_add_signed(d));
        Self(moved.unwrap_or(self.0))
    }

    /// The moment `length` earlier; stays put past the start of the calendar.
    pub fn minus(self, length: Duration) -> Self {
        let moved = TimeDelta::from_std(length)
            .ok()
            .and_then(|d| self.0.checked_sub_signed(d));
        Self(moved.unwrap_or(self.0))
    }

    /// Days from here to an end, begun ones counted whole; 0 if it has come.
    pub fn days_until(self, end: Self) -> i64 {
        const DAY: i64 = 24 * 3600 * 1_000_000;
        let left = end.epoch_micros().saturating_sub(self.epoch_micros());
        (left.max(0).saturating_add(DAY - 1)) / DAY
    }

    pub(crate) fn naive(&self) -> &NaiveDateTime {
        &self.0
    }
}

impl From<DateTime<Utc>> for Instant {
    fn from(time: DateTime<Utc>) -> Self {
        let micros = DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or_default();
        Self(micros.naive_utc())
    }
}

impl From<NaiveDateTime> for Instant {
    fn from(time: NaiveDateTime) -> Self {
        Self::from(time.and_utc())
    }
}

impl std::str::FromStr for Instant {
    type Err = BadInstant;

    /// Reads RFC 3339, and takes any offset to UTC.
    fn from_str(text: &str) -> Result<Self, BadInstant> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| BadInstant)?;
        let time = time.with_timezone(&Utc);
        // An offset can lead out of the years that can be written and sort as text; PostgreSQL has no year 0.
        if (1..=9999).contains(&time.year()) {
            Ok(Self::from(time))
        } else {
            Err(BadInstant)
        }
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(
            &self
                .0
                .and_utc()
                .to_rfc3339_opts(SecondsFormat::AutoSi, true),
        )
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_cut_to_the_microsecond_and_printed_in_utc() {
        let time: Instant = "2030-01-31T13:00:00.123456789+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2030-01-31T12:00:00.123456Z");
        assert_eq!(time.to_whole_seconds().to_string(), "2030-01-31T12:00:00Z");
    }

    #[test]
    fn a_moment_is_within_the_years_that_can_be_written() {
        for good in ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"] {
            assert_eq!(good.parse::<Instant>().unwrap().to_string(), good);
        }
        for bad in ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+00:01"] {
            assert!(bad.parse::<Instant>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_length_past_the_calendar_does_not_wrap() {
        let time = Instant::from_epoch_seconds(0);
        assert_eq!(time.plus(Duration::MAX), time);
        assert_eq!(time.plus(Duration::from_secs(5)).epoch_seconds(), 5);
    }

    #[test]
    fn a_begun_day_counts_whole() {
        let day = Duration::from_secs(24 * 3600);
        let now = Instant::from_epoch_seconds(1_800_000_000);
        let second = Duration::from_secs(1);
        assert_eq!(now.days_until(now.plus(day * 7)), 7);
        assert_eq!(now.days_until(now.plus(day * 7 - second)), 7);
        assert_eq!(now.days_until(now.plus(second)), 1);
        assert_eq!(now.days_until(now), 0);
        assert_eq!(now.days_until(now.minus(day)), 0);
    }

    #[test]
    fn a_date_without_a_time_is_refused() {
        assert_eq!("2030-01-31".parse::<Instant>(), Err(BadInstant));
    }
}
