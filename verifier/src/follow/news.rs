//! How old the news of revocations is.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the issuer's node last said that it had heard its database.
///
/// Its `as_of` is by its clock, which may be wrong; so only that it moves counts, and the age is
/// that of the moment at which it moved, by this machine's monotonic clock.
#[derive(Debug)]
pub(crate) struct News {
    started: Instant,
    as_of: AtomicI64,
    /// Milliseconds after `started`, and one more; 0: never.
    heard: AtomicU64,
}

impl News {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            as_of: AtomicI64::new(i64::MIN),
            heard: AtomicU64::new(0),
        }
    }

    /// Takes in what the issuer says of itself. Seconds that do not move are no news.
    pub(crate) fn hear(&self, as_of: i64) {
        if self.as_of.fetch_max(as_of, Ordering::AcqRel) < as_of {
            let at = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.heard.fetch_max(at.saturating_add(1), Ordering::AcqRel);
        }
    }

    /// The issuer's feed begins anew: its clock may, too.
    pub(crate) fn begin_anew(&self) {
        self.as_of.store(i64::MIN, Ordering::Release);
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

    #[test]
    fn only_a_clock_that_moves_is_news() {
        let news = News::new();
        assert_eq!(news.age(), None);
        news.hear(100);
        std::thread::sleep(Duration::from_millis(30));
        news.hear(100);
        news.hear(99);
        assert!(
            news.age()
                .is_some_and(|age| age >= Duration::from_millis(30))
        );
        news.hear(101);
        assert!(
            news.age()
                .is_some_and(|age| age < Duration::from_millis(30))
        );
    }
}
