//! How often credentials are used, gathered in memory until somebody writes it down.
//!
//! Noting a use costs the token path a lock of the credential's own and no allocation.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::id::CredentialId;
use crate::domain::instant::Instant;
use crate::store::credential_uses::Uses;
use crate::store::credentials::Credential;

/// A credential in memory, with the marks of its use.
#[derive(Clone, Debug)]
pub struct Held {
    credential: Credential,
    /// How it is used while it is held.
    pub marks: Arc<Marks>,
}

impl From<Credential> for Held {
    fn from(credential: Credential) -> Self {
        let marks = Marks {
            id: credential.id.clone(),
            was_used: AtomicBool::new(credential.first_used_at.is_some()),
            tally: Mutex::new(None),
        };
        Self {
            credential,
            marks: Arc::new(marks),
        }
    }
}

impl Deref for Held {
    type Target = Credential;
    fn deref(&self) -> &Credential {
        &self.credential
    }
}

/// What is known of a held credential's use.
#[derive(Debug)]
pub struct Marks {
    id: CredentialId,
    was_used: AtomicBool,
    /// Uses that nobody has written down yet.
    tally: Mutex<Option<Tally>>,
}

#[derive(Clone, Copy, Debug)]
struct Tally {
    count: i64,
    last_at: Instant,
    last_ip: Option<IpAddr>,
}

impl Marks {
    /// Whether it is on record that the credential was used. `false` may be old news.
    pub fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Relaxed)
    }

    /// Remembers that its first use is on record.
    pub fn first_use_recorded(&self) {
        self.was_used.store(true, Ordering::Relaxed);
    }
}

/// The uses of a process that are to be written down.
#[derive(Debug, Default)]
pub struct Tallies {
    /// Credentials whose uses are not written down, each once, the longest waiting first.
    touched: Mutex<VecDeque<Arc<Marks>>>,
    /// What could not be written the last time.
    unwritten: Mutex<BTreeMap<CredentialId, Uses>>,
    writing: tokio::sync::Mutex<()>,
}

impl Tallies {
    /// Notes that a credential was used.
    pub fn note(&self, marks: &Arc<Marks>, now: Instant, from: Option<IpAddr>) {
        let mut tally = lock(&marks.tally);
        let before = *tally;
        *tally = Some(Tally {
            count: before.map_or(1, |t| t.count + 1),
            last_at: now,
            last_ip: from,
        });
        drop(tally);
        if before.is_none() {
            lock(&self.touched).push_back(Arc::clone(marks));
        }
    }

    /// A turn at writing: who takes one waits for whoever is at it.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.writing.lock().await
    }

    /// Takes out what is to be written: of so many credentials, those that have waited longest.
    pub fn take(&self, most: usize) -> BTreeMap<CredentialId, Uses> {
        let mut uses = std::mem::take(&mut *lock(&self.unwritten));
        let touched: Vec<_> = {
            let mut touched = lock(&self.touched);
            let count = most.saturating_sub(uses.len()).min(touched.len());
            touched.drain(..count).collect()
        };
        for marks in touched {
            let Some(tally) = lock(&marks.tally).take() else {
                continue;
            };
            add(&mut uses, marks.id.clone(), Uses::from(tally));
        }
        uses
    }

    /// Gives back what could not be written.
    pub fn give_back(&self, uses: BTreeMap<CredentialId, Uses>) {
        let mut unwritten = lock(&self.unwritten);
        for (id, uses) in uses {
            add(&mut unwritten, id, uses);
        }
    }
}

impl From<Tally> for Uses {
    fn from(tally: Tally) -> Self {
        Self {
            count: tally.count,
            last_at: tally.last_at,
            last_ip: tally.last_ip.map(|ip| ip.to_string()),
        }
    }
}

/// A credential that was forgotten and looked up again can have been used in both lives.
fn add(all: &mut BTreeMap<CredentialId, Uses>, id: CredentialId, more: Uses) {
    match all.entry(id) {
        std::collections::btree_map::Entry::Vacant(place) => {
            place.insert(more);
        }
        std::collections::btree_map::Entry::Occupied(mut place) => {
            let known = place.get_mut();
            let count = known.count + more.count;
            if more.last_at >= known.last_at {
                *known = more;
            }
            known.count = count;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_epoch_seconds(1_800_000_000 + seconds)
    }

    fn marks(id: &CredentialId) -> Arc<Marks> {
        Arc::new(Marks {
            id: id.clone(),
            was_used: AtomicBool::new(false),
            tally: Mutex::new(None),
        })
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn uses_of_two_lives_of_a_credential_are_added_up_and_the_last_counts() {
        let (usage, id) = (Tallies::default(), CredentialId::generate(at(0)));
        let (one, two) = (marks(&id), marks(&id));
        usage.note(&two, at(3), Some(ip(3)));
        usage.note(&one, at(1), Some(ip(1)));
        usage.note(&one, at(2), None);
        let taken = usage.take(100);
        let expected = Uses {
            count: 3,
            last_at: at(3),
            last_ip: Some("192.0.2.3".to_owned()),
        };
        assert_eq!(taken, BTreeMap::from([(id, expected)]));
        assert!(usage.take(100).is_empty());
    }

    #[test]
    fn what_could_not_be_written_comes_again_with_what_came_since() {
        let (usage, id) = (Tallies::default(), CredentialId::generate(at(0)));
        let held = marks(&id);
        usage.note(&held, at(1), Some(ip(1)));
        usage.give_back(usage.take(100));
        usage.note(&held, at(2), Some(ip(2)));
        let taken = usage.take(100);
        assert_eq!(taken.values().map(|u| u.count).sum::<i64>(), 2);
        assert_eq!(taken[&id].last_ip.as_deref(), Some("192.0.2.2"));
    }

    #[test]
    fn many_threads_lose_no_use() {
        let (usage, id) = (Tallies::default(), CredentialId::generate(at(0)));
        let held = marks(&id);
        let total = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..10_000).for_each(|n| usage.note(&held, at(n), None))))
                .collect();
            let mut total = 0;
            while !writers.iter().all(|writer| writer.is_finished()) {
                total += usage.take(100).values().map(|u| u.count).sum::<i64>();
            }
            total + usage.take(100).values().map(|u| u.count).sum::<i64>()
        });
        assert_eq!(total, 40_000);
    }
}
