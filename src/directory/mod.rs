//! Who clients are, in memory: loaded on demand, and kept true by following changes.
//!
//! Refuses to know HTTP and SQL text. What it holds is at most as old as the last time
//! the database was heard; past the allowed staleness it answers nothing.

mod cache;
mod entry;
mod marks;
mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant as Monotonic};

use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::store::changes::Subject;
use crate::store::resource_servers::{self, ResourceServer};
use crate::store::revocations::Numbered;
use crate::store::signing_keys::StoredKey;
use crate::store::tail::Tail;
use crate::store::{OpenError, Store, StoreError};
use crate::telemetry::telemetry;

pub use entry::{Audience, Entry, Holdings};
pub use marks::{Held, Marks, Tallies};

use cache::Cache;
use tail::{Follower, OnRecord};

/// How many unknown ids and audiences are remembered: enough that guessing does not reach
/// the database, few enough that it does not fill the memory.
const UNKNOWN: usize = 10_000;

/// Looks clients and audiences up.
pub struct Directory {
    shared: Arc<Shared>,
    store: Store,
    max_staleness: Duration,
    _follower: Follower,
}

/// Whoever must know what was revoked, and which keys there are.
pub trait Hears: Send + Sync {
    /// The keys that are published, before the revocations that were read with them: whoever counts
    /// in that a key was revoked does not sign with it any more.
    fn hear_keys(&self, published: Vec<StoredKey>);
    /// Revocations in order, up to where they are complete, and up to where older ones were
    /// forgotten. What was heard before may come again.
    fn hear(&self, revoked: Vec<Numbered>, upto: i64, purged: i64);
    /// What was heard of revocations, and still matters.
    fn held(&self) -> Vec<Numbered>;
}

/// What the follower keeps true.
struct Shared {
    clients: Cache<ClientId, Arc<Entry>>,
    /// Ids that nobody has.
    unknown: Cache<ClientId, ()>,
    audiences: Cache<(Realm, String), Option<Arc<ResourceServer>>>,
    keys_changed: Notify,
    started: Monotonic,
    /// When the database was last heard, in microseconds after `started`.
    heard: AtomicU64,
    /// How many revocations are known to be on record, and were not heard yet.
    doubts: AtomicUsize,
    /// How often it was tried to connect anew.
    tries: AtomicU64,
    /// The last of these tries of which all that is on record was taken in.
    read_anew: watch::Sender<u64>,
}

/// Something that is on record, and that this process has yet to hear of.
pub struct Doubt(Arc<Shared>);

impl Drop for Doubt {
    fn drop(&mut self) {
        self.0.doubts.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Directory {
    /// Over a database, with room for so many clients.
    ///
    /// Connects before it answers: what it hands out later, it will have heard the changes of.
    pub fn open(
        store: Store,
        capacity: usize,
        max_staleness: Duration,
        listener: Arc<dyn Hears>,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            clients: Cache::new(capacity),
            unknown: Cache::new(UNKNOWN),
            audiences: Cache::new(UNKNOWN),
            keys_changed: Notify::new(),
            started: Monotonic::now(),
            heard: AtomicU64::new(0),
            doubts: AtomicUsize::new(0),
            tries: AtomicU64::new(0),
            read_anew: watch::Sender::new(0),
        });
        let mut tail = Tail::connect(&store)?;
        OnRecord::read(&mut tail, clock.now())?.tell(&*listener);
        let follower = Follower::start(store.clone(), tail, &shared, listener, clock)
            .map_err(|error| OpenError::Connect(error.to_string()))?;
        Ok(Self {
            shared,
            store,
            max_staleness,
            _follower: follower,
        })
    }

    /// A client of a realm. `None`: unknown there.
    pub async fn client(
        &self,
        realm: Realm,
        id: ClientId,
        now: Instant,
    ) -> Result<Option<Arc<Entry>>, StoreError> {
        self.check_news()?;
        let counted = &telemetry().lookups;
        if let Some(entry) = self.shared.clients.get(&id) {
            counted.client_hits.inc();
            return Ok(Some(entry).filter(|entry| entry.client.realm == realm));
        }
        if self.shared.unknown.get(&id).is_some() {
            counted.client_hits.inc();
            return Ok(None);
        }
        counted.client_misses.inc();
        // Boxed: what is held is answered without carrying the room that a look-up needs.
        Box::pin(self.look_up(realm, id, now)).await
    }

    /// A client that is held, whatever its realm; nobody is asked for it.
    pub fn held_in_memory(&self, id: &ClientId) -> Option<Arc<Entry>> {
        self.shared.clients.get(id)
    }

    async fn look_up(
        &self,
        realm: Realm,
        id: ClientId,
        now: Instant,
    ) -> Result<Option<Arc<Entry>>, StoreError> {
        let (known, unknown) = (self.shared.clients.epoch(), self.shared.unknown.epoch());
        let wanted = id.clone();
        let found = self
            .store
            .read(move |db| entry::load(db, &wanted, now))
            .await?
            .map(Arc::new);
        match &found {
            Some(entry) => self.shared.clients.offer(known, id, Arc::clone(entry)),
            None => self.shared.unknown.offer(unknown, id, ()),
        }
        Ok(found.filter(|entry| entry.client.realm == realm))
    }

    /// The resource server that an identifier names in a realm. `None`: nobody registered it there.
    pub async fn resource_server(
        &self,
        realm: Realm,
        identifier: String,
    ) -> Result<Option<Arc<ResourceServer>>, StoreError> {
        self.check_news()?;
        let key = (realm, identifier);
        let counted = &telemetry().lookups;
        if let Some(known) = self.shared.audiences.get(&key) {
            counted.audience_hits.inc();
            return Ok(known);
        }
        counted.audience_misses.inc();
        let epoch = self.shared.audiences.epoch();
        let wanted = key.clone();
        let load = self
            .store
            .read(move |db| resource_servers::by_identifier(db, wanted.0, &wanted.1));
        let found = Box::pin(load).await?.map(Arc::new);
        self.shared.audiences.offer(epoch, key, found.clone());
        Ok(found)
    }

    /// How many of each kind are held.
    pub fn held(&self) -> [(&'static str, usize); 3] {
        [
            ("client", self.shared.clients.len()),
            ("unknown_client", self.shared.unknown.len()),
            ("audience", self.shared.audiences.len()),
        ]
    }

    /// Forgets what a change of this very process touched: it counts before it is answered.
    pub fn forget(&self, touched: &[Subject]) {
        touched
            .iter()
            .for_each(|subject| self.shared.forget(subject));
    }

    /// How long ago the database was last heard.
    pub fn staleness(&self) -> Duration {
        let heard = Duration::from_micros(self.shared.heard.load(Ordering::Relaxed));
        self.shared.started.elapsed().saturating_sub(heard)
    }

    /// Whether what is held may be trusted.
    pub fn is_fresh(&self) -> bool {
        !self.is_doubted() && self.staleness() <= self.max_staleness
    }

    /// Whether a revocation of this process's own was not heard yet.
    pub fn is_doubted(&self) -> bool {
        self.shared.doubts.load(Ordering::Relaxed) > 0
    }

    /// Trusts nothing that is held until the doubt is dropped: there is something that was not heard.
    pub fn doubt(&self) -> Doubt {
        self.shared.doubts.fetch_add(1, Ordering::Relaxed);
        Doubt(Arc::clone(&self.shared))
    }

    /// Waits until all that is on record was read anew, by a connection that is made from now on.
    pub fn read_anew(&self) -> impl Future<Output = ()> + use<> {
        let before = self.shared.tries.load(Ordering::SeqCst);
        let mut read = self.shared.read_anew.subscribe();
        async move {
            // Where the directory is gone, nobody asks any more.
            let _ = read.wait_for(|last| *last > before).await;
        }
    }

    /// Waits until signing keys were changed, here or elsewhere.
    pub async fn keys_changed(&self) {
        self.shared.keys_changed.notified().await;
    }

    /// Refuses to go on from memory that may be out of date.
    pub fn check_news(&self) -> Result<(), StoreError> {
        if self.is_fresh() {
            return Ok(());
        }
        if self.is_doubted() {
            let why = "a revocation of this node's own was not heard yet".to_owned();
            return Err(StoreError::Unreachable(why));
        }
        let silence = self.staleness().as_secs();
        Err(StoreError::Unreachable(format!(
            "nothing was heard from the database for {silence} s"
        )))
    }
}

impl Shared {
    /// What was touched somewhere; what cannot be read may be anything.
    fn hear(&self, touched: &[Option<Subject>]) {
        for subject in touched {
            match subject {
                Some(subject) => self.forget(subject),
                None => self.forget_all(),
            }
        }
    }

    fn forget(&self, subject: &Subject) {
        match subject {
            Subject::Client(id) => {
                self.clients.forget(id);
                self.unknown.forget(id);
            }
            Subject::Partner(id) => self
                .clients
                .forget_where(|entry| entry.client.partner_id.as_ref() == Some(id)),
            Subject::ResourceServer { realm, identifier } => {
                self.audiences.forget(&(*realm, identifier.clone()))
            }
            Subject::Keys => self.keys_changed.notify_one(),
            Subject::Plan(id) => self
                .clients
                .forget_where(|entry| entry.limits.plan() == Some(id)),
        }
    }

    fn forget_all(&self) {
        self.clients.clear();
        self.unknown.clear();
        self.audiences.clear();
        self.keys_changed.notify_one();
    }

    fn heard_at(&self, moment: Monotonic) {
        let since = moment.saturating_duration_since(self.started).as_micros();
        self.heard
            .fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
