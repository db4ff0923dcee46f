//! Places for look-ups. The system's resolver blocks a thread for as long as a name server keeps silent: so
//! many look up at a time and no more, that the threads which the database is asked on are not used up.
//!
//! Whoever has names looked up that nobody answers for keeps others waiting of its own kind alone, and
//! takes one place a name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::{Lookup, NoAddress, Unresolved};

/// Out of whose places one is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// Who waits for an answer of the API's: anybody may ask there for any name.
    Asked,
    /// Deliveries to endpoints that do well.
    Well,
    /// Deliveries to those that hang or fail.
    Ailing,
}

/// How many names are looked up at a time for the API.
const ASKED: usize = 8;
/// How many for endpoints that do well.
const WELL: usize = 40;
/// How many for those that hang or fail.
const AILING: usize = 16;
/// How long a look-up waits for its place: so short that an endpoint which waits is not taken for one that hangs.
const WAITS: Duration = Duration::from_secs(2);

/// A name, and for whom it is looked up: nobody waits for a place in another's share.
type Key = (Share, String);
type Answer = Result<Vec<IpAddr>, Unresolved>;

/// Who looks names up, and how many at a time.
pub(super) struct Places {
    lookup: Arc<dyn Lookup>,
    asked: Semaphore,
    well: Semaphore,
    ailing: Semaphore,
    /// What is being looked up, or waits for its place: who wants the same waits with it.
    under_way: Mutex<HashMap<Key, watch::Receiver<Option<Answer>>>>,
}

impl Places {
    pub(super) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self {
            lookup,
            asked: Semaphore::new(ASKED),
            well: Semaphore::new(WELL),
            ailing: Semaphore::new(AILING),
            under_way: Mutex::new(HashMap::new()),
        }
    }

    /// What a name stands for now.
    pub(super) async fn find(self: Arc<Self>, host: &str, share: Share) -> Answer {
        let mut answer = self.join((share, host.to_ascii_lowercase()));
        match answer.wait_for(Option::is_some).await {
            Ok(found) => found.clone().unwrap_or(Err(Unresolved::Crowded)),
            // The process ends.
            Err(_) => Err(Unresolved::Crowded),
        }
    }

    /// Joins a look-up that is under way, or begins one.
    fn join(self: &Arc<Self>, key: Key) -> watch::Receiver<Option<Answer>> {
        let mut under_way = self.under_way();
        // One that ended without a word is begun anew.
        let known = under_way.get(&key);
        if let Some(known) = known.filter(|known| known.has_changed().is_ok()) {
            return known.clone();
        }
        let (told, answer) = watch::channel(None);
        under_way.insert(key.clone(), answer.clone());
        drop(under_way);
        let places = Arc::clone(self);
        // On its own: whoever gives up waiting does not free the thread, nor end it for others.
        tokio::spawn(async move {
            let found = places.ask(&key).await;
            places.under_way().remove(&key);
            told.send_replace(Some(found));
        });
        answer
    }

    async fn ask(&self, (share, host): &Key) -> Answer {
        let places = match share {
            Share::Asked => &self.asked,
            Share::Well => &self.well,
            Share::Ailing => &self.ailing,
        };
        let place = tokio::time::timeout(WAITS, places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(Unresolved::Crowded);
        };
        let found = self.lookup.lookup(host.clone()).await;
        let found = found.unwrap_or_default();
        if found.is_empty() {
            return Err(NoAddress.into());
        }
        Ok(found)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Option<Answer>>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::Looking;
    use super::*;

    /// Answers for names that begin with `good`, keeps silent about all others, and counts.
    #[derive(Default)]
    struct Server(AtomicUsize);

    impl Lookup for Server {
        fn lookup(&self, host: String) -> Looking {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                if !host.starts_with("good") {
                    std::future::pending::<()>().await;
                }
                Ok(vec![IpAddr::from([93, 184, 215, 14])])
            })
        }
    }

    fn places() -> (Arc<Server>, Arc<Places>) {
        let server = Arc::new(Server::default());
        let lookup: Arc<dyn Lookup> = server.clone();
        (server, Arc::new(Places::new(lookup)))
    }

    /// Has names looked up that nobody answers for.
    async fn clog(places: &Arc<Places>, share: Share, names: usize) {
        for nth in 0..names {
            let _ = places.join((share, format!("dead{nth}.example")));
        }
        // Until each has its place.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[actix_web::test]
    async fn dead_names_keep_out_their_own_kind_alone() {
        let (_, places) = places();
        let find = |share| Arc::clone(&places).find("good.example", share);
        for (dead, names) in [(Share::Asked, ASKED), (Share::Ailing, AILING)] {
            clog(&places, dead, names).await;
            assert_eq!(find(dead).await, Err(Unresolved::Crowded));
            assert!(find(Share::Well).await.is_ok());
        }
    }

    #[actix_web::test]
    async fn a_name_takes_one_place_however_many_wait_for_it() {
        let (server, places) = places();
        for _ in 0..3 {
            let waiting = Arc::clone(&places);
            let found = waiting.find("Dead.example", Share::Well);
            // Who waits may give up: the place is taken as long as nobody answers.
            let given_up = tokio::time::timeout(Duration::from_millis(20), found).await;
            assert!(given_up.is_err());
        }
        assert_eq!(server.0.load(Ordering::Relaxed), 1);
        assert_eq!(places.well.available_permits(), WELL - 1);
        // One that was answered is looked up anew: names change.
        for _ in 0..2 {
            let found = Arc::clone(&places).find("good.example", Share::Well);
            assert!(found.await.is_ok());
        }
        assert_eq!(server.0.load(Ordering::Relaxed), 3);
        assert_eq!(places.well.available_permits(), WELL - 1);
    }
}
