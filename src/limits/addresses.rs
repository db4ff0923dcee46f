//! How often an address may ask for what anybody may ask for, without a name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Monotonic};

use super::bucket::{Bucket, Trial};
use super::{Moment, network};
use crate::domain::limits::Rate;

/// At most so many addresses are known at once; those that come then share one bucket.
const ROOM: usize = 65_536;

/// How many nanoseconds pass between two looks for full ones, where there is no room.
const PAUSE: u64 = 1_000_000_000;

/// One bucket an address.
#[derive(Debug)]
pub struct Addresses {
    rate: Rate,
    began: Monotonic,
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    /// `None`: of those of whom nobody knows where they are, and of whom there is no room for.
    of: HashMap<Option<IpAddr>, Bucket>,
    /// When full ones were let go.
    swept: Moment,
}

impl Addresses {
    /// Buckets of this rate.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            began: Monotonic::now(),
            buckets: Mutex::default(),
        }
    }

    /// Charges a request to where it comes from; of which nobody knows where is one place. The error says how long to
    /// wait.
    pub fn charge(&self, from: Option<IpAddr>) -> Result<(), Duration> {
        self.charge_at(from, Moment::at(self.began.elapsed()))
    }

    fn charge_at(&self, from: Option<IpAddr>, now: Moment) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let place = from.map(network);
        let Buckets { of, swept } = &mut *buckets;
        if of.len() >= ROOM && now.since(*swept) >= PAUSE {
            of.retain(|_, bucket| !bucket.is_full(now));
            *swept = now;
        }
        let is_held = of.len() < ROOM || of.contains_key(&place);
        let place = if is_held { place } else { None };
        let bucket = of
            .entry(place)
            .or_insert_with(|| Bucket::full(self.rate, now));
        match bucket.weigh(now) {
            Trial::Fits(refills_for) => {
                bucket.charge(refills_for, now);
                Ok(())
            }
            Trial::Over(wait) => Err(Duration::from_nanos(wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_has_its_rate_and_takes_nothing_from_others() {
        let (addresses, now) = (Addresses::new(Rate::new(60, 2)), Moment::default());
        let one = at("203.0.113.9");
        for _ in 0..2 {
            addresses.charge_at(one, now).unwrap();
        }
        assert_eq!(addresses.charge_at(one, now), Err(Duration::from_secs(1)));
        addresses.charge_at(at("203.0.113.10"), now).unwrap();
        addresses
            .charge_at(one, Moment::at(Duration::from_secs(1)))
            .unwrap();
    }

    #[test]
    fn a_network_of_ipv6_and_those_without_an_address_are_one_each() {
        let (addresses, now) = (Addresses::new(Rate::new(60, 1)), Moment::default());
        addresses.charge_at(at("2001:db8::1"), now).unwrap();
        addresses.charge_at(at("2001:db8::ffff"), now).unwrap_err();
        addresses.charge_at(at("2001:db8:0:1::1"), now).unwrap();
        addresses.charge_at(None, now).unwrap();
        addresses.charge_at(None, now).unwrap_err();
        addresses.charge_at(at("203.0.113.9"), now).unwrap();
        addresses
            .charge_at(at("::ffff:203.0.113.9"), now)
            .unwrap_err();
    }

    #[test]
    fn a_crowd_of_addresses_takes_no_more_room_than_there_is() {
        let (addresses, now) = (Addresses::new(Rate::new(60, 2)), Moment::default());
        let nth = |n: u32| Some(IpAddr::from(std::net::Ipv4Addr::from(n)));
        for n in 0..u32::try_from(ROOM).unwrap() {
            addresses.charge_at(nth(n), now).unwrap();
        }
        // Those who come now share one bucket, until the others' are full again.
        addresses.charge_at(nth(1 << 20), now).unwrap();
        addresses.charge_at(nth(1 << 21), now).unwrap();
        addresses.charge_at(nth(1 << 22), now).unwrap_err();
        // Who is known has its own.
        addresses.charge_at(nth(7), now).unwrap();
        let later = Moment::at(Duration::from_secs(60));
        addresses.charge_at(nth(1 << 22), later).unwrap();
        assert_eq!(addresses.buckets.lock().unwrap().of.len(), 1);
    }
}
