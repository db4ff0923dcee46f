//! Where messages may go: URLs that partners give must not lead into the house.
//!
//! The URL is checked when it is given and before each attempt; each connection is made only to an
//! address that was checked after the name was looked up for that connection. A name that is looked up
//! to something harmless first and to something else later gets nothing by it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

mod places;

use places::Places;
pub use places::Share;

/// The longest URL.
pub const LONGEST: usize = 2048;

/// Special-purpose and private networks (IANA registries; RFC 6890 and its successors).
const DENIED_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// What is routed on the internet at all. Outside it lie loopback, unique-local, link-local, multicast,
/// NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard-only (100::/64) and segment routing (5f00::/16).
const ROUTED_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Within it: Teredo, benchmarking and other protocols' own; documentation; 6to4, which carries
/// any IPv4 address.
const DENIED_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(s: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = s;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

/// Nothing may be sent there. Says nothing of addresses: a partner must not learn what a name means in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    #[error("must be an absolute URL of at most 2048 characters")]
    Malformed,
    #[error("must be an https URL")]
    Scheme,
    #[error("must not hold a name or a password")]
    Userinfo,
    #[error("must not hold a fragment")]
    Fragment,
    #[error("leads to an address that webhooks are not sent to")]
    Blocked,
    /// That is not known yet.
    #[error("has a host that could not be looked up just now: try again in a moment")]
    Crowded,
}

/// The host's name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host's name has no address")]
pub struct NoAddress;

/// What may be connected to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guard {
    /// Whether this machine may, and without TLS: for tests and development.
    pub allow_loopback: bool,
}

/// Whether an address hides an IPv4 address behind an interface's id (ISATAP, RFC 5214 §6.1).
fn is_isatap(ip: Ipv6Addr) -> bool {
    let [.., kind, mark, _, _] = ip.segments();
    kind & !0x0200 == 0 && mark == 0x5efe
}

impl Guard {
    /// Whether an address may be connected to.
    pub fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_loopback() {
            return self.allow_loopback;
        }
        match address {
            IpAddr::V4(ip) => !DENIED_V4.iter().any(|net| net.contains(&ip)),
            IpAddr::V6(ip) => {
                ROUTED_V6.contains(&ip)
                    && !DENIED_V6.iter().any(|net| net.contains(&ip))
                    && !is_isatap(ip)
            }
        }
    }

    /// Reads a URL, and checks all of it but what its host's name stands for.
    pub fn read(self, text: &str) -> Result<Url, BadTarget> {
        if text.len() > LONGEST {
            return Err(BadTarget::Malformed);
        }
        // Decimal, octal and hexadecimal hosts become addresses here, as they would when dialled.
        let url = Url::parse(text).map_err(|_| BadTarget::Malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_loopback && is_loopback(&url) => {}
            _ => return Err(BadTarget::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() || has_at(text) {
            return Err(BadTarget::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(BadTarget::Fragment);
        }
        // The reader mends what people mistype: what is kept must be what was sent.
        if !is_plain(text, url.scheme()) {
            return Err(BadTarget::Malformed);
        }
        match literal(&url) {
            Some(address) if !self.allows(address) => Err(BadTarget::Blocked),
            _ if is_localhost(&url) && !self.allow_loopback => Err(BadTarget::Blocked),
            _ => Ok(url),
        }
    }

    /// Those addresses, if all of them may be connected to: one that may not spoils the name.
    fn filter(self, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, BadTarget> {
        let local = is_localhost_name(host);
        let good = |ip: &IpAddr| self.allows(*ip) && (!local || ip.to_canonical().is_loopback());
        if found.iter().all(good) {
            Ok(found)
        } else {
            Err(BadTarget::Blocked)
        }
    }
}

/// Whether an `@` stands before the host: with nothing before it, it is gone from the parsed URL.
fn has_at(text: &str) -> bool {
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
    let rest = rest.trim_start_matches(['/', '\\']);
    let authority = rest.split(['/', '\\', '?', '#']).next();
    authority.is_some_and(|authority| authority.contains('@'))
}

/// The address that a URL's host is. `None`: it is a name.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(IpAddr::from(ip).to_canonical()),
        Host::Domain(_) => None,
    }
}

fn is_loopback(url: &Url) -> bool {
    literal(url).is_some_and(|ip| ip.is_loopback()) || is_localhost(url)
}

/// Whether a URL is written out: its scheme, two slashes and a host, and nothing that a reader leaves out or turns.
fn is_plain(text: &str, scheme: &str) -> bool {
    let after = text
        .get(..scheme.len())
        .filter(|start| start.eq_ignore_ascii_case(scheme))
        .and_then(|_| text[scheme.len()..].strip_prefix("://"));
    let unclean = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    after.is_some_and(|rest| !rest.starts_with('/')) && !text.chars().any(unclean)
}

fn is_localhost(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Domain(name)) if is_localhost_name(name))
}

/// `localhost` and what is below it is this machine (RFC 6761 §6.3), whatever a resolver says.
fn is_localhost_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || name
            .rsplit_once('.')
            .is_some_and(|(_, last)| last.eq_ignore_ascii_case("localhost"))
}

/// What looks names up. The system does; tests bring their own.
pub trait Lookup: Send + Sync + 'static {
    /// Every address, IPv4 and IPv6, that a name has now.
    fn lookup(&self, host: String) -> Looking;
}

/// An answer on its way.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The system's resolver, which blocks a thread for as long as a name server keeps silent.
#[derive(Clone, Copy, Debug, Default)]
pub struct System(());

impl Lookup for System {
    fn lookup(&self, host: String) -> Looking {
        Box::pin(async move {
            let asked = move || (host.as_str(), 0).to_socket_addrs();
            let found = tokio::task::spawn_blocking(asked).await;
            let found = found.map_err(io::Error::other)??;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Looks names up, and answers only where all that was found may be connected to.
#[derive(Clone)]
pub struct Resolver {
    pub guard: Guard,
    places: Arc<Places>,
}

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
    #[error(transparent)]
    Bad(#[from] BadTarget),
    /// It was never asked for.
    #[error("too many names are being looked up")]
    Crowded,
}

impl Resolver {
    /// Has names looked up, so many at a time.
    pub fn new(guard: Guard, lookup: Arc<dyn Lookup>) -> Self {
        Self {
            guard,
            places: Arc::new(Places::new(lookup)),
        }
    }

    /// The addresses of a name, of which each may be connected to.
    pub async fn addresses(&self, host: &str, share: Share) -> Result<Vec<IpAddr>, Unresolved> {
        let found = Arc::clone(&self.places).find(host, share).await?;
        Ok(self.guard.filter(host, found)?)
    }
}

tokio::task_local! {
    /// Where the attempt under way is about to connect to: an answer would say it, a failure would not.
    pub(super) static DIALLED: std::cell::Cell<Option<IpAddr>>;
    /// For whom the attempt under way has its name looked up.
    pub(super) static SHARE: Share;
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        let share = SHARE.try_with(|share| *share).unwrap_or(Share::Well);
        Box::pin(async move {
            let found = resolver.addresses(name.as_str(), share).await?;
            // Outside an attempt, where nobody asks, there is nowhere to note it.
            let _ = DIALLED.try_with(|dialled| dialled.set(found.first().copied()));
            let found = found.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
