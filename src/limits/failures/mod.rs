//! Failed authentications: who fails often waits, and nobody is locked out by others' failures.
//!
//! Failures are counted for what a request says it is and for where it comes from (IPv6 by /64, which is one
//! customer's). Whether there is such a client makes no difference: made-up ids are counted and blocked as real
//! ones are. Successes count for nothing and forgive nothing, or who has one good secret could guess at others.
//!
//! A client id is public, so anybody can have it blocked. That stops nobody who was right from the same
//! address before: there the secret is looked at, block or no block. Where that was is known from memory alone,
//! also to a process that has just started: to look it up at the door would tell by its time who exists, and let
//! anybody who is blocked keep the database busy. And what many partners share, an exit or a proxy that was not
//! named, is not blocked as an address.

mod places;
mod records;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use super::network;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::words;
use places::Places;
use records::{Records, Rule};

/// Ten failures of a client id, two a minute forgiven.
const OF_CLIENTS: Rule = Rule {
    most: 10,
    forgiven_in: Duration::from_secs(30),
    first: FIRST,
    longest: LONGEST,
    eased_in: EASED_IN,
};

/// Fifty failures from an address, ten a minute forgiven.
const OF_ADDRESSES: Rule = Rule {
    most: 50,
    forgiven_in: Duration::from_secs(6),
    first: FIRST,
    longest: LONGEST,
    eased_in: EASED_IN,
};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15 * 60);
const EASED_IN: Duration = Duration::from_secs(15 * 60);

/// How many clients, and how many addresses, are remembered of each kind.
const ROOM: usize = 65_536;

words!(
    /// What is blocked.
    Subject { Client = "client", Address = "address" }
);

/// A wait that a caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// What is blocked; of both, what is for longer.
    pub subject: Subject,
    /// For how long yet.
    pub left: Duration,
}

/// Somebody who wants to prove who he is.
#[derive(Clone, Copy, Debug)]
pub struct Knock {
    client: u64,
    /// Where it comes from; of which nobody knows where is one place.
    address: u64,
    /// Whether that is known.
    is_placed: bool,
    blocked: Option<Block>,
    has_worked: bool,
}

impl Knock {
    /// What the caller has to wait for before anything is looked at.
    pub fn must_wait(&self) -> Option<Block> {
        self.blocked.filter(|_| !self.has_worked)
    }

    /// What is blocked, though this caller's secret is looked at. A wrong one is answered as everybody is.
    pub fn blocked(&self) -> Option<Block> {
        self.blocked
    }
}

/// Failures of a process, by client and by address.
pub struct Failures {
    clients: Records,
    addresses: Records,
    places: Places,
    hasher: RandomState,
}

impl Failures {
    /// For a server that holds so many clients in memory: it remembers of as many where they were right.
    pub fn new(clients: usize) -> Self {
        Self::with_room(ROOM, clients.max(ROOM))
    }

    fn with_room(room: usize, clients: usize) -> Self {
        Self {
            clients: Records::new(OF_CLIENTS, room),
            addresses: Records::new(OF_ADDRESSES, room),
            places: Places::new(clients),
            hasher: RandomState::new(),
        }
    }

    /// What counts against a caller now. `client_id` is what it says it is, well-formed or not.
    pub fn knock(
        &self,
        realm: Realm,
        client_id: &str,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Knock {
        let client = self.key((realm, client_id));
        let address = self.key(from.map(network));
        let of_client = self.clients.blocked_until(client, now);
        let of_address = if self.places.is_shared(address) {
            None
        } else {
            self.addresses.blocked_until(address, now)
        };
        let blocked = match (of_client, of_address) {
            (Some(one), Some(other)) if other > one => Some((Subject::Address, other)),
            (Some(until), _) => Some((Subject::Client, until)),
            (None, Some(until)) => Some((Subject::Address, until)),
            (None, None) => None,
        };
        let blocked = blocked.map(|(subject, until)| Block {
            subject,
            left: Duration::from_micros((until - now.epoch_micros()).unsigned_abs()),
        });
        Knock {
            client,
            address,
            is_placed: from.is_some(),
            blocked,
            has_worked: blocked.is_some()
                && from.is_some()
                && self.places.has_worked(client, address),
        }
    }

    /// It was right. `true`: its address is now one that clients of many partners share.
    pub fn succeeded(&self, knock: &Knock, partner: Option<&str>) -> bool {
        if knock.is_placed {
            self.places.worked(knock.client, knock.address);
        }
        partner.is_some_and(|partner| self.places.shared_by(knock.address, self.key(partner)))
    }

    /// A client is known to have been right at an address, though this process has not seen it.
    pub fn worked_before(&self, realm: Realm, client_id: &str, at: IpAddr) {
        let client = self.key((realm, client_id));
        self.places.worked(client, self.key(Some(network(at))));
    }

    /// It was not right. Answers what is blocked from now on because of it.
    pub fn failed(&self, knock: &Knock, now: Instant) -> [Option<Subject>; 2] {
        let client = self.clients.fail(knock.client, now);
        let address =
            !self.places.is_shared(knock.address) && self.addresses.fail(knock.address, now);
        [
            client.then_some(Subject::Client),
            address.then_some(Subject::Address),
        ]
    }

    fn key(&self, of: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(of).max(1)
    }
}
