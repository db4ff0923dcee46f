//! How much of its quotas each partner has used: what the database says of all nodes, and what this one has counted
//! since.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::instant::Instant;
use crate::domain::quota::Quota;
use crate::domain::tenant::Tenant;
use crate::store::usage_counters::{Addition, Counter};

/// How long counts of a period that is over are kept in memory.
const LATE: Duration = Duration::from_secs(60);

/// Counts of this process, by counter. One lock for all: it is held for a few look-ups.
#[derive(Debug, Default)]
pub(super) struct QuotaCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_counter: HashMap<Counter, Count>,
    /// The latest moment at which anything was counted.
    latest: Option<Instant>,
    /// Up to when counts of over periods were looked for.
    swept: Option<Instant>,
}

/// One counter.
#[derive(Debug, Default)]
struct Count {
    /// What the database said last, of all nodes. `None`: it was not asked yet.
    known: Option<i64>,
    /// Counted here, and not written down.
    waiting: i64,
    /// Being written down.
    writing: i64,
    /// What the partner is warned against.
    limit: Option<i64>,
}

impl Count {
    fn used(&self) -> i64 {
        self.known.unwrap_or(0) + self.writing + self.waiting
    }
}

/// A quota as it stands: what may be used of it, and what is, the present request included if it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub quota: Quota,
    /// `None`: there is no limit.
    pub limit: Option<i64>,
    pub used: i64,
}

impl Used {
    /// What is left. `None`: there is no limit.
    pub fn left(&self) -> Option<i64> {
        self.limit.map(|limit| (limit - self.used).max(0))
    }
}

/// What came of counting one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged<const N: usize> {
    pub quotas: [Used; N],
    /// The first quota of which nothing was left.
    pub full: Option<Quota>,
    /// Whether it was counted.
    pub counted: bool,
}

impl QuotaCounts {
    /// Counts one more of each of these quotas; of none where one of them is used up, unless none is enforced.
    pub(super) fn charge<const N: usize>(
        &self,
        tenant: &Tenant,
        quotas: [(Quota, Option<i64>); N],
        enforced: bool,
        now: Instant,
    ) -> Charged<N> {
        let mut counts = self.lock();
        counts.latest = counts.latest.max(Some(now));
        let counters = quotas.map(|(quota, limit)| (Counter::at(tenant, quota, now), limit));
        let mut full = None;
        let mut stand = counters.each_ref().map(|(counter, limit)| {
            let (quota, limit) = (counter.quota, *limit);
            let count = counts.by_counter.entry(counter.clone()).or_default();
            count.limit = limit;
            let used = count.used();
            if full.is_none() && limit.is_some_and(|limit| used >= limit) {
                full = Some(quota);
            }
            Used { quota, limit, used }
        });
        let counted = full.is_none() || !enforced;
        if counted {
            for (one, (counter, _)) in stand.iter_mut().zip(&counters) {
                one.used += 1;
                if let Some(count) = counts.by_counter.get_mut(counter) {
                    count.waiting += 1;
                }
            }
        }
        Charged {
            quotas: stand,
            full,
            counted,
        }
    }

    /// Whether the database was not asked about one of these quotas yet.
    pub(super) fn is_unknown(&self, tenant: &Tenant, quotas: &[Quota], now: Instant) -> bool {
        let counts = self.lock();
        quotas.iter().any(|quota| {
            let counter = Counter::at(tenant, *quota, now);
            let count = counts.by_counter.get(&counter);
            count.is_none_or(|count| count.known.is_none())
        })
    }

    /// Takes in what the database says of a counter, unless it has said so before.
    pub(super) fn learn(&self, counter: Counter, used: i64) {
        let mut counts = self.lock();
        counts
            .by_counter
            .entry(counter)
            .or_default()
            .known
            .get_or_insert(used);
    }

    /// What is used of a quota, as far as is known.
    pub(super) fn used(&self, counter: &Counter) -> i64 {
        let counts = self.lock();
        counts.by_counter.get(counter).map_or(0, Count::used)
    }

    /// Takes all that is to be written down, in the counters' order: two nodes that write the same rows do not
    /// deadlock.
    pub(super) fn take(&self) -> (Vec<Addition>, Option<Instant>) {
        let mut counts = self.lock();
        counts.sweep();
        let waiting = counts
            .by_counter
            .iter_mut()
            .filter(|(_, count)| count.waiting != 0 && count.writing == 0);
        let mut taken: Vec<Addition> = waiting
            .map(|(counter, count)| {
                count.writing = std::mem::take(&mut count.waiting);
                Addition {
                    counter: counter.clone(),
                    amount: count.writing,
                    limit: count.limit,
                }
            })
            .collect();
        taken.sort_by(|one, other| one.counter.cmp(&other.counter));
        (taken, counts.latest)
    }

    /// What was taken is written down: so much is used of each, by all nodes.
    pub(super) fn written(&self, taken: Vec<Addition>, used: Vec<Option<i64>>) {
        let mut counts = self.lock();
        for (addition, used) in taken.into_iter().zip(used) {
            if let Some(count) = counts.by_counter.get_mut(&addition.counter) {
                count.writing = 0;
                count.known = used.or(count.known);
            }
        }
    }

    /// What was taken could not be written down, and is counted on.
    pub(super) fn put_back(&self, taken: Vec<Addition>) {
        let mut counts = self.lock();
        for addition in taken {
            if let Some(count) = counts.by_counter.get_mut(&addition.counter) {
                count.waiting += std::mem::take(&mut count.writing);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Drops what is over and written down, now and then.
    fn sweep(&mut self) {
        let Some(latest) = self.latest else {
            return;
        };
        if self.swept.is_some_and(|swept| swept.plus(LATE) > latest) {
            return;
        }
        self.swept = Some(latest);
        self.by_counter.retain(|counter, count| {
            let is_over = counter.period.ends_at().plus(LATE) < latest;
            !is_over || count.waiting != 0 || count.writing != 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::PartnerId;
    use crate::domain::realm::Realm;

    const BOTH: [Quota; 2] = [Quota::RequestsPerDay, Quota::RequestsPerMonth];

    fn at(seconds: i64) -> Instant {
        // 2027-01-14T23:59:59Z
        Instant::from_epoch_seconds(1_799_971_199 + seconds)
    }

    fn tenant() -> Tenant {
        Tenant::of_record(PartnerId::generate(at(0)), Realm::Live)
    }

    fn charge(
        counts: &QuotaCounts,
        who: &Tenant,
        limit: i64,
        enforced: bool,
        now: Instant,
    ) -> Charged<2> {
        counts.charge(who, BOTH.map(|quota| (quota, Some(limit))), enforced, now)
    }

    #[test]
    fn a_quota_is_used_up_once_whatever_waits_to_be_written() {
        let (counts, who) = (QuotaCounts::default(), tenant());
        counts.learn(Counter::at(&who, BOTH[0], at(0)), 2);
        counts.learn(Counter::at(&who, BOTH[0], at(0)), 0);
        assert_eq!(
            charge(&counts, &who, 4, true, at(0)).quotas[0].left(),
            Some(1)
        );
        let (taken, _) = counts.take();
        assert_eq!(
            taken.iter().map(|one| one.amount).collect::<Vec<_>>(),
            [1, 1]
        );
        let last = charge(&counts, &who, 4, true, at(0));
        assert_eq!(
            (last.full, last.quotas[0].used, last.quotas[1].used),
            (None, 4, 2)
        );
        // Nothing of the month is counted where the day is full.
        let refused = charge(&counts, &who, 4, true, at(0));
        assert_eq!((refused.full, refused.counted), (Some(BOTH[0]), false));
        // Meanwhile another node has used three.
        counts.written(taken, vec![Some(6), Some(1)]);
        let refused = charge(&counts, &who, 7, true, at(0));
        assert_eq!((refused.full, refused.quotas[0].used), (Some(BOTH[0]), 7));
        // In the shadow it is said, and counted.
        let shadow = charge(&counts, &who, 7, false, at(0));
        assert_eq!(
            (shadow.full, shadow.counted, shadow.quotas[0].used),
            (Some(BOTH[0]), true, 8)
        );
        // The next day begins, of the same month.
        let next = charge(&counts, &who, 7, true, at(1));
        assert_eq!(next.quotas.map(|one| one.used), [1, 4]);
    }

    #[test]
    fn what_could_not_be_written_is_counted_on() {
        let (counts, who) = (QuotaCounts::default(), tenant());
        charge(&counts, &who, 9, true, at(0));
        let (taken, _) = counts.take();
        charge(&counts, &who, 9, true, at(0));
        // What is being written is not taken twice.
        assert!(counts.take().0.is_empty());
        counts.put_back(taken);
        let (taken, latest) = counts.take();
        assert_eq!(
            taken.iter().map(|one| one.amount).collect::<Vec<_>>(),
            [2, 2]
        );
        assert_eq!(latest, Some(at(0)));
        let counter = Counter::at(&who, BOTH[0], at(0));
        assert_eq!(counts.used(&counter), 2);
        counts.written(taken, vec![Some(2), Some(2)]);
        assert_eq!(counts.used(&counter), 2);
        assert!(counts.take().0.is_empty());
    }

    #[test]
    fn days_that_are_over_leave_the_memory_once_they_are_written() {
        let (counts, who) = (QuotaCounts::default(), tenant());
        charge(&counts, &who, 9, true, at(0));
        charge(&counts, &who, 9, true, at(3600));
        let (taken, _) = counts.take();
        assert_eq!(taken.len(), 3);
        assert_eq!(counts.lock().by_counter.len(), 3);
        counts.written(taken, vec![Some(1), Some(2), Some(1)]);
        charge(&counts, &who, 9, true, at(7200));
        counts.take();
        let held = counts.lock().by_counter.len();
        assert_eq!(held, 2);
    }
}
