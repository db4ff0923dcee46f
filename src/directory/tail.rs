//! The thread that keeps the directory true.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Hears, Shared};
use crate::causes::Causes;
use crate::clock::Clock;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation::RevocationKind;
use crate::store::revocations::Numbered;
use crate::store::signing_keys::StoredKey;
use crate::store::tail::Tail;
use crate::store::{Store, StoreError};

/// How long to wait before the database is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// Follows changes until it is dropped.
pub(super) struct Follower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts following on a thread of its own, from a tail that is connected already.
    pub(super) fn start(
        store: Store,
        tail: Tail,
        shared: &Arc<Shared>,
        listener: Arc<dyn Hears>,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, shared) = (Arc::clone(&stop), Arc::downgrade(shared));
        let thread = std::thread::Builder::new()
            .name("directory".to_owned())
            .spawn(move || follow(&store, tail, &shared, &*listener, &clock, &stopped))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that is stuck in a dead connection ends with the process.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

fn follow(
    store: &Store,
    mut tail: Tail,
    shared: &Weak<Shared>,
    listener: &dyn Hears,
    clock: &Clock,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        let news = tail.news(|| clock.now());
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match news {
            Ok(news) => {
                if let Some(news) = news {
                    // What was touched first: whoever sees a revocation counted in finds nothing
                    // here that is older.
                    shared.hear(&news.touched);
                    if let Some(keys) = news.keys {
                        listener.hear_keys(keys);
                    }
                    listener.hear(news.revoked, news.upto, news.purged);
                }
                shared.heard_at(tail.asked());
            }
            Err(error) => {
                log::warn!(
                    "the directory hears nothing from the database: {}",
                    Causes(&error)
                );
                let reached = reconnect(store, &tail, listener, clock, stop, &shared.tries);
                let Some((fresh, on_record, nth)) = reached else {
                    return;
                };
                tail = fresh;
                // What happened in between was not heard: everything is looked at again, after
                // the revocations were read and before they are counted in, so that nothing here
                // is older than what is counted in. Only then does silence count as over.
                shared.forget_all();
                on_record.tell(listener);
                shared.heard_at(tail.asked());
                shared.read_anew.send_replace(nth);
                log::info!("the directory hears the database again");
            }
        }
    }
}

/// Every revocation on record at a moment, and the keys at that moment or later.
pub(super) struct OnRecord {
    keys: Vec<StoredKey>,
    revoked: Vec<Numbered>,
    upto: i64,
    purged: i64,
}

impl OnRecord {
    pub(super) fn read(tail: &mut Tail, now: Instant) -> Result<Self, StoreError> {
        let mut revoked = Vec::new();
        let purged = tail.revocations(|mut page| revoked.append(&mut page))?;
        Ok(Self {
            keys: tail.keys(now)?,
            revoked,
            upto: tail.revoked(),
            purged,
        })
    }

    /// What was heard, still matters, and is not among it.
    fn missing(&self, held: &[Numbered], now: Instant) -> Vec<Numbered> {
        let known: HashSet<_> = self.revoked.iter().map(identity).collect();
        let is_lost = |one: &Numbered| one.expires_at > now && !known.contains(&identity(one));
        let mut seen = HashSet::new();
        let lost = held
            .iter()
            .filter(|one| is_lost(one) && seen.insert(identity(one)));
        lost.cloned().collect()
    }

    pub(super) fn tell(self, listener: &dyn Hears) {
        listener.hear_keys(self.keys);
        listener.hear(self.revoked, self.upto, self.purged);
    }
}

/// What a revocation is about, whatever its number.
fn identity(one: &Numbered) -> (Realm, RevocationKind, &str, Option<&str>) {
    (one.realm, one.kind, &one.id, one.scope.as_deref())
}

/// A new tail with the revocations on record, however long it takes, and which of the tries it was. `None`: told to
/// stop.
fn reconnect(
    store: &Store,
    before: &Tail,
    listener: &dyn Hears,
    clock: &Clock,
    stop: &AtomicBool,
    tries: &AtomicU64,
) -> Option<(Tail, OnRecord, u64)> {
    let mut told = String::new();
    while !stop.load(Ordering::Relaxed) {
        let nth = tries.fetch_add(1, Ordering::SeqCst) + 1;
        match connect(store, before, listener, clock.now()) {
            Ok(Some((tail, on_record))) => return Some((tail, on_record, nth)),
            // Mended: now it can be read.
            Ok(None) => {}
            Err(error) => {
                if error != told {
                    log::warn!("the database cannot be followed yet: {error}");
                    told = error;
                }
                std::thread::sleep(RETRY);
            }
        }
    }
    None
}

/// `None`: the database had lost something, and is mended.
fn connect(
    store: &Store,
    before: &Tail,
    listener: &dyn Hears,
    now: Instant,
) -> Result<Option<(Tail, OnRecord)>, String> {
    let mut tail = Tail::connect(store).map_err(|error| Causes(&error).to_string())?;
    let on_record = OnRecord::read(&mut tail, now).map_err(|error| Causes(&error).to_string())?;
    // What is revoked stays refused: also where the database no longer knows.
    let missing = on_record.missing(&listener.held(), now);
    if missing.is_empty() && !tail.is_before(before) {
        return Ok(Some((tail, on_record)));
    }
    let mended = tail.mend(before, &missing, now);
    mended.map_err(|error| {
        format!(
            "it has lost what it had told, and that cannot be mended: {}",
            Causes(&error)
        )
    })?;
    Ok(None)
}
