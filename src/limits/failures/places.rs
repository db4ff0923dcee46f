//! From where clients have proved who they are: written by successes alone, so nobody fills it by guessing.

use quick_cache::sync::Cache;

/// The addresses that are remembered of a client.
const ADDRESSES: usize = 16;
/// From as many partners on, an address is one that many share.
const MANY: usize = 3;

/// A few keys; 0 is a place that is free.
type Few<const N: usize> = [u64; N];

/// Clients by where they were right, and addresses by who was.
pub(super) struct Places {
    of_clients: Cache<u64, Few<ADDRESSES>>,
    of_addresses: Cache<u64, Few<MANY>>,
}

impl Places {
    /// With room for so many clients, and as many addresses.
    pub(super) fn new(room: usize) -> Self {
        Self {
            of_clients: Cache::new(room),
            of_addresses: Cache::new(room),
        }
    }

    /// Whether the client was right at this address before.
    pub(super) fn has_worked(&self, client: u64, address: u64) -> bool {
        let known = self.of_clients.get(&client);
        known.is_some_and(|known| known.contains(&address))
    }

    /// Remembers that it was; of many addresses, the newest.
    pub(super) fn worked(&self, client: u64, address: u64) {
        remember(&self.of_clients, client, address);
    }

    /// Remembers that a partner's client was right at an address. `true`: now it is one that many share.
    pub(super) fn shared_by(&self, address: u64, partner: u64) -> bool {
        match self.of_addresses.get(&address) {
            // The first partners are as good as others.
            Some(known) if !known.contains(&0) => false,
            _ => {
                remember(&self.of_addresses, address, partner);
                self.is_shared(address)
            }
        }
    }

    /// Whether clients of several partners come from there: a network's exit, or a proxy that nobody named.
    pub(super) fn is_shared(&self, address: u64) -> bool {
        let known = self.of_addresses.get(&address);
        known.is_some_and(|known| !known.contains(&0))
    }
}

fn remember<const N: usize>(all: &Cache<u64, Few<N>>, key: u64, value: u64) {
    let mut known = all.get(&key).unwrap_or([0; N]);
    if !known.contains(&value) {
        known.rotate_right(1);
        if let Some(first) = known.first_mut() {
            *first = value;
        }
        all.insert(key, known);
    }
}
