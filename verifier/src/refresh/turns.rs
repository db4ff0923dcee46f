//! When callers may have the keys fetched: not as often as whoever forges tokens would like.

use tokio::time::Instant;

use super::Pace;

/// When callers may bring about a fetch.
pub(super) struct Turns {
    pace: Pace,
    /// When the next may.
    rested: Instant,
    /// A key was revoked, and until then those are missed that follow it.
    missed_until: Option<Instant>,
}

impl Turns {
    pub(super) fn new(pace: Pace, now: Instant) -> Self {
        Self {
            pace,
            rested: now,
            missed_until: None,
        }
    }

    /// The issuer has said that a key was revoked.
    pub(super) fn revoked(&mut self, now: Instant) {
        // Where keys are missed already the next turn is near: revocations that come one by one are
        // not to cost a fetch each.
        if self.missed_until.is_none() {
            self.rested = now;
        }
        self.missed_until = Some(now + self.pace.missed_for);
    }

    /// The keys that follow a revoked one are there.
    pub(super) fn found(&mut self) {
        self.missed_until = None;
    }

    pub(super) fn may_fetch(&self, now: Instant) -> bool {
        now >= self.rested
    }

    /// A caller has brought about a fetch.
    pub(super) fn rest(&mut self, now: Instant) {
        // Not for ever: where a key was revoked that signed no longer none may follow, and whoever
        // forges names of keys would have them fetched every second.
        self.missed_until = self.missed_until.filter(|until| now < *until);
        self.rested = now
            + match self.missed_until {
                Some(_) => self.pace.between_tries,
                None => self.pace.between_asks,
            };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// At which seconds fetches are brought about by who asks ten times a second for two minutes,
    /// after a key was revoked and the keys that follow were found with so many fetches.
    fn fetches(found_with: Option<usize>) -> Vec<u64> {
        let start = Instant::now();
        let mut turns = Turns::new(Pace::default(), start);
        turns.rest(start);
        turns.revoked(start);
        let mut fetches = Vec::new();
        for tenth in 0..1200 {
            let now = start + Duration::from_millis(tenth * 100);
            if turns.may_fetch(now) {
                fetches.push(now.duration_since(start).as_secs());
                if found_with == Some(fetches.len()) {
                    turns.found();
                }
                turns.rest(now);
            }
        }
        fetches
    }

    #[test]
    fn missed_keys_are_fetched_once_a_second_and_not_for_ever() {
        assert_eq!(fetches(Some(1)), [0, 30, 60, 90]);
        assert_eq!(fetches(Some(3)), [0, 1, 2, 32, 62, 92]);
        let mut never: Vec<_> = (0..=30).collect();
        never.extend([60, 90]);
        assert_eq!(fetches(None), never);
    }

    #[test]
    fn many_revocations_are_no_reason_for_many_fetches() {
        let start = Instant::now();
        let mut turns = Turns::new(Pace::default(), start);
        turns.revoked(start);
        turns.rest(start);
        turns.revoked(start);
        assert!(!turns.may_fetch(start));
        assert!(turns.may_fetch(start + Duration::from_secs(1)));
    }
}
