//! How often a client was given a scope and used it, by the day.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::day::Day;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::scope::{Scope, ScopeSet};
use crate::store::scope_usage::{Count, Counted};

/// Counts since they were last taken.
///
/// One lock for all: it is held for a few look-ups, and for a move when the counts are taken.
#[derive(Debug, Default)]
pub(super) struct ScopeCounts(Mutex<BTreeMap<Day, Clients>>);

type Clients = HashMap<ClientId, Scopes>;
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
        let mut days = self.lock();
        let clients = days.entry(Day::of(now)).or_default();
        match clients.get_mut(client) {
            Some(scopes) => work(scopes),
            None => {
                let mut scopes = Scopes::new();
                work(&mut scopes);
                clients.insert(client.clone(), scopes);
            }
        }
    }

    /// Takes all counts, in the order of their keys.
    pub(super) fn take(&self) -> Vec<Counted> {
        let days = std::mem::take(&mut *self.lock());
        let mut taken = Vec::new();
        for (day, clients) in days {
            for (client_id, scopes) in clients {
                taken.extend(scopes.into_iter().map(|(scope, count)| Counted {
                    client_id: client_id.clone(),
                    day,
                    scope,
                    count,
                }));
            }
        }
        // Two nodes that write the same rows take them in the same order, and do not deadlock.
        taken.sort_by(|a, b| (&a.client_id, a.day, &a.scope).cmp(&(&b.client_id, b.day, &b.scope)));
        taken
    }

    /// Takes counts back that could not be written.
    pub(super) fn put_back(&self, counted: Vec<Counted>) {
        let mut days = self.lock();
        for one in counted {
            let clients = days.entry(one.day).or_default();
            let scopes = clients.entry(one.client_id).or_default();
            *scopes.entry(one.scope).or_default() += one.count;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Day, Clients>> {
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
        let taken = counts.take();
        let expected = [
            "2027-01-14 orders:create 1/0",
            "2027-01-14 orders:read 1/2",
            "2027-01-15 orders:read 0/1",
        ];
        assert_eq!(lines(&taken), expected);
        assert!(counts.take().is_empty());
    }

    #[test]
    fn what_could_not_be_written_is_not_lost() {
        let counts = ScopeCounts::default();
        let client = ClientId::generate(Realm::Sandbox, at(0));
        counts.used(&client, "orders:read", at(0));
        let taken = counts.take();
        counts.used(&client, "orders:read", at(0));
        counts.put_back(taken);
        assert_eq!(lines(&counts.take()), ["2027-01-14 orders:read 0/2"]);
    }
}
