//! What happens too often for a row each: added up in memory, and put on record by the minute.
//!
//! Guessing must fill neither memory nor disk. So different things are told apart only up to a
//! bound; past it they are added up as *many*, by reason, realm and part of the server alone. What
//! a process counted in its last minute is lost if it is killed; asked to end, it writes all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Action, Actor, Deed, record};
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::words;
use crate::keys::AuditKeys;
use crate::store::{Db, StoreError, clients};

/// How many different things are told apart in memory.
const MOST_KINDS: usize = 4096;
/// How many of them have a row of their own a minute: those that happened most.
const MOST_ROWS: usize = 100;
/// How many refused tokens a second are looked at closer, which costs a signature's check each.
const CLOSER_LOOKS: u32 = 100;
/// How many clients are looked up at a time.
const LOOK_UP: usize = 500;

words!(
    /// Why something was refused, where that concerns security.
    Refused {
        /// Unknown client, wrong secret, or one that is not good any more.
        InvalidClient = "invalid_client",
        /// A client of another realm.
        OtherRealmsClient = "client_of_another_realm",
        /// A good secret, shown from where its client may not call.
        AddressNotAllowed = "address_not_allowed",
        /// Not looked at: this client, or this address, has failed too often.
        TooManyFailures = "too_many_failures",
        InvalidScope = "invalid_scope",
        InvalidTarget = "invalid_target",
        /// The client may not do this, such as revoke another's token.
        UnauthorizedClient = "unauthorized_client",
        /// A token of another realm.
        OtherRealmsToken = "token_of_another_realm",
        WrongAudience = "wrong_audience",
        Revoked = "revoked",
        /// What looks like a token and is none of this server's.
        NotOurs = "not_ours",
        InsufficientScope = "insufficient_scope",
        FourEyes = "four_eyes",
    }
);

words!(
    /// Which part of the server it happened at.
    Place {
        Token = "token",
        OAuth = "oauth",
        Verify = "verify",
        PartnerApi = "partner_api",
        AdminApi = "admin_api",
        Leaks = "leaks",
        Elsewhere = "elsewhere",
    }
);

/// What is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    Refused(Refused),
    /// Somebody read the audit trail.
    AuditRead,
    /// Somebody read the request log.
    RequestsRead,
    /// Somebody reported secrets as leaked.
    LeakReport,
}

impl What {
    fn action(self) -> Action {
        match self {
            Self::Refused(reason) => match reason {
                Refused::InvalidClient | Refused::OtherRealmsClient | Refused::TooManyFailures => {
                    Action::AuthenticationRefused
                }
                Refused::InvalidScope | Refused::InvalidTarget => Action::ScopeRefused,
                Refused::OtherRealmsToken
                | Refused::WrongAudience
                | Refused::Revoked
                | Refused::NotOurs => Action::TokenRefused,
                Refused::AddressNotAllowed
                | Refused::UnauthorizedClient
                | Refused::InsufficientScope
                | Refused::FourEyes => Action::AccessRefused,
            },
            Self::AuditRead => Action::AuditTrailRead,
            Self::RequestsRead => Action::RequestLogRead,
            Self::LeakReport => Action::LeakReportReceived,
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sighting {
    pub what: What,
    /// The client of a verified token, or the one that a request claimed to be. Whether there is
    /// such a client is asked when it is written down.
    pub client: Option<ClientId>,
    pub from: Option<IpAddr>,
    pub realm: Option<Realm>,
    pub place: Place,
}

/// How often something happened, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    times: u64,
    first: Instant,
    last: Instant,
}

impl Count {
    fn once(now: Instant) -> Self {
        Self {
            times: 1,
            first: now,
            last: now,
        }
    }

    fn add(&mut self, other: Self) {
        self.times = self.times.saturating_add(other.times);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// What is told apart of things that are too many.
type Outline = (What, Option<Realm>, Place);

/// Counts since they were last taken.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
    writing: tokio::sync::Mutex<()>,
    /// A second, and the closer looks that were taken in it.
    looks: Mutex<(i64, u32)>,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    each: HashMap<Sighting, Count>,
    many: BTreeMap<Outline, Count>,
}

impl Tally {
    /// Counts something.
    pub fn note(&self, sighting: Sighting, now: Instant) {
        self.lock().add(sighting, Count::once(now));
    }

    /// Whether there is time to look at a refused token closer. Who floods the server with them gets
    /// his own counted, not worked on.
    pub fn may_look_closer(&self, now: Instant) -> bool {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.epoch_seconds();
        if looks.0 != second {
            *looks = (second, 0);
        }
        looks.1 = looks.1.saturating_add(1);
        looks.1 <= CLOSER_LOOKS
    }

    /// A turn at writing: who takes one waits for whoever is at it.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.writing.lock().await
    }

    /// Takes what was counted.
    pub fn take(&self) -> Counts {
        std::mem::take(&mut *self.lock())
    }

    /// Takes back what could not be written.
    pub fn put_back(&self, counts: Counts) {
        let mut own = self.lock();
        for (sighting, count) in counts.each {
            own.add(sighting, count);
        }
        for (outline, count) in counts.many {
            own.add_many(outline, count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty() && self.many.is_empty()
    }

    fn add(&mut self, sighting: Sighting, count: Count) {
        if let Some(known) = self.each.get_mut(&sighting) {
            known.add(count);
        } else if self.each.len() < MOST_KINDS {
            self.each.insert(sighting, count);
        } else {
            self.add_many((sighting.what, sighting.realm, sighting.place), count);
        }
    }

    fn add_many(&mut self, outline: Outline, count: Count) {
        self.many
            .entry(outline)
            .and_modify(|known| known.add(count))
            .or_insert(count);
    }

    /// Leaves those that happened most, and adds the others to the many.
    fn cut(&mut self, most: usize) -> Vec<(Sighting, Count)> {
        let mut each: Vec<_> = self.each.drain().collect();
        each.sort_by(|(_, a), (_, b)| b.times.cmp(&a.times).then(a.first.cmp(&b.first)));
        for (sighting, count) in each.split_off(most.min(each.len())) {
            self.add_many((sighting.what, sighting.realm, sighting.place), count);
        }
        each
    }

    /// Forgets the names of clients that there are not, so that made-up names add up to one row.
    fn keep_clients(&mut self, known: &HashMap<ClientId, Option<PartnerId>>) {
        for (mut sighting, count) in std::mem::take(&mut self.each) {
            sighting.client = sighting.client.filter(|id| known.contains_key(id));
            self.add(sighting, count);
        }
    }
}

/// Puts what was counted on record, in one transaction.
pub fn write(
    db: &mut Db,
    keys: &AuditKeys,
    mut counts: Counts,
    now: Instant,
) -> Result<(), StoreError> {
    let claimed: HashSet<&ClientId> = counts
        .each
        .keys()
        .filter_map(|s| s.client.as_ref())
        .collect();
    let claimed: Vec<&ClientId> = claimed.into_iter().collect();
    let mut known = HashMap::new();
    for some in claimed.chunks(LOOK_UP) {
        known.extend(clients::partners_of(db, some)?);
    }
    counts.keep_clients(&known);
    for (sighting, count) in counts.cut(MOST_ROWS) {
        let actor = match &sighting.client {
            Some(client) => Actor::client(client, None),
            None => Actor::unknown(),
        };
        let actor = actor.within(None, sighting.from.map(|ip| ip.to_string()));
        let partner = sighting.client.as_ref().and_then(|id| known.get(id));
        let deed = deed((sighting.what, sighting.realm, sighting.place), count);
        let deed = deed.partner_if(partner.and_then(Option::as_ref));
        record(db, keys, &actor, deed, now)?;
    }
    for (outline, count) in counts.many {
        record(db, keys, &Actor::many(), deed(outline, count), now)?;
    }
    Ok(())
}

fn deed((what, realm, place): Outline, count: Count) -> Deed {
    let mut deed = Deed::new(what.action(), place)
        .detail("count", count.times)
        .detail("from", count.first.to_string())
        .detail("to", count.last.to_string());
    if let Some(realm) = realm {
        deed = deed.realm(realm);
    }
    match what {
        What::Refused(reason) => deed.refused().detail("reason", reason.as_str()),
        What::AuditRead | What::RequestsRead | What::LeakReport => deed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_epoch_seconds(1_800_000_000 + seconds)
    }

    fn guess(client: Option<&ClientId>, from: u32) -> Sighting {
        Sighting {
            what: What::Refused(Refused::InvalidClient),
            client: client.cloned(),
            from: Some(IpAddr::from(from.to_be_bytes())),
            realm: Some(Realm::Live),
            place: Place::Token,
        }
    }

    fn all(counts: &Counts) -> u64 {
        let each = counts.each.values().chain(counts.many.values());
        each.map(|count| count.times).sum()
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_in_memory_and_loses_no_count() {
        let tally = Tally::default();
        for from in 0..100_000 {
            tally.note(guess(None, from), at(0));
        }
        let counts = tally.take();
        assert_eq!((counts.each.len(), counts.many.len()), (MOST_KINDS, 1));
        assert_eq!(all(&counts), 100_000);
        assert!(tally.take().is_empty());
    }

    #[test]
    fn the_busiest_keep_a_row_of_their_own() {
        let tally = Tally::default();
        for from in 0..1000 {
            tally.note(guess(None, from), at(0));
        }
        for second in 0..50 {
            tally.note(guess(None, 7), at(second));
        }
        let mut counts = tally.take();
        let each = counts.cut(MOST_ROWS);
        assert_eq!(each.len(), MOST_ROWS);
        assert_eq!(each[0].0, guess(None, 7));
        assert_eq!(
            each[0].1,
            Count {
                times: 51,
                first: at(0),
                last: at(49)
            }
        );
        assert_eq!(all(&counts), 1050 - 51 - 99);
    }

    #[test]
    fn a_flood_of_tokens_is_looked_at_a_hundred_times_a_second() {
        let tally = Tally::default();
        let looks = |second| {
            (0..1000)
                .filter(|_| tally.may_look_closer(at(second)))
                .count()
        };
        assert_eq!((looks(0), looks(1)), (100, 100));
    }

    #[test]
    fn made_up_clients_add_up_to_one() {
        let tally = Tally::default();
        let real = ClientId::generate(Realm::Live, at(0));
        tally.note(guess(Some(&real), 1), at(0));
        for _ in 0..500 {
            let made_up = ClientId::generate(Realm::Live, at(0));
            tally.note(guess(Some(&made_up), 1), at(0));
        }
        let mut counts = tally.take();
        counts.keep_clients(&HashMap::from([(real.clone(), None)]));
        assert_eq!(counts.each[&guess(Some(&real), 1)].times, 1);
        assert_eq!(counts.each[&guess(None, 1)].times, 500);
        assert_eq!(counts.each.len(), 2);
    }

    proptest! {
        #[test]
        fn whatever_is_noted_taken_and_put_back_adds_up(
            rounds in prop::collection::vec((prop::collection::vec(0u32..8000, 0..2000), any::<bool>()), 1..6)
        ) {
            let tally = Tally::default();
            let (mut noted, mut written) = (0, 0);
            for (addresses, succeeds) in rounds {
                noted += addresses.len() as u64;
                for from in addresses {
                    tally.note(guess(None, from), at(0));
                }
                let counts = tally.take();
                prop_assert!(counts.each.len() <= MOST_KINDS && counts.many.len() <= 1);
                if succeeds {
                    written += all(&counts);
                } else {
                    tally.put_back(counts);
                }
            }
            written += all(&tally.take());
            prop_assert_eq!(noted, written);
        }
    }
}
