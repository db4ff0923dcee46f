//! Deliveries of events to endpoints: what becomes of them, when a failed one is tried again, and when
//! an endpoint is given up.

use std::time::Duration;

use super::instant::Instant;
use super::words;

words!(
    /// A delivery's state: pending → succeeded or retrying; retrying → succeeded, exhausted or cancelled.
    WebhookDeliveryState {
        /// Not tried yet.
        Pending = "pending",
        /// It failed, and will be tried again.
        Retrying = "retrying",
        /// A 2xx came.
        Succeeded = "succeeded",
        /// It failed for the last time.
        Exhausted = "exhausted",
        /// The endpoint was disabled or deleted, or the replay cancelled, before it arrived.
        Cancelled = "cancelled",
    }
);

/// How long after each attempt that failed the next one comes.
const WAITS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(10 * 3600),
];
/// By which share a wait is longer or shorter, so that what failed together does not come back together.
const JITTER: f64 = 0.2;
/// The longest that a receiver can put an attempt off.
const LONGEST_PUT_OFF: Duration = Duration::from_secs(24 * 3600);

/// How long after its nth attempt (1, 2, …) a delivery that failed is tried again. `None`: it was the last.
///
/// `chance` is drawn from 0 to 1. What the receiver asked for, `Retry-After`, makes the wait longer and
/// never shorter.
pub fn wait_after(attempt: i32, chance: f64, asked: Option<Duration>) -> Option<Duration> {
    let nth = usize::try_from(attempt).ok()?.checked_sub(1)?;
    let wait = WAITS.get(nth)?;
    let wait = wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0));
    Some(wait.max(asked.unwrap_or_default().min(LONGEST_PUT_OFF)))
}

/// How long an endpoint may fail without any success before it is disabled.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(5 * 24 * 3600);
/// At how many hundredths of that time a warning is given.
pub const WARNINGS: [i32; 3] = [50, 70, 90];

/// How an endpoint does, by the attempts at it that replays did not make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The first failure since the last success. `None`: the last attempt succeeded, or there was none.
    pub failing_since: Option<Instant>,
    /// How many of the warnings were given.
    pub warned: i32,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    GoOn,
    /// A warning, at so many hundredths.
    Warn(i32),
    /// The endpoint is disabled.
    GiveUp,
}

impl Health {
    /// After an attempt that failed.
    ///
    /// Judged at failures alone: an endpoint that nothing is sent to is not given up.
    pub fn after_failure(self, at: Instant) -> (Self, Verdict) {
        let since = self.failing_since.unwrap_or(at);
        let lasted = at.epoch_micros().saturating_sub(since.epoch_micros());
        let lasted = Duration::from_micros(u64::try_from(lasted).unwrap_or(0));
        let health = Self {
            failing_since: Some(since),
            warned: self.warned,
        };
        if lasted >= GIVEN_UP_AFTER {
            return (health, Verdict::GiveUp);
        }
        let is_due = |percent: &&i32| {
            lasted * 100 >= GIVEN_UP_AFTER * u32::try_from(**percent).unwrap_or(100)
        };
        let due = WARNINGS.iter().filter(is_due);
        let given = usize::try_from(self.warned).unwrap_or(0);
        match due.clone().next_back() {
            Some(percent) if due.count() > given => {
                let warned = WARNINGS.iter().take_while(|one| *one <= percent).count();
                let warned = i32::try_from(warned).unwrap_or(self.warned);
                (Self { warned, ..health }, Verdict::Warn(*percent))
            }
            _ => (health, Verdict::GoOn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(days: f64) -> Instant {
        let start = Instant::from_epoch_seconds(1_800_000_000);
        start.plus(Duration::from_secs_f64(days * 24.0 * 3600.0))
    }

    #[test]
    fn eight_attempts_are_made_over_a_day_and_a_bit() {
        let waits: Vec<u64> = (1..)
            .map_while(|n| wait_after(n, 0.5, None))
            .map(|wait| wait.as_secs())
            .collect();
        assert_eq!(waits, [5, 300, 1800, 7200, 18_000, 36_000, 36_000]);
        assert_eq!(wait_after(0, 0.5, None), None);
    }

    #[test]
    fn a_receiver_can_put_an_attempt_off_for_a_day_and_not_pull_it_closer() {
        let asked = |seconds| {
            wait_after(2, 0.5, Some(Duration::from_secs(seconds)))
                .unwrap()
                .as_secs()
        };
        assert_eq!(
            [asked(0), asked(299), asked(3600), asked(u64::MAX)],
            [300, 300, 3600, 86_400]
        );
        // Not beyond the last attempt.
        assert_eq!(wait_after(8, 0.5, Some(Duration::from_secs(1))), None);
    }

    proptest! {
        #[test]
        fn waits_differ_by_a_fifth_at_most(n in 1i32..=7, chance in 0.0f64..=1.0) {
            let middle = wait_after(n, 0.5, None).unwrap().as_secs_f64();
            let share = wait_after(n, chance, None).unwrap().as_secs_f64() / middle;
            prop_assert!((0.799_999..=1.200_001).contains(&share));
        }
    }

    #[test]
    fn three_warnings_come_before_the_end_each_once() {
        let mut health = Health::default();
        let mut told = Vec::new();
        for tenth in 0..=50 {
            let (next, verdict) = health.after_failure(day(f64::from(tenth) / 10.0));
            if verdict != Verdict::GoOn {
                told.push((tenth, verdict));
            }
            health = next;
        }
        assert_eq!(
            told,
            [
                (25, Verdict::Warn(50)),
                (35, Verdict::Warn(70)),
                (45, Verdict::Warn(90)),
                (50, Verdict::GiveUp)
            ]
        );
    }

    #[test]
    fn a_warning_that_nobody_was_there_to_give_is_passed_over() {
        let (health, first) = Health::default().after_failure(day(0.0));
        assert_eq!(
            (health.failing_since, first),
            (Some(day(0.0)), Verdict::GoOn)
        );
        let (health, late) = health.after_failure(day(4.6));
        assert_eq!((health.warned, late), (3, Verdict::Warn(90)));
        assert_eq!(health.after_failure(day(4.7)), (health, Verdict::GoOn));
    }
}
