//! How often an address may ask for what anybody may ask for, without a name.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Monotonic};

use super::Moment;
use super::bucket::{Bucket, Trial};
use crate::domain::limits::Rate;

/// At most so many addresses are known at once; where there are more, those known longest stay held to their rate.
const ROOM: usize = 65_536;

/// One bucket an address.
#[derive(Debug)]
pub struct Addresses {
    rate: Rate,
    began: Monotonic,
    buckets: Mutex<HashMap<Option<IpAddr>, Bucket>>,
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

    /// Charges a request to where it comes from; of which nobody knows where is one place. The error says how long to wait.
    pub fn charge(&self, from: Option<IpAddr>) -> Result<(), Duration> {
        self.charge_at(from, Moment::at(self.began.elapsed()))
    }

    fn charge_at(&self, from: Option<IpAddr>, now: Moment) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let place = from.map(network);
        if buckets.len() >= ROOM && !buckets.contains_key(&place) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let has_room = buckets.len() < ROOM;
        let place = if has_room { place } else { None };
        let bucket = buckets
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

/// What one holder has: an IPv4 address, or the /64 of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        v4 => v4,
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
        let later = Moment::at(Duration::from_secs(60));
        addresses.charge_at(nth(1 << 22), later).unwrap();
        assert_eq!(addresses.buckets.lock().unwrap().len(), 1);
    }
}
