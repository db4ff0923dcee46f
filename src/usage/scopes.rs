//! How often a client was given a scope and used it, by the day.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::day::Day;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::scope::{Scope, ScopeSet};
use crate::store::scope_usage::{Count, Counted};

/// Counts since they were last taken.
///
/// One lock for all: it is held for a few look-ups, or while some are taken.
#[derive(Debug, Default)]
pub(super) struct ScopeCounts(Mutex<Waiting>);

/// What waits to be written.
#[derive(Debug, Default)]
struct Waiting {
    counts: HashMap<(Day, ClientId), Scopes>,
    /// In the order of their first count: the longest waiting is taken first.
    order: VecDeque<(Day, ClientId)>,
}

type Scopes = BTreeMap<Scope, Count>;

impl ScopeCounts {
    pub(super) fn asked(&self, client: &ClientId, scopes: &ScopeSet, now: Instant) {
        self.count(client, now, |counts| {
            for scope in scopes.iter() {
                match counts.get_mut(scope) {
                    Some(count) => count.asked += 1,
                    None => {
                        counts.insert(scope.clone(), Count { asked: 1, used: 0 });
                    }
                }
            }
        });
    }

    pub(super) fn used(&self, client: &ClientId, scope: &str, now: Instant) {
        self.count(client, now, |counts| match counts.get_mut(scope) {
            Some(count) => count.used += 1,
            None => {
                if let Ok(scope) = scope.parse() {
                    counts.insert(scope, Count { asked: 0, used: 1 });
                }
            }
        });
    }

    /// Counts something of a client. Nothing is copied unless it is its first since the last taking.
    fn count(&self, client: &ClientId, now: Instant, work: impl FnOnce(&mut Scopes)) {
        // An id is shared, not copied.
        let key = (Day::of(now), client.clone());
        let mut waiting = self.lock();
        match waiting.counts.get_mut(&key) {
            Some(scopes) => work(scopes),
            None => {
                let mut scopes = Scopes::new();
                work(&mut scopes);
                waiting.order.push_back(key.clone());
                waiting.counts.insert(key, scopes);
            }
        }
    }

    /// Takes the counts that have waited longest, about `most` of them, in the order of their keys.
    pub(super) fn take(&self, most: usize) -> Vec<Counted> {
        let mut waiting = self.lock();
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(key) = waiting.order.pop_front() else {
                break;
            };
            let scopes = waiting.counts.remove(&key).unwrap_or_default();
            let (day, client_id) = key;
            taken.extend(scopes.into_iter().map(|(scope, count)| Counted {
                client_id: client_id.clone(),
                day,
                scope,
                count,
            }));
        }
        drop(waiting);
        // Two nodes that write the same rows take them in the same order, and do not deadlock.
        taken.sort_by(|a, b| (&a.client_id, a.day, &a.scope).cmp(&(&b.client_id, b.day, &b.scope)));
        taken
    }

    /// Takes counts back that could not be written.
    pub(super) fn put_back(&self, counted: Vec<Counted>) {
        let mut waiting = self.lock();
        for one in counted {
            let key = (one.day, one.client_id);
            if !waiting.counts.contains_key(&key) {
                waiting.order.push_back(key.clone());
            }
            let scopes = waiting.counts.entry(key).or_default();
            *scopes.entry(one.scope).or_default() += one.count;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::realm::Realm;

    fn at(seconds: i64) -> Instant {
        Instant::from_epoch_seconds(1_799_971_199 + seconds)
    }

    fn lines(counted: &[Counted]) -> Vec<String> {
        let line =
            |c: &Counted| format!("{} {} {}/{}", c.day, c.scope, c.count.asked, c.count.used);
        counted.iter().map(line).collect()
    }

    #[test]
    fn what_is_counted_is_taken_once_by_the_day_and_scope() {
        let counts = ScopeCounts::default();
        let client = ClientId::generate(Realm::Sandbox, at(0));
        let both: ScopeSet = "orders:read orders:create".parse().unwrap();
        counts.asked(&client, &both, at(0));
        counts.used(&client, "orders:read", at(0));
        counts.used(&client, "orders:read", at(0));
        // The next day begins.
        counts.used(&client, "orders:read", at(1));
        let taken = counts.take(100);
        let expected = [
            "2027-01-14 orders:create 1/0",
            "2027-01-14 orders:read 1/2",
            "2027-01-15 orders:read 0/1",
        ];
        assert_eq!(lines(&taken), expected);
        assert!(counts.take(100).is_empty());
    }

    #[test]
    fn what_could_not_be_written_is_not_lost() {
        let counts = ScopeCounts::default();
        let client = ClientId::generate(Realm::Sandbox, at(0));
        counts.used(&client, "orders:read", at(0));
        let taken = counts.take(100);
        counts.used(&client, "orders:read", at(0));
        counts.put_back(taken);
        assert_eq!(lines(&counts.take(100)), ["2027-01-14 orders:read 0/2"]);
    }
}
