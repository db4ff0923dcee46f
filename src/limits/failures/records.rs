//! A bounded table of failures by key, that forgets what matters least.
//!
//! Keys are hashes under a key of this process, so nobody can choose whose neighbour he is. Each has sixteen
//! places; where all are taken, the one with the least failures goes, the oldest of those, and never before
//! one that is blocked. Who comes in its place takes its failures over (as in the Space-Saving sketch): what
//! is counted is never less than what happened, so flooding the table makes its guests stricter and not looser.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::instant::Instant;

const WAYS: usize = 16;

/// When failures begin to block, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// With how many failures the first block begins.
    pub(super) most: u32,
    /// In which time one failure is forgiven, while nothing is blocked.
    pub(super) forgiven_in: Duration,
    /// The first block; each further one is twice as long.
    pub(super) first: Duration,
    /// No block is longer.
    pub(super) longest: Duration,
    /// How long after a block the next one is shorter by a half again.
    pub(super) eased_in: Duration,
}

impl Rule {
    fn block(&self, strikes: u32) -> i64 {
        let doubled = 1u32.checked_shl(strikes.saturating_sub(1));
        let length = doubled.and_then(|times| self.first.checked_mul(times));
        micros(length.map_or(self.longest, |length| length.min(self.longest)))
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// What is known of a key; all zero: a place that is free.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    key: u64,
    failures: u32,
    /// Blocks that are not forgiven yet.
    strikes: u32,
    /// Since when failures are forgiven, in microseconds since 1970.
    since: i64,
    /// When the last block ends, or ended; moves on as strikes are forgiven.
    until: i64,
}

impl Record {
    /// The end of a block that is on. One that is longer than any was begun under a clock that was wrong.
    fn blocked_until(&self, rule: &Rule, now: i64) -> Option<i64> {
        let left = self.until.saturating_sub(now);
        (left > 0 && left <= micros(rule.longest)).then_some(self.until)
    }

    /// Forgives what time has forgiven.
    fn settle(&mut self, rule: &Rule, now: i64) {
        if self.blocked_until(rule, now).is_some() {
            return;
        }
        self.since = self.since.min(now);
        self.until = self.until.min(now);
        let drained = (now - self.since) / micros(rule.forgiven_in).max(1);
        self.failures = less(self.failures, drained);
        self.since += drained * micros(rule.forgiven_in);
        let eased = (now - self.until) / micros(rule.eased_in).max(1);
        self.strikes = less(self.strikes, eased);
        self.until += eased * micros(rule.eased_in);
    }

    /// Counts a failure; `true`: it begins a block. What happens while one is on does not count, so that
    /// who asks again and again, as machines do, is not blocked for ever by asking.
    fn fail(&mut self, rule: &Rule, now: i64) -> bool {
        if self.blocked_until(rule, now).is_some() {
            return false;
        }
        self.settle(rule, now);
        self.failures += 1;
        if self.failures < rule.most {
            return false;
        }
        // One below: the first failure after the block begins the next.
        self.failures = rule.most.saturating_sub(1);
        self.strikes += 1;
        self.until = now.saturating_add(rule.block(self.strikes));
        self.since = self.until;
        true
    }

    /// What its going would lose.
    fn weight(&self, rule: &Rule, now: i64) -> (bool, u32, i64) {
        let is_blocked = self.blocked_until(rule, now).is_some();
        let failures = self.strikes.saturating_mul(rule.most) + self.failures;
        (is_blocked, failures, self.since)
    }
}

fn less(count: u32, by: i64) -> u32 {
    count.saturating_sub(u32::try_from(by).unwrap_or(u32::MAX))
}

type Places = [Record; WAYS];

/// Failures by key.
pub(super) struct Records {
    rule: Rule,
    sets: Box<[Mutex<Places>]>,
}

impl Records {
    /// Room for at least so many keys.
    pub(super) fn new(rule: Rule, room: usize) -> Self {
        let sets = room.div_ceil(WAYS).max(1);
        Self {
            rule,
            sets: (0..sets).map(|_| Mutex::default()).collect(),
        }
    }

    /// Until when a key is blocked.
    pub(super) fn blocked_until(&self, key: u64, now: Instant) -> Option<i64> {
        let places = self.places(key)?;
        let known = places.iter().find(|record| record.key == key)?;
        known.blocked_until(&self.rule, now.epoch_micros())
    }

    /// Counts a failure; `true`: it begins a block.
    pub(super) fn fail(&self, key: u64, now: Instant) -> bool {
        let (rule, now) = (&self.rule, now.epoch_micros());
        let Some(mut places) = self.places(key) else {
            return false;
        };
        if let Some(known) = places.iter_mut().find(|record| record.key == key) {
            return known.fail(rule, now);
        }
        for record in places.iter_mut() {
            record.settle(rule, now);
        }
        let Some(least) = places.iter_mut().min_by_key(|r| r.weight(rule, now)) else {
            return false;
        };
        *least = Record {
            key,
            failures: least.failures,
            strikes: 0,
            since: now,
            until: 0,
        };
        least.fail(rule, now)
    }

    fn places(&self, key: u64) -> Option<MutexGuard<'_, Places>> {
        let nth = (key >> 32) % u64::try_from(self.sets.len()).ok()?.max(1);
        let set = self.sets.get(usize::try_from(nth).ok()?)?;
        Some(set.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many keys are remembered at most.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.sets.len() * WAYS
    }
}
