//! How old the news of revocations is.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How far ahead of what was seen of it a clock may be, in milliseconds: it tells whole seconds,
/// and no answer travels in no time.
const AHEAD: i64 = 2_000;
/// How late an answer may be, in milliseconds, to be taken for one of the same clock.
const LATE: i64 = 5_000;
/// What a clock is ahead fades by one part in so many of the time that passes.
///
/// A clock may be put back by seconds, or go slow by fifty parts in a million. By what it was ahead
/// once all its news would look too old for good. Answers that come later and later look just the
/// same, and can hide as much of their age, but not without end: a stream ends with its token, after
/// a quarter of an hour at the most, and the answer to a request is waited for no longer than
/// seconds. So the part is small, and what a slow path can hide stays a matter of seconds, too. A
/// clock that was put back by four is ahead by what it shows again after an hour and some minutes.
const FADES: i64 = 1_000;
/// How many clocks are told apart: nodes behind one address.
const CLOCKS: usize = 16;

/// When the issuer's node last said that it had heard its database.
///
/// Its `as_of` is by its own clock, which may be wrong by minutes, and the next answer may be another
/// node's. So clocks are told apart by how far each is ahead of this machine's monotonic one; only that
/// a clock moves is news, and the news is as old as the second that it shows.
#[derive(Debug)]
pub(crate) struct News {
    started: Instant,
    clocks: Mutex<Vec<Clock>>,
    as_of: AtomicI64,
    /// Milliseconds after `started`, and one more; 0: never.
    heard: AtomicU64,
}

/// What was seen of one clock.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// The last second that it showed.
    as_of: i64,
    /// The most that it was ahead of this machine's, in milliseconds, faded.
    ahead: i64,
    /// When it was heard last, in milliseconds of this machine's.
    heard: i64,
}

impl Clock {
    /// How far ahead it is where it is heard again, and is then ahead by this much at the least.
    fn ahead_at(self, now: i64, offset: i64) -> i64 {
        let passed = now.saturating_sub(self.heard);
        offset.max(self.ahead.saturating_sub(passed / FADES))
    }
}

impl News {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            clocks: Mutex::default(),
            as_of: AtomicI64::new(i64::MIN),
            heard: AtomicU64::new(0),
        }
    }

    /// Takes in what the issuer says of itself. Seconds that do not move are no news.
    pub(crate) fn hear(&self, as_of: i64) {
        let now = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.hear_at(as_of, now);
    }

    fn hear_at(&self, as_of: i64, now: i64) {
        self.as_of.store(as_of, Ordering::Release);
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        if clocks.iter().any(|clock| clock.as_of == as_of) {
            return;
        }
        let offset = as_of.saturating_mul(1000).saturating_sub(now);
        let is_first = clocks.is_empty();
        // By what it was ahead when it was heard last: silence makes no other clock of it.
        let known = clocks
            .iter()
            .position(|clock| (-LATE..=AHEAD).contains(&offset.saturating_sub(clock.ahead)));
        let clock = known.map_or(
            Clock {
                as_of,
                ahead: offset,
                heard: now,
            },
            |at| clocks.remove(at),
        );
        let ahead = clock.ahead_at(now, offset);
        if is_first || (known.is_some() && as_of > clock.as_of) {
            // A clock that is seen for the first time says nothing of how long it has stood still.
            let moved_at = as_of.saturating_mul(1000).saturating_sub(ahead);
            let at = u64::try_from(moved_at.min(now)).unwrap_or(0);
            self.heard.fetch_max(at.saturating_add(1), Ordering::AcqRel);
        }
        if clocks.len() >= CLOCKS {
            clocks.remove(0);
        }
        // The one heard last is at the end.
        clocks.push(Clock {
            as_of: as_of.max(clock.as_of),
            ahead,
            heard: now,
        });
    }

    /// The issuer's feed begins anew: its clocks may, too.
    pub(crate) fn begin_anew(&self) {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.clear();
    }

    /// What the issuer said last. `None`: nothing yet.
    pub(crate) fn as_of(&self) -> Option<i64> {
        Some(self.as_of.load(Ordering::Acquire)).filter(|at| *at > i64::MIN)
    }

    /// How old the news is. `None`: there was none yet.
    pub(crate) fn age(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire).checked_sub(1)?;
        Some(
            self.started
                .elapsed()
                .saturating_sub(Duration::from_millis(heard)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After what was heard, when: the moment that the news is of.
    fn heard(news: &[(i64, i64)]) -> Option<u64> {
        let held = News::new();
        for (as_of, now) in news {
            held.hear_at(*as_of, *now);
        }
        held.heard.load(Ordering::Acquire).checked_sub(1)
    }

    #[test]
    fn only_a_clock_that_moves_is_news() {
        assert_eq!(heard(&[]), None);
        assert_eq!(heard(&[(100, 10)]), Some(10));
        assert_eq!(heard(&[(100, 10), (100, 4_000), (99, 5_000)]), Some(10));
        assert_eq!(heard(&[(100, 10), (105, 5_010)]), Some(5_010));
    }

    #[test]
    fn news_that_was_long_on_its_way_is_as_old_as_what_it_tells() {
        // The network held the second answer back for three seconds, less what the clock may have lost.
        assert_eq!(heard(&[(100, 0), (105, 8_000)]), Some(5_008));
        // For twenty: it is taken for another clock's, and for no news.
        assert_eq!(heard(&[(100, 0), (105, 25_000)]), Some(0));
    }

    /// How old the news is with the last of these answers, in milliseconds.
    fn age(answers: impl Iterator<Item = (i64, i64)>) -> i64 {
        let answers: Vec<_> = answers.collect();
        let at = heard(&answers).expect("news").cast_signed();
        answers.last().expect("answers").1 - at
    }

    #[test]
    fn a_clock_that_was_put_back_costs_its_seconds_for_a_while_only() {
        let age_after = |seconds: i64| {
            let back = |now| if now >= 60_000 { 4 } else { 0 };
            let beats = (0..=60_000 + seconds * 1000).step_by(5_000);
            age(beats.map(|now| (100 + now / 1000 - back(now), now)))
        };
        assert_eq!(age_after(-5), 0);
        assert_eq!(age_after(0), 3_995);
        assert_eq!(age_after(2_000), 1_995);
        assert_eq!(age_after(4_000), 0);
    }

    #[test]
    fn a_clock_that_goes_slow_costs_nothing() {
        let beats = (0..24 * 60 * 60 * 1000).step_by(5_000);
        // By fifty parts in a million, which are four seconds a day.
        let told = |now: i64| (100_000 + now - now / 20_000) / 1000;
        let age = age(beats.map(|now| (told(now), now)));
        assert!(age < 1_000, "{age}");
    }

    #[test]
    fn a_path_that_becomes_slow_hides_no_more_than_a_part_of_the_time() {
        for seconds in (5..=400).step_by(5) {
            let beats = (0..=seconds * 1000).step_by(5_000);
            // At once by four seconds, or later and later.
            let sudden = age(beats
                .clone()
                .map(|now| (100 + now / 1000, now + if now > 0 { 4_000 } else { 0 })));
            assert!(sudden >= 4_000 - (seconds + 4) * 5, "{seconds}: {sudden}");
            let growing = age(beats.map(|now| (100 + now / 1000, now + now / 100)));
            assert!(
                growing >= seconds * 10 - seconds * 6,
                "{seconds}: {growing}"
            );
        }
    }

    #[test]
    fn a_node_that_was_not_heard_for_long_is_known_again() {
        let mut answers = vec![(100, 0)];
        answers.extend((1..120).map(|beat| (400 + beat * 5, beat * 5_000)));
        answers.push((703, 603_000));
        assert_eq!(heard(&answers), Some(603_000));
    }

    #[test]
    fn absurd_times_are_heard_unharmed() {
        let absurd = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        for first in absurd {
            for second in absurd {
                let answers = [(first, 10), (second, 20), (first, 5_000), (100, 6_000)];
                assert!(heard(&answers).is_some_and(|at| at <= 6_000), "{answers:?}");
            }
        }
        let late = [(i64::MAX, 0), (i64::MIN, i64::MAX), (0, i64::MAX)];
        assert!(heard(&late).is_some());
    }

    #[test]
    fn a_node_whose_clock_is_minutes_off_is_news_when_its_clock_moves() {
        for off in [-300, 300] {
            let first = [(100, 0), (105, 5_000), (106 + off, 6_000)];
            assert_eq!(heard(&first), Some(5_000), "{off}");
            let moved = [&first[..], &[(108 + off, 8_000)]].concat();
            assert_eq!(heard(&moved), Some(8_000), "{off}");
            // One that stands still is none, however often it is heard.
            let frozen = [&first[..], &[(106 + off, 9_000), (106 + off, 60_000)]].concat();
            assert_eq!(heard(&frozen), Some(5_000), "{off}");
        }
    }

    #[test]
    fn nodes_that_answer_in_turns_are_told_apart() {
        let mut answers = Vec::new();
        for round in 0..10 {
            let at = round * 4;
            answers.push((100 + at, at * 1000));
            answers.push((400 + at + 2, (at + 2) * 1000));
        }
        assert_eq!(heard(&answers), Some(38_000));
        // The one is cut off; its answers are no news, the other's are.
        let cut = [&answers[..], &[(136, 40_000), (442, 42_000), (136, 44_000)]].concat();
        assert_eq!(heard(&cut), Some(42_000));
    }
}
