//! Quotas: how much of something a partner may use in a day or a month.

use super::day::Day;
use super::instant::Instant;
use super::month::Month;
use super::words;

words!(
    /// A quota, by its name.
    Quota {
        RequestsPerDay = "requests_per_day",
        RequestsPerMonth = "requests_per_month",
        TokensPerDay = "tokens_per_day",
        TokensPerMonth = "tokens_per_month",
        OrdersPerDay = "orders_per_day",
        OrdersPerMonth = "orders_per_month",
        SpendPerMonth = "spend_per_month",
    }
);

impl Quota {
    /// The period of this quota that a moment lies in.
    pub fn period(self, moment: Instant) -> Period {
        match self {
            Self::RequestsPerDay | Self::TokensPerDay | Self::OrdersPerDay => {
                Period::Day(Day::of(moment))
            }
            Self::RequestsPerMonth
            | Self::TokensPerMonth
            | Self::OrdersPerMonth
            | Self::SpendPerMonth => Period::Month(Month::of(moment)),
        }
    }
}

/// A day or a month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    Day(Day),
    Month(Month),
}

impl Period {
    /// Its first moment.
    pub fn starts_at(self) -> Instant {
        match self {
            Self::Day(day) => day.start(),
            Self::Month(month) => month.start(),
        }
    }

    /// The first moment of the next one, when a quota is fresh again.
    pub fn ends_at(self) -> Instant {
        match self {
            Self::Day(day) => day.next().start(),
            Self::Month(month) => month.next().start(),
        }
    }

    /// Whole seconds of it.
    pub fn seconds(self) -> i64 {
        self.ends_at().epoch_seconds() - self.starts_at().epoch_seconds()
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Month(month) => month.fmt(f),
        }
    }
}

/// Parts of a quota, in percent, at which a partner is warned.
pub const WARNINGS: [i32; 2] = [80, 100];

/// The highest part to warn of that so much of a quota reaches; 0: none.
pub fn reached(used: i64, limit: i64) -> i32 {
    let reaches = |percent: &i32| {
        i128::from(used) * 100 >= i128::from(limit) * i128::from(*percent) && used > 0
    };
    WARNINGS.into_iter().rev().find(reaches).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_where_the_next_begins() {
        let moment: Instant = "2028-02-29T23:59:59.5Z".parse().unwrap();
        let (day, month) = (
            Quota::OrdersPerDay.period(moment),
            Quota::SpendPerMonth.period(moment),
        );
        assert_eq!(
            (day.to_string(), month.to_string()),
            ("2028-02-29".into(), "2028-02".into())
        );
        assert_eq!(day.ends_at().to_string(), "2028-03-01T00:00:00Z");
        assert_eq!(month.ends_at(), day.ends_at());
        assert_eq!((day.seconds(), month.seconds()), (86_400, 29 * 86_400));
        assert_eq!(
            Quota::OrdersPerDay.period(day.ends_at()).starts_at(),
            day.ends_at()
        );
    }

    #[test]
    fn warnings_come_at_four_fifths_and_at_the_end() {
        let percents: Vec<i32> = [0, 7, 8, 9, 10, 11].map(|used| reached(used, 10)).into();
        assert_eq!(percents, [0, 0, 80, 80, 100, 100]);
        assert_eq!(
            (reached(1, 1), reached(0, 0), reached(i64::MAX, i64::MAX)),
            (100, 0, 100)
        );
    }
}
