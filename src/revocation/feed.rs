//! What was revoked, as this process has heard it: for its own verifiers, and for whoever follows.
//!
//! A listener has a cursor and reads on from there; it costs no query and misses nothing,
//! however late it comes to its turn.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use onyx_verifier::{Revocation, Revocations};
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::seats::{Seat, Seats};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation::RevocationKind;
use crate::store::revocations::Numbered;

/// The live revocations of all realms.
#[derive(Debug)]
pub struct Feed {
    realms: BTreeMap<Realm, RealmFeed>,
    /// Up to where this process has taken revocations in; what they touched before them.
    applied: watch::Sender<i64>,
    /// Up to where revocations were forgotten.
    purged: AtomicI64,
    closed: watch::Sender<bool>,
    seats: Seats,
}

#[derive(Debug)]
struct RealmFeed {
    entries: RwLock<BTreeMap<i64, Told>>,
    revocations: Arc<Revocations>,
    /// The last number of this realm: listeners sleep on it.
    last: watch::Sender<i64>,
}

/// An entry as it is sent, made once for all who are told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its number.
    pub seq: i64,
    /// `{"seq","kind",…}`
    pub json: Arc<RawValue>,
    expires_at: i64,
}

/// A cursor from which nobody can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// What came after it was forgotten.
    TooOld,
    /// This process has not come that far, or a backup was restored since.
    Beyond,
}

impl Feed {
    /// An empty feed, for so many listeners at a time.
    pub fn new(listeners: usize) -> Self {
        let realm = |realm: &Realm| {
            let feed = RealmFeed {
                entries: RwLock::default(),
                revocations: Arc::default(),
                last: watch::Sender::new(0),
            };
            (*realm, feed)
        };
        Self {
            realms: Realm::ALL.iter().map(realm).collect(),
            applied: watch::Sender::new(0),
            purged: AtomicI64::new(0),
            closed: watch::Sender::new(false),
            seats: Seats::new(listeners),
        }
    }

    /// A seat among the listeners for a client, held until it is dropped. `None`: there is none for it.
    pub fn seat(&self, realm: Realm, client: &str) -> Option<Seat> {
        self.seats.take(realm, client)
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.seats.count()
    }

    /// The highest revocation that this process has applied, with all that it touched: to be
    /// read before a client is looked up, and written into its token.
    pub fn applied(&self) -> i64 {
        *self.applied.borrow()
    }

    /// Waits until this process has applied a revocation.
    pub async fn reaches(&self, seq: i64) {
        // The sender is this feed's own: it cannot be gone.
        let _ = self.applied.subscribe().wait_for(|at| *at >= seq).await;
    }

    /// What verifiers of a realm look at.
    pub fn revocations(&self, realm: Realm) -> Arc<Revocations> {
        self.realms
            .get(&realm)
            .map(|feed| Arc::clone(&feed.revocations))
            .unwrap_or_default()
    }

    /// The cursor before every live entry.
    pub fn oldest(&self) -> i64 {
        self.purged.load(Ordering::Acquire)
    }

    /// Whether a listener with this cursor can be served.
    pub fn check(&self, cursor: i64) -> Result<(), Lost> {
        if cursor < self.purged.load(Ordering::Acquire) {
            Err(Lost::TooOld)
        } else if cursor > self.applied() {
            Err(Lost::Beyond)
        } else {
            Ok(())
        }
    }

    /// A realm's live entries after a cursor, in order, at most `most`; and the cursor that
    /// whoever has them all may go on from.
    pub fn after(&self, realm: Realm, cursor: i64, most: usize) -> (Vec<Told>, i64) {
        // Up to what is applied, which is read first: all of that is among the entries.
        let applied = self.applied();
        let Some(feed) = self.realms.get(&realm).filter(|_| cursor < applied) else {
            return (Vec::new(), cursor);
        };
        let entries = feed.entries.read().unwrap_or_else(PoisonError::into_inner);
        let told: Vec<Told> = entries
            .range(cursor + 1..=applied)
            .take(most)
            .map(|(_, told)| told.clone())
            .collect();
        let cursor = match told.last() {
            Some(last) if told.len() == most => last.seq,
            _ => applied,
        };
        (told, cursor)
    }

    /// A hold on a realm's last number, which wakes whoever waits for the next.
    pub fn listen(&self, realm: Realm) -> Option<watch::Receiver<i64>> {
        self.realms.get(&realm).map(|feed| feed.last.subscribe())
    }

    /// Forgets what can concern no living token.
    pub fn forget_before(&self, moment: Instant) {
        let moment = moment.epoch_seconds();
        for feed in self.realms.values() {
            feed.revocations.forget_before(moment);
            let mut entries = feed.entries.write().unwrap_or_else(PoisonError::into_inner);
            entries.retain(|_, told| told.expires_at >= moment);
        }
    }

    /// Ends every stream: the process is about to stop.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Waits until the feed is closed.
    pub async fn closed(&self) {
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    fn take(&self, numbered: Numbered) {
        let Some(feed) = self.realms.get(&numbered.realm) else {
            return;
        };
        let seq = numbered.seq;
        let entry = wire(numbered);
        feed.revocations.apply(&entry);
        match serde_json::value::to_raw_value(&entry) {
            Ok(json) => {
                let told = Told {
                    seq,
                    json: json.into(),
                    expires_at: entry.expires_at,
                };
                let mut entries = feed.entries.write().unwrap_or_else(PoisonError::into_inner);
                entries.insert(seq, told);
            }
            Err(error) => log::error!("revocation {seq} cannot be told: {error}"),
        }
    }

    /// Takes revocations in, in order, up to where they are complete, and up to where older ones were
    /// forgotten; see [`Hears`](crate::directory::Hears).
    pub fn hear(&self, revoked: Vec<Numbered>, upto: i64, purged: i64) {
        let mut last: BTreeMap<Realm, i64> = BTreeMap::new();
        for numbered in revoked {
            last.insert(numbered.realm, numbered.seq);
            self.take(numbered);
        }
        self.purged.fetch_max(purged, Ordering::AcqRel);
        self.applied.send_if_modified(|at| {
            let moves = *at < upto;
            *at = upto.max(*at);
            moves
        });
        // Listeners last: what wakes them is to be found, and counted in.
        for (realm, seq) in last {
            if let Some(feed) = self.realms.get(&realm) {
                feed.last.send_replace(seq);
            }
        }
    }

    /// Every live entry, in order: for a database that may have lost some.
    pub fn held(&self) -> Vec<Numbered> {
        let mut held = Vec::new();
        for (realm, feed) in &self.realms {
            let entries = feed.entries.read().unwrap_or_else(PoisonError::into_inner);
            held.extend(entries.values().filter_map(|told| numbered(*realm, told)));
        }
        held.sort_by_key(|one| one.seq);
        held
    }
}

/// The revocation as the database has it. `None`: it is not one of this program's own.
fn numbered(realm: Realm, told: &Told) -> Option<Numbered> {
    let entry: Revocation = serde_json::from_str(told.json.get()).ok()?;
    Some(Numbered {
        seq: told.seq,
        realm,
        kind: kind_on_record(entry.kind)?,
        id: entry.id,
        scope: entry.scope,
        revoked_at: Instant::from_epoch_seconds(entry.revoked_at),
        expires_at: Instant::from_epoch_seconds(entry.expires_at),
    })
}

/// The revocation as verifiers know it.
pub(super) fn wire(numbered: Numbered) -> Revocation {
    Revocation {
        seq: numbered.seq.unsigned_abs(),
        kind: kind(numbered.kind),
        id: numbered.id,
        scope: numbered.scope,
        revoked_at: numbered.revoked_at.epoch_seconds(),
        expires_at: numbered.expires_at.epoch_seconds(),
    }
}

/// The kind as the database has it.
fn kind_on_record(kind: onyx_verifier::RevocationKind) -> Option<RevocationKind> {
    let is_it = |known: &&RevocationKind| self::kind(**known) == kind;
    RevocationKind::ALL.iter().find(is_it).copied()
}

/// The kind as the wire says it.
fn kind(kind: RevocationKind) -> onyx_verifier::RevocationKind {
    use onyx_verifier::RevocationKind as Wire;
    match kind {
        RevocationKind::Token => Wire::Token,
        RevocationKind::Credential => Wire::Credential,
        RevocationKind::Client => Wire::Client,
        RevocationKind::Partner => Wire::Partner,
        RevocationKind::Key => Wire::Key,
        RevocationKind::Grant => Wire::Grant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(seq: i64, realm: Realm) -> Numbered {
        Numbered {
            seq,
            realm,
            kind: RevocationKind::Client,
            id: format!("cl_{seq}"),
            scope: None,
            revoked_at: Instant::from_epoch_seconds(1_000),
            expires_at: Instant::from_epoch_seconds(1_965),
        }
    }

    fn numbers(feed: &Feed, cursor: i64) -> (Vec<i64>, i64) {
        let (told, next) = feed.after(Realm::Live, cursor, 2);
        (told.iter().map(|told| told.seq).collect(), next)
    }

    #[test]
    fn a_listener_reads_on_in_order_and_past_what_is_not_for_it() {
        let feed = Feed::new(10);
        let entries = [
            (1, Realm::Live),
            (2, Realm::Sandbox),
            (3, Realm::Live),
            (4, Realm::Live),
        ];
        let entries = entries.map(|(seq, realm)| numbered(seq, realm));
        feed.hear(entries.to_vec(), 4, 0);
        feed.hear(vec![numbered(5, Realm::Sandbox)], 5, 0);
        assert_eq!(numbers(&feed, 0), (vec![1, 3], 3));
        assert_eq!(numbers(&feed, 3), (vec![4], 5));
        assert_eq!(numbers(&feed, 5), (vec![], 5));
        // Heard again, as after a lost connection.
        feed.hear(vec![numbered(4, Realm::Live)], 5, 0);
        assert_eq!(numbers(&feed, 5), (vec![], 5));
    }

    #[test]
    fn a_cursor_is_refused_where_something_may_be_missing() {
        let feed = Feed::new(10);
        feed.hear(vec![numbered(7, Realm::Live)], 7, 5);
        assert_eq!(feed.check(4), Err(Lost::TooOld));
        assert_eq!(feed.check(5), Ok(()));
        assert_eq!(feed.check(8), Err(Lost::Beyond));
    }

    #[test]
    fn what_is_held_can_be_written_down_again() {
        let feed = Feed::new(10);
        let entries = [(1, Realm::Live), (2, Realm::Sandbox), (3, Realm::Live)];
        feed.hear(
            entries.map(|(seq, realm)| numbered(seq, realm)).to_vec(),
            3,
            0,
        );
        let held = feed.held();
        let told: Vec<_> = held.iter().map(|one| (one.seq, one.realm)).collect();
        assert_eq!(
            told,
            [(1, Realm::Live), (2, Realm::Sandbox), (3, Realm::Live)]
        );
        let wanted = numbered(3, Realm::Live);
        let last = held.last().unwrap();
        assert_eq!(
            (last.kind, &last.id, last.expires_at),
            (wanted.kind, &wanted.id, wanted.expires_at)
        );
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let feed = Feed::new(10);
        feed.hear(vec![numbered(1, Realm::Live)], 1, 0);
        feed.forget_before(Instant::from_epoch_seconds(1_966));
        assert_eq!(numbers(&feed, 0), (vec![], 1));
        assert!(feed.revocations(Realm::Live).is_empty());
    }

    #[actix_web::test]
    async fn who_waits_for_a_revocation_is_woken_when_it_is_applied() {
        let feed = Arc::new(Feed::new(10));
        let waiting = {
            let feed = Arc::clone(&feed);
            tokio::spawn(async move { feed.reaches(3).await })
        };
        feed.hear(Vec::new(), 3, 0);
        waiting.await.unwrap();
        assert_eq!(feed.applied(), 3);
    }
}
