//! How many connections there may be, of all and of each address, and how long one may leave its answers unread.
//!
//! A request's head and body have ten seconds, an idle connection 75, and an answer that nobody takes 30: that bounds
//! how long each is held, and the rest of this how many are. Past the bound of an address a connection is closed as it
//! comes; past that of all, connections wait in the system's queue.

use std::any::Any;
use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, TcpListener};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use ipnet::IpNet;
use socket2::SockRef;

use crate::limits::network;
use crate::telemetry::telemetry;

/// Files that are left for the database, the log and whatever else is open.
const OTHER_FILES: usize = 256;

/// How long a connection lives whose peer takes nothing of what was written to it.
const UNREAD: Duration = Duration::from_secs(30);

/// Open connections of a listener by where they come from: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Debug)]
pub(super) struct Connections {
    of_each: usize,
    trusted: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Connections {
    /// At most so many of each. Trusted proxies are not counted: they bring everybody's.
    pub(super) fn new(of_each: usize, trusted: Vec<IpNet>) -> Self {
        Self {
            of_each,
            trusted,
            open: Mutex::default(),
        }
    }

    /// Takes a connection in as it comes, or closes it.
    pub(super) fn meet(self: &Arc<Self>, connection: &dyn Any, data: &mut Extensions) {
        // Within TLS it comes here when its handshake is done; until then the bound of all holds, and the handshake's.
        let Some(socket) = socket_of(connection) else {
            return;
        };
        let Ok(peer) = socket.peer_addr() else { return };
        match self.take(peer.ip().to_canonical()) {
            Some(seat) => drop(data.insert(seat)),
            None => {
                telemetry().connections_refused.inc();
                close(socket);
            }
        }
    }

    /// A seat for a connection from an address. `None`: its holder has all that it may have.
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        if self.trusted.iter().any(|net| net.contains(&address)) {
            return Some(Seat(None));
        }
        // Who has one address of a /64 has all of it. A proxy is trusted by its whole address: not so its neighbours.
        let holder = network(address);
        let mut open = self.lock();
        let count = open.entry(holder).or_default();
        if *count >= self.of_each {
            return None;
        }
        *count += 1;
        Some(Seat(Some((Arc::clone(self), holder))))
    }

    fn give_back(&self, holder: IpAddr) {
        let mut open = self.lock();
        if let Some(count) = open.get_mut(&holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&holder);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, given back with it.
struct Seat(Option<(Arc<Connections>, IpAddr)>);

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((connections, holder)) = self.0.take() {
            connections.give_back(holder);
        }
    }
}

fn socket_of(connection: &dyn Any) -> Option<&TcpStream> {
    connection.downcast_ref::<TcpStream>().or_else(|| {
        let tls = connection.downcast_ref::<TlsStream<TcpStream>>()?;
        Some(tls.get_ref().0)
    })
}

/// Ends a connection that somebody else owns: its owner reads that it is over.
fn close(socket: &TcpStream) {
    let ended = socket.as_fd().try_clone_to_owned().and_then(|copy| {
        let copy = std::net::TcpStream::from(copy);
        copy.shutdown(Shutdown::Both)
    });
    if let Err(error) = ended {
        log::debug!("a connection could not be closed: {error}");
    }
}

/// Has the system end the listener's connections whose peer takes nothing for 30 seconds although something waits.
///
/// Set here, since what is accepted inherits it (tcp(7)), and until a TLS handshake is done a socket is out of sight. It
/// counts from when the peer stops to acknowledge, or says that it has no room; a connection on which nothing waits
/// may be quiet for as long as it likes. Not a timer of ours: actix shows its writes to nobody.
pub(super) fn end_unread(listener: &TcpListener) {
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(listener).set_tcp_user_timeout(Some(UNREAD)) {
        log::warn!("connections whose answers nobody reads will not end by themselves: {error}");
    }
}

/// How many connections a listener of `workers` may have in each of them, of `most` in all: no more than the
/// process may open files for, or the database would be refused its own.
pub(super) fn of_each_worker(most: usize, workers: usize) -> usize {
    let most = match open_files() {
        Some(files) if files < most.saturating_add(OTHER_FILES) => {
            let fitting = files.saturating_sub(OTHER_FILES).max(files / 2);
            log::warn!(
                "the process may open {files} files: it takes {fitting} connections, not {most}; raise the limit (LimitNOFILE)"
            );
            fitting
        }
        _ => most,
    };
    (most / workers.max(1)).max(1)
}

/// How many files the process may open. `None`: nobody says.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections() -> Arc<Connections> {
        let trusted = vec![
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::53/128".parse().unwrap(),
        ];
        Arc::new(Connections::new(2, trusted))
    }

    #[test]
    fn an_address_has_so_many_seats_and_gets_them_back() {
        let connections = connections();
        let (one, other) = (
            "192.0.2.1".parse().unwrap(),
            "192.0.2.2".parse::<IpAddr>().unwrap(),
        );
        let (first, _second) = (connections.take(one), connections.take(one));
        assert!(first.is_some() && connections.take(one).is_none());
        assert!(connections.take(other).is_some());
        drop(first);
        assert!(connections.take(one).is_some());
        assert!(!connections.lock().contains_key(&other));
    }

    #[test]
    fn a_64_has_as_many_seats_as_an_ipv4_address() {
        let connections = connections();
        let take = |address: &str| connections.take(address.parse().unwrap());
        let (first, _second) = (take("2001:db8::1"), take("2001:db8::2:0:0:1"));
        assert!(first.is_some() && take("2001:db8::3").is_none());
        // The next network has its own, and a trusted proxy among the neighbours needs none.
        assert!(take("2001:db8:0:1::1").is_some());
        assert!(take("2001:db8::53").is_some());
        drop(first);
        assert!(take("2001:db8::3").is_some());
    }

    #[test]
    fn a_trusted_proxy_is_not_counted() {
        let connections = connections();
        let proxy = "10.1.2.3".parse().unwrap();
        let seats: Vec<_> = (0..10).map(|_| connections.take(proxy)).collect();
        assert!(seats.iter().all(Option::is_some));
        assert!(connections.lock().is_empty());
    }

    #[test]
    fn what_a_listener_accepts_ends_unread() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        end_unread(&listener);
        let _caller = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let patience = SockRef::from(&accepted).tcp_user_timeout().unwrap();
        assert_eq!(patience, Some(UNREAD));
    }

    #[test]
    fn files_for_the_rest_are_left() {
        let files = open_files().unwrap();
        assert!(of_each_worker(usize::MAX, 1) < files);
        assert_eq!(of_each_worker(10, 2), 5);
        assert_eq!(of_each_worker(1, 4), 1);
    }
}
