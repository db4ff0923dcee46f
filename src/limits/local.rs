//! Buckets in this process's memory.
//!
//! They lie in many small maps, each under a lock of its own: what is decided about one request under it is
//! one step. A full bucket is as good as none, so those that nobody charges go, a map at a time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bucket::{Bucket, Trial};
use super::{Ask, Decision, Moment, Over, Reading};
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::limits::{LimitName, Rate};
use crate::domain::realm::Realm;

/// How many maps a realm has: so many that threads seldom meet, and one is swept in microseconds.
const SHARDS: usize = 128;
/// How long it takes until every map was looked through.
const ROUND: Duration = Duration::from_secs(10);

/// Buckets in this process's memory.
pub struct Local {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    /// When the next map is looked through, in nanoseconds.
    next_sweep: AtomicU64,
    /// Which it is.
    to_sweep: AtomicUsize,
}

type Shard = HashMap<PartnerId, Account>;

/// What a partner has been let through in a realm.
#[derive(Debug, Default)]
struct Account {
    whole: Buckets,
    clients: HashMap<ClientId, Buckets>,
}

/// Those that exist, of a partner or of a client: a handful.
type Buckets = Vec<(LimitName, Bucket)>;

impl Default for Local {
    fn default() -> Self {
        let shards = SHARDS * Realm::ALL.len();
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next_sweep: AtomicU64::new(0),
            to_sweep: AtomicUsize::new(0),
        }
    }
}

impl Local {
    /// Charges a request to every bucket that concerns it, or to none.
    pub fn decide(&self, ask: &Ask<'_>, now: Moment) -> Decision {
        self.decide_share(ask, 1, now)
    }

    /// The same for one of so many nodes, which have an equal share of every limit each.
    pub(super) fn decide_share(&self, ask: &Ask<'_>, nodes: u32, now: Moment) -> Decision {
        self.sweep_if_due(now);
        let mut shard = self.shard(ask);
        if let Some(account) = shard.get_mut(ask.partner) {
            return account.decide(ask, nodes, now);
        }
        let mut account = Account::default();
        let decision = account.decide(ask, nodes, now);
        shard.insert(ask.partner.clone(), account);
        decision
    }

    /// How the limits stand that would concern a request. Charges nothing.
    pub fn look(&self, ask: &Ask<'_>, now: Moment) -> Vec<Reading> {
        self.look_share(ask, 1, now)
    }

    /// The same for one of so many nodes.
    pub(super) fn look_share(&self, ask: &Ask<'_>, nodes: u32, now: Moment) -> Vec<Reading> {
        let mut shard = self.shard(ask);
        let account = shard.get_mut(ask.partner);
        let mut none = Account::default();
        let account = account.unwrap_or(&mut none);
        let rates = shares(ask, nodes);
        let look = |(name, rate)| {
            let bucket = account.bucket(name, rate, ask.client, now);
            let refills_for = bucket.refills_for(now);
            read(name, rate, bucket, refills_for, now)
        };
        rates.map(look).collect()
    }

    /// Lets go of all that is full; how many partners have something that is not.
    pub fn sweep(&self, now: Moment) -> usize {
        self.shards.iter().map(|shard| sweep(shard, now)).sum()
    }

    /// How many partners are held, full or not.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Looks one map through where its time has come; of those who come by, one does it.
    fn sweep_if_due(&self, now: Moment) {
        let due = self.next_sweep.load(Ordering::Relaxed);
        if now.0 < due {
            return;
        }
        let pace = ROUND.div_f64(self.shards.len() as f64);
        let next = now.plus(pace).0;
        let mine =
            self.next_sweep
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            let turn = self.to_sweep.fetch_add(1, Ordering::Relaxed);
            if let Some(shard) = self.shards.get(turn % self.shards.len()) {
                sweep(shard, now);
            }
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "there are SHARDS maps a realm, and the place is below that"
    )]
    fn shard(&self, ask: &Ask<'_>) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(ask.partner.as_str()) as usize;
        lock(&self.shards[(hash % SHARDS) * Realm::ALL.len() + ask.realm as usize])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sweep(shard: &Mutex<Shard>, now: Moment) -> usize {
    let mut shard = lock(shard);
    shard.retain(|_, account| !account.is_full(now));
    // A busy hour's room is given back.
    if shard.capacity() > 4 * shard.len().max(8) {
        shard.shrink_to_fit();
    }
    shard.len()
}

impl Account {
    fn decide(&mut self, ask: &Ask<'_>, nodes: u32, now: Moment) -> Decision {
        let mut decision = Decision::default();
        let mut fits = [Duration::ZERO; 3];
        let rates = || shares(ask, nodes);
        for ((name, rate), fits) in rates().zip(&mut fits) {
            match self.bucket(name, rate, ask.client, now).weigh(now) {
                Trial::Fits(after) => *fits = after,
                Trial::Over(wait) => {
                    // The longest wait: who comes again after it fits into all.
                    if decision.over.is_none_or(|over| over.retry_after < wait) {
                        decision.over = Some(Over {
                            limit: name,
                            retry_after: wait,
                        });
                    }
                }
            }
        }
        let charged = decision.fits();
        for ((name, rate), after) in rates().zip(fits) {
            let bucket = self.bucket(name, rate, ask.client, now);
            if charged {
                bucket.charge(after, now);
            }
            let refills_for = bucket.refills_for(now);
            decision
                .readings
                .push(read(name, rate, bucket, refills_for, now));
        }
        decision
    }

    /// The bucket of a limit, at the rate that holds now.
    fn bucket(
        &mut self,
        name: LimitName,
        rate: Rate,
        client: &ClientId,
        now: Moment,
    ) -> &mut Bucket {
        let buckets = match name {
            LimitName::ClientRequests | LimitName::ClientTokens => {
                if !self.clients.contains_key(client) {
                    self.clients.insert(client.clone(), Buckets::default());
                }
                self.clients.entry(client.clone()).or_default()
            }
            _ => &mut self.whole,
        };
        let known = buckets.iter().position(|(of, _)| *of == name);
        let place = known.unwrap_or_else(|| {
            buckets.push((name, Bucket::full(rate, now)));
            buckets.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found, or pushed just now")]
        let (_, bucket) = &mut buckets[place];
        bucket.adapt(rate, now);
        bucket
    }

    /// Whether all of it is full; what is full of it goes.
    fn is_full(&mut self, now: Moment) -> bool {
        let is_full = |buckets: &Buckets| buckets.iter().all(|(_, bucket)| bucket.is_full(now));
        self.clients.retain(|_, buckets| !is_full(buckets));
        self.clients.is_empty() && is_full(&self.whole)
    }
}

/// The rates that concern a request, divided among so many nodes.
fn shares<'a>(ask: &Ask<'a>, nodes: u32) -> impl Iterator<Item = (LimitName, Rate)> + use<'a> {
    let rates = ask.limits.figures.rates(ask.class);
    rates.map(move |(name, rate)| match nodes {
        1 => (name, rate),
        nodes => (name, rate.divided(nodes)),
    })
}

fn read(
    name: LimitName,
    rate: Rate,
    bucket: &Bucket,
    refills_for: Duration,
    now: Moment,
) -> Reading {
    let remaining = bucket.remaining(refills_for);
    let reset = match bucket.weigh(now) {
        Trial::Over(wait) => wait,
        Trial::Fits(_) => refills_for,
    };
    Reading::of(name, rate, remaining, reset)
}
