//! Buckets in this process's memory.
//!
//! They lie in many small maps, each under a lock of its own: what is decided about one request under it is
//! one step. A full bucket is as good as none, so those that nobody charges go, a map at a time.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bucket::{Bucket, Trial};
use super::{Ask, Decision, Moment, Over, Part, Reading};
use crate::domain::limits::{LimitName, Percent, Rate};
use crate::domain::realm::Realm;

/// How many maps a realm has: so many that threads seldom meet, and one is swept in microseconds.
const SHARDS: usize = 128;
/// How many nanoseconds it takes until every map was looked through.
const ROUND: u64 = 10_000_000_000;

/// Buckets in this process's memory.
pub struct Local {
    shards: Vec<Mutex<Shard>>,
    /// When the next map is looked through, in nanoseconds.
    next_sweep: AtomicU64,
    /// Which it is.
    to_sweep: AtomicUsize,
}

/// By the ids' ULIDs, which are compared without a look at texts that lie elsewhere.
type ById<T> = HashMap<u128, T, BuildHasherDefault<Fold>>;
type Shard = ById<Account>;

/// What a partner has been let through in a realm.
#[derive(Debug, Default)]
struct Account {
    whole: Buckets,
    parts: ById<Buckets>,
}

/// Those of a partner or of a part of it, as far as there are any.
#[derive(Debug, Default)]
struct Buckets {
    requests: Option<Bucket>,
    reads: Option<Bucket>,
    writes: Option<Bucket>,
    tokens: Option<Bucket>,
    messages: Option<Bucket>,
}

/// Ids carry more random bits than a hash has, and only this server makes them.
#[derive(Clone, Copy, Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        // The last of a ULID's bits are random.
        self.0 ^= id as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Default for Local {
    fn default() -> Self {
        let shards = SHARDS * Realm::ALL.len();
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
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
        let id = ask.partner.ulid();
        let mut shard = self.shard(id, ask.realm);
        shard.entry(id).or_default().decide(ask, nodes, now)
    }

    /// How the limits stand that would concern a request. Charges nothing.
    pub fn look(&self, ask: &Ask<'_>, now: Moment) -> Vec<Reading> {
        self.look_share(ask, 1, now)
    }

    /// The same for one of so many nodes.
    pub(super) fn look_share(&self, ask: &Ask<'_>, nodes: u32, now: Moment) -> Vec<Reading> {
        let id = ask.partner.ulid();
        let mut shard = self.shard(id, ask.realm);
        let mut none = Account::default();
        let part = part_of(ask);
        let account = shard.get_mut(&id).unwrap_or(&mut none);
        let rates = shares(ask, nodes);
        let look = |(name, rate)| account.bucket(name, rate, part, now).read(name, now);
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
        let pace = ROUND / self.shards.len() as u64;
        let next = now.0.saturating_add(pace);
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
    fn shard(&self, id: u128, realm: Realm) -> MutexGuard<'_, Shard> {
        // Other bits than those by which a map tells its places apart.
        let mixed = (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let nth = mixed as usize % SHARDS;
        lock(&self.shards[nth * Realm::ALL.len() + realm as usize])
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
        let part = part_of(ask);
        // What each rate is, and how long its bucket refills if it is charged.
        let mut asked = [None; 3];
        let rates = shares(ask, nodes);
        for (slot, (name, rate)) in asked.iter_mut().zip(rates) {
            let refills_for = match self.bucket(name, rate, part, now).weigh(now) {
                Trial::Fits(after) => after,
                Trial::Over(wait) => {
                    let retry_after = Duration::from_nanos(wait);
                    // The longest wait: who comes again after it fits into all.
                    if decision
                        .over
                        .is_none_or(|over| over.retry_after < retry_after)
                    {
                        let limit = name;
                        decision.over = Some(Over { limit, retry_after });
                    }
                    0
                }
            };
            *slot = Some((name, rate, refills_for));
        }
        let charged = decision.fits();
        for (name, rate, refills_for) in asked.into_iter().flatten() {
            let bucket = self.bucket(name, rate, part, now);
            if charged {
                bucket.charge(refills_for, now);
            }
            decision.readings.push(bucket.read(name, now));
        }
        decision
    }

    /// The bucket of a limit, at the rate that holds now.
    fn bucket(&mut self, name: LimitName, rate: Rate, part: u128, now: Moment) -> &mut Bucket {
        let buckets = match name {
            LimitName::ClientRequests | LimitName::ClientTokens | LimitName::EndpointMessages => {
                self.parts.entry(part).or_default()
            }
            _ => &mut self.whole,
        };
        let bucket = match name {
            LimitName::Requests | LimitName::ClientRequests => &mut buckets.requests,
            LimitName::Reads => &mut buckets.reads,
            LimitName::Writes => &mut buckets.writes,
            LimitName::WebhookMessages | LimitName::EndpointMessages => &mut buckets.messages,
            // Quotas have no buckets.
            _ => &mut buckets.tokens,
        };
        let bucket = bucket.get_or_insert_with(|| Bucket::full(rate, now));
        bucket.adapt(rate, now);
        bucket
    }

    /// Whether all of it is full; parts of which all is full go.
    fn is_full(&mut self, now: Moment) -> bool {
        self.parts.retain(|_, buckets| !buckets.are_full(now));
        self.parts.is_empty() && self.whole.are_full(now)
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

/// The part, where it has buckets of its own.
fn part_of(ask: &Ask<'_>) -> u128 {
    match ask.part {
        Part::Client(_) if ask.limits.figures.client_share == Percent::ALL => 0,
        part => part.ulid(),
    }
}

impl Buckets {
    fn are_full(&self, now: Moment) -> bool {
        let all = [
            &self.requests,
            &self.reads,
            &self.writes,
            &self.tokens,
            &self.messages,
        ];
        all.into_iter().flatten().all(|bucket| bucket.is_full(now))
    }
}

impl Bucket {
    fn read(&self, name: LimitName, now: Moment) -> Reading {
        let refills_for = self.refills_for(now);
        let remaining = self.remaining(refills_for);
        let reset = match remaining {
            0 => match self.weigh(now) {
                Trial::Over(wait) => wait,
                Trial::Fits(_) => 0,
            },
            _ => refills_for,
        };
        Reading::of(name, self.rate(), remaining, reset)
    }
}
