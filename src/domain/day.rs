//! A day in UTC: what usage is counted by.

use std::fmt;
use std::str::FromStr;

use chrono::{Days, NaiveDate, NaiveTime};

use super::instant::Instant;

/// A day in UTC. Printed like `2030-01-31`, days sort as their texts do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(NaiveDate);

/// The text is not a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a day like 2030-01-31")]
pub struct BadDay;

impl Day {
    /// The day that a moment lies in.
    pub fn of(moment: Instant) -> Self {
        Self(moment.naive().date())
    }

    /// Its first moment.
    pub fn start(self) -> Instant {
        self.0.and_time(NaiveTime::MIN).into()
    }

    /// The day after it; stays put at the end of the calendar.
    pub fn next(self) -> Self {
        Self(self.0.succ_opt().unwrap_or(self.0))
    }

    /// The day so many days earlier; stays put past the start of the calendar.
    pub fn minus(self, days: u32) -> Self {
        let moved = self.0.checked_sub_days(Days::new(days.into()));
        Self(moved.unwrap_or(self.0))
    }
}

impl FromStr for Day {
    type Err = BadDay;

    fn from_str(text: &str) -> Result<Self, BadDay> {
        match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            // One form alone, or days would not sort as their texts do.
            Ok(date) if text.len() == "2030-01-31".len() => Ok(Self(date)),
            _ => Err(BadDay),
        }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.format("%Y-%m-%d").to_string())
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let late: Instant = "2030-03-01T23:59:59.999999Z".parse().unwrap();
        let next: Instant = "2030-03-02T01:30:00+01:30".parse().unwrap();
        assert_eq!(Day::of(late).to_string(), "2030-03-01");
        assert_eq!(Day::of(next).to_string(), "2030-03-02");
        assert_eq!(Day::of(next).start(), next);
        assert_eq!(Day::of(next).minus(2).to_string(), "2030-02-28");
        assert_eq!(Day::of(late).next(), Day::of(next));
    }

    #[test]
    fn a_day_parses_back_to_itself_and_in_no_other_form() {
        assert_eq!(
            "2030-01-31".parse::<Day>().unwrap().to_string(),
            "2030-01-31"
        );
        for bad in [
            "2030-1-31",
            "2030-02-30",
            "30-01-31",
            "2030-01-31T00:00:00Z",
            "",
        ] {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
    }
}
