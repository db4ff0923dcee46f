//! One bucket: GCRA, by governor's arithmetic, over a state of our own.
//!
//! Governor charges where it allows. A request here is charged to several buckets or to none, so each is
//! asked on trial first, and what it would be afterwards is written only if all agree.

use std::cell::Cell;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::Moment;
use crate::domain::limits::Rate;

/// What was let through and has not refilled yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// What it holds and how fast it refills.
    rate: Rate,
    /// When it is full again.
    full_at: Moment,
}

/// What a bucket says to one request more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// It fits; afterwards the bucket refills for so many nanoseconds.
    Fits(u64),
    /// It does not fit before so many nanoseconds have passed.
    Over(u64),
}

impl Bucket {
    /// A full one.
    pub(super) fn full(rate: Rate, now: Moment) -> Self {
        Self { rate, full_at: now }
    }

    /// What it goes by.
    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Goes by another rate from now on. What it has left stays, as far as it still holds so much; a larger one
    /// fills up as it refills. So a change gives nothing away, and neither does one to and fro.
    pub(super) fn adapt(&mut self, rate: Rate, now: Moment) {
        if self.rate == rate {
            return;
        }
        let left = u128::from(self.rate.refill().saturating_sub(self.refills_for(now)));
        let left = left * u128::from(rate.interval()) / u128::from(self.rate.interval().max(1));
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        *self = Self {
            rate,
            full_at: now.plus(rate.refill().saturating_sub(left)),
        };
    }

    /// How many nanoseconds it takes to be full again.
    pub(super) fn refills_for(&self, now: Moment) -> u64 {
        self.full_at.since(now)
    }

    /// Whether it is full, which is as if it were not there.
    pub(super) fn is_full(&self, now: Moment) -> bool {
        self.full_at <= now
    }

    /// How many it would let through now, if its refilling took so many nanoseconds.
    pub(super) fn remaining(&self, refills_for: u64) -> u64 {
        self.rate.refill().saturating_sub(refills_for) / self.rate.interval().max(1)
    }

    /// Asks for one more, on trial.
    pub(super) fn weigh(&self, now: Moment) -> Trial {
        let scale = Scale {
            before: self.refills_for(now).into(),
            after: Cell::default(),
        };
        let limiter = Limiter::new(self.quota(), scale, Standstill);
        match limiter.check() {
            Ok(()) => Trial::Fits(limiter.into_state_store().after.get().into()),
            Err(refused) => {
                let wait = refused.wait_time_from(Nanos::default());
                Trial::Over(Nanos::from(wait).into())
            }
        }
    }

    /// Takes what it agreed to.
    pub(super) fn charge(&mut self, refills_for: u64, now: Moment) {
        self.full_at = now.plus(refills_for);
    }

    fn quota(&self) -> Quota {
        let (per_minute, burst) = (self.rate.per_minute(), self.rate.burst());
        // By its period: the other way divides in 128 bits, each time.
        Quota::with_period(Duration::from_nanos(self.rate.interval()))
            .unwrap_or_else(|| Quota::per_minute(per_minute))
            .allow_burst(burst)
    }
}

type Limiter = RateLimiter<NotKeyed, Scale, Standstill, NoOpMiddleware<Nanos>>;

/// A bucket's state on trial: how long it refills, before and after.
struct Scale {
    before: Nanos,
    after: Cell<Nanos>,
}

impl StateStore for Scale {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (value, after) = decide(Some(self.before))?;
        self.after.set(after);
        Ok(value)
    }
}

/// The time of a trial: now is nought, since states are told from now on.
#[derive(Clone, Copy, Debug)]
struct Standstill;

impl Clock for Standstill {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn drained(rate: Rate, now: Moment) -> Bucket {
        let mut bucket = Bucket::full(rate, now);
        while let Trial::Fits(after) = bucket.weigh(now) {
            bucket.charge(after, now);
        }
        bucket
    }

    fn left(bucket: &Bucket, now: Moment) -> u64 {
        bucket.remaining(bucket.refills_for(now))
    }

    #[test]
    fn it_lets_a_burst_through_and_then_one_an_interval() {
        let (now, rate) = (Moment::default(), Rate::new(60, 3));
        let mut bucket = Bucket::full(rate, now);
        for left in [2, 1, 0] {
            let Trial::Fits(after) = bucket.weigh(now) else {
                panic!("refused with {left} to come");
            };
            assert_eq!(bucket.remaining(after), left);
            bucket.charge(after, now);
        }
        assert_eq!(bucket.weigh(now), Trial::Over(SECOND));
        let later = now.plus(SECOND);
        assert_eq!(bucket.weigh(later), Trial::Fits(3 * SECOND));
        assert!(bucket.is_full(now.plus(3 * SECOND)));
    }

    #[test]
    fn a_change_refills_nothing() {
        let now = Moment::default();
        let (small, large) = (Rate::new(60, 10), Rate::new(6_000, 1_000));
        let mut bucket = drained(small, now);
        bucket.adapt(large, now);
        assert_eq!(left(&bucket, now), 0);
        // It refills by its new rate.
        assert_eq!(left(&bucket, now.plus(SECOND)), 100);
        let half = now.plus(5 * SECOND);
        assert_eq!(left(&bucket, half), 500);
        for rate in [small, large, small, large] {
            bucket.adapt(rate, half);
        }
        assert_eq!(left(&bucket, half), 10);
        // One that is full holds what it held, and one that holds less is full.
        let mut bucket = Bucket::full(large, now);
        bucket.adapt(small, now);
        assert!(bucket.is_full(now));
        bucket.adapt(large, now);
        assert_eq!(left(&bucket, now), 10);
    }
}
