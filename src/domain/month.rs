//! A calendar month in UTC: what an invoice bills.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Months, NaiveDate, NaiveTime};

use super::instant::Instant;

/// A month in UTC, kept as its first day. Printed like `2030-01`, months sort as their texts do.
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
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct Month {
    first: NaiveDate,
    text: [u8; 7],
}

/// The text is not a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a month like 2030-01")]
pub struct BadMonth;

impl Month {
    /// The month that a moment lies in.
    pub fn of(moment: Instant) -> Self {
        Self::with(moment.naive().date())
    }

    /// The month of a day. Years have four digits: clocks and texts have no others.
    fn with(day: NaiveDate) -> Self {
        let first = day.with_day(1).unwrap_or(day);
        // By hand: every token is counted in its month, and a library's formatting costs a microsecond.
        let digit = |number: u32| b'0' + (number % 10) as u8;
        let (year, month) = (first.year().unsigned_abs(), first.month());
        let [thousands, hundreds, tens, ones] = [1000, 100, 10, 1].map(|place| digit(year / place));
        let text = [
            thousands,
            hundreds,
            tens,
            ones,
            b'-',
            digit(month / 10),
            digit(month),
        ];
        Self { first, text }
    }

    /// As it is printed and stored.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Its first moment.
    pub fn start(self) -> Instant {
        self.first.and_time(NaiveTime::MIN).into()
    }

    /// The month after it; stays put at the end of the calendar.
    pub fn next(self) -> Self {
        Self::with(
            self.first
                .checked_add_months(Months::new(1))
                .unwrap_or(self.first),
        )
    }

    /// The month before it; stays put at the start of the calendar.
    pub fn previous(self) -> Self {
        Self::with(
            self.first
                .checked_sub_months(Months::new(1))
                .unwrap_or(self.first),
        )
    }
}

impl FromStr for Month {
    type Err = BadMonth;

    fn from_str(text: &str) -> Result<Self, BadMonth> {
        match NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d") {
            Ok(day) if text.len() == "2030-01".len() => Ok(Self::with(day)),
            _ => Err(BadMonth),
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Month {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_where_the_one_before_ends() {
        let month: Month = "2026-12".parse().unwrap();
        assert_eq!(month.start().to_string(), "2026-12-01T00:00:00Z");
        assert_eq!(month.next().to_string(), "2027-01");
        assert_eq!(month.next().previous(), month);
        assert_eq!(
            Month::of(
                month
                    .next()
                    .start()
                    .minus(std::time::Duration::from_micros(1))
            ),
            month
        );
        for bad in ["", "2026", "2026-13", "2026-1", "2026-012", "26-01"] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }
}
