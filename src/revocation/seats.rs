//! Seats to wait for revocations at, so that nobody can take them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::realm::Realm;

/// So many seats, of which a client has at most half, and so has the sandbox: who follows in live finds one.
#[derive(Clone, Debug)]
pub struct Seats {
    all: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_sandbox: usize,
    by_client: HashMap<String, usize>,
}

/// A seat that is taken; given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    realm: Realm,
    client: String,
}

impl Seats {
    /// So many.
    pub(super) fn new(all: usize) -> Self {
        Self {
            all,
            taken: Arc::default(),
        }
    }

    /// A seat for a client. `None`: there is none for it.
    pub(super) fn take(&self, realm: Realm, client: &str) -> Option<Seat> {
        let half = self.all.div_ceil(2);
        let mut taken = self.taken();
        let of_client = taken.by_client.get(client).copied().unwrap_or(0);
        let is_sandbox = realm == Realm::Sandbox;
        if taken.all >= self.all || of_client >= half || (is_sandbox && taken.by_sandbox >= half) {
            return None;
        }
        taken.all += 1;
        taken.by_sandbox += usize::from(is_sandbox);
        *taken.by_client.entry(client.to_owned()).or_default() += 1;
        Some(Seat {
            seats: self.clone(),
            realm,
            client: client.to_owned(),
        })
    }

    /// How many are taken.
    pub(super) fn count(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all = taken.all.saturating_sub(1);
        if self.realm == Realm::Sandbox {
            taken.by_sandbox = taken.by_sandbox.saturating_sub(1);
        }
        if let Some(count) = taken.by_client.get_mut(&self.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_client_nor_the_sandbox_takes_them_all() {
        let seats = Seats::new(4);
        let mut held: Vec<Seat> = (0..2)
            .map(|_| seats.take(Realm::Sandbox, "one").unwrap())
            .collect();
        assert!(seats.take(Realm::Sandbox, "one").is_none());
        assert!(seats.take(Realm::Sandbox, "other").is_none());
        held.push(seats.take(Realm::Live, "third").unwrap());
        held.push(seats.take(Realm::Live, "third").unwrap());
        assert!(seats.take(Realm::Live, "fourth").is_none());
        assert_eq!(seats.count(), 4);
        held.clear();
        assert_eq!(seats.count(), 0);
        assert!(seats.taken().by_client.is_empty());
        assert!(seats.take(Realm::Sandbox, "other").is_some());
    }

    #[test]
    fn one_place_is_anybodys() {
        let seats = Seats::new(1);
        let held = seats.take(Realm::Sandbox, "one").unwrap();
        assert!(seats.take(Realm::Live, "other").is_none());
        drop(held);
        assert!(seats.take(Realm::Live, "other").is_some());
    }
}
