//! The lists of one realm as this process knows them, and up to which revocation they are right.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};

use super::derived::{Dead, killed};
use super::signed::{self, Signed};
use super::{Missing, Sources};
use crate::domain::id::StatusListId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::status_list::Bits;
use crate::store::issued_tokens::Window;
use crate::store::revocations::{self, Numbered};
use crate::store::status_lists::{self, StatusList};
use crate::store::{Store, StoreError};

/// How often it is looked for tokens that were recorded after a revocation was taken in.
const AGAIN: Duration = Duration::from_millis(500);
/// How far back each of those looks goes; the last one goes all the way.
const RECENT: Duration = Duration::from_secs(120);
/// How long what is on record of lists is believed: retirement is not urgent.
const LOOK: Duration = Duration::from_secs(60);
/// How far nodes' clocks may be apart.
const CLOCKS: Duration = Duration::from_secs(300);

/// A realm's lists.
#[derive(Default)]
pub(super) struct Board {
    /// The last revocation that was taken in.
    upto: i64,
    /// Revocations that a node may not have heard of when it recorded a token.
    fresh: Vec<Fresh>,
    names: BTreeMap<StatusListId, i64>,
    lists: BTreeMap<i64, List>,
    /// When the lists on record were read.
    looked: Option<Monotonic>,
    /// When the database last failed.
    failed: Option<Monotonic>,
}

struct Fresh {
    revoked: Numbered,
    again: Monotonic,
    settles: Monotonic,
}

struct List {
    on_record: StatusList,
    /// `None`: none of its tokens is known to be dead.
    bits: Option<Bits>,
    /// The bits as they are sent, once somebody has asked.
    packed: Option<Arc<str>>,
    signed: Option<Signed>,
}

/// What a look at the database found.
struct Found {
    on_record: Vec<StatusList>,
    head: i64,
    new: Vec<Numbered>,
    dead: Vec<Dead>,
}

impl Board {
    /// Whether the database has failed since somebody asked.
    pub(super) fn has_failed_since(&self, asked: Monotonic) -> bool {
        self.failed.is_some_and(|failed| failed >= asked)
    }

    /// Notes that the database has failed.
    pub(super) fn has_failed(&mut self) {
        self.failed = Some(Monotonic::now());
    }

    /// Takes in what was revoked, and tokens recorded since, where there can be any.
    pub(super) async fn follow(
        &mut self,
        from: Sources<'_>,
        realm: Realm,
        settles: Duration,
    ) -> Result<(), StoreError> {
        let at = Monotonic::now();
        let is_due = self.fresh.iter().any(|fresh| fresh.again <= at);
        if from.feed.applied() <= self.upto && !is_due {
            return Ok(());
        }
        let due = |last: bool| {
            let due = self.fresh.iter().filter(|fresh| fresh.again <= at);
            let due = due.filter(|fresh| (fresh.settles <= at) == last);
            due.map(|fresh| fresh.revoked.clone()).collect::<Vec<_>>()
        };
        let (upto, recent, last, now) = (self.upto, due(false), due(true), from.now);
        let mut found = from
            .store
            .read(move |db| {
                // The head first: all revocations up to it are among those that are read then.
                let head = revocations::head(db)?;
                let window = Window::since(now.minus(RECENT));
                Ok::<_, StoreError>(Found {
                    new: revocations::living_of(db, realm, upto, now.minus(CLOCKS))?,
                    dead: killed(db, realm, &recent, window)?,
                    on_record: status_lists::of_realm(db, realm)?,
                    head,
                })
            })
            .await?;
        let whole: Arc<[Numbered]> = [last.as_slice(), &found.new].concat().into();
        for window in Window::of_living(now) {
            if !whole.is_empty() {
                let whole = Arc::clone(&whole);
                let look = from.store.read(move |db| killed(db, realm, &whole, window));
                found.dead.extend(look.await?);
            }
        }
        self.take_in(found, at, settles, now);
        Ok(())
    }

    fn take_in(&mut self, found: Found, at: Monotonic, settles: Duration, now: Instant) {
        self.enter(found.on_record, at);
        self.upto = found
            .new
            .last()
            .map_or(found.head, |last| last.seq.max(found.head));
        self.fresh
            .retain(|fresh| fresh.again > at || fresh.settles > at);
        for fresh in self.fresh.iter_mut().filter(|fresh| fresh.again <= at) {
            fresh.again = (at + AGAIN).min(fresh.settles);
        }
        // What was revoked long before this process first looked has been heard everywhere.
        let long_ago = now.minus(settles + CLOCKS);
        let fresh = found
            .new
            .into_iter()
            .filter(|new| new.revoked_at > long_ago);
        self.fresh.extend(fresh.map(|revoked| Fresh {
            revoked,
            again: at + AGAIN,
            settles: at + settles,
        }));
        for (number, index) in found.dead {
            if let Some(list) = self.lists.get_mut(&number) {
                list.kill(index);
            }
        }
    }

    /// Reads what is on record of lists, where a name is unknown or some time has passed.
    pub(super) async fn look_up(
        &mut self,
        store: &Store,
        realm: Realm,
        id: &StatusListId,
        asked: Monotonic,
    ) -> Result<(), StoreError> {
        let is_recent = self.looked.is_some_and(|looked| looked.elapsed() < LOOK);
        // Who waited while another looked is served by that look: a flood of names that do not exist
        // costs a query at a time.
        let was_since = self.looked.is_some_and(|looked| looked >= asked);
        if was_since || is_recent && self.names.contains_key(id) {
            return Ok(());
        }
        let at = Monotonic::now();
        let on_record = store
            .read(move |db| status_lists::of_realm(db, realm))
            .await?;
        self.enter(on_record, at);
        Ok(())
    }

    fn enter(&mut self, on_record: Vec<StatusList>, at: Monotonic) {
        let mut before = std::mem::take(&mut self.lists);
        self.names.clear();
        for on_record in on_record {
            let number = on_record.number;
            self.names.insert(on_record.id.clone(), number);
            let list = match before.remove(&number) {
                // By its name: a number can be another list's where the database has lost one.
                Some(list)
                    if on_record.retired_at.is_none() && list.on_record.id == on_record.id =>
                {
                    List { on_record, ..list }
                }
                _ => List::of(on_record),
            };
            self.lists.insert(number, list);
        }
        self.looked = Some(at);
    }

    /// A list, signed anew where it changed, or its key or its time is over.
    pub(super) async fn sign(
        &mut self,
        from: Sources<'_>,
        realm: Realm,
        id: &StatusListId,
    ) -> Result<Signed, Missing> {
        let number = self.names.get(id).ok_or(Missing::Unknown)?;
        let list = self.lists.get_mut(number).ok_or(Missing::Unknown)?;
        if list.on_record.retired_at.is_some() {
            return Err(Missing::Retired);
        }
        let signer = from.ring.signer(realm, from.alg, from.now);
        let key = signer.ok_or(Missing::NoKey)?;
        if let Some(signed) = list
            .signed
            .as_ref()
            .filter(|s| s.is_good(key.kid(), from.now))
        {
            return Ok(signed.clone());
        }
        let packed = match &list.packed {
            Some(packed) => Arc::clone(packed),
            None => Arc::clone(list.packed.insert(signed::pack(list.bits()).await?)),
        };
        let signed = Signed::sign(&key, from.addresses, realm, id, &packed, from.now)?;
        Ok(list.signed.insert(signed).clone())
    }
}

impl List {
    fn of(on_record: StatusList) -> Self {
        Self {
            on_record,
            bits: None,
            packed: None,
            signed: None,
        }
    }

    fn size(&self) -> usize {
        usize::try_from(self.on_record.size).unwrap_or_default()
    }

    fn bits(&self) -> Bits {
        self.bits.clone().unwrap_or_else(|| Bits::new(self.size()))
    }

    fn kill(&mut self, index: usize) {
        let size = self.size();
        if self.bits.get_or_insert_with(|| Bits::new(size)).set(index) {
            self.packed = None;
            self.signed = None;
        }
    }
}
