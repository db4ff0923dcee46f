//! From where a client may call: networks, as operators write them.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// The most networks of one list.
pub const MAX_NETWORKS: usize = 100;

/// A network in its one form: host bits cleared, IPv4 never dressed as IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpNet);

/// The text names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an address or a network, like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32")]
pub struct BadNetwork;

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let net = match text.parse::<IpNet>() {
            Ok(net) => net,
            // A single address is the network of itself.
            Err(_) => text.parse::<IpAddr>().map_err(|_| BadNetwork)?.into(),
        };
        Ok(Self(canonical(net.trunc())))
    }
}

impl From<Network> for IpNet {
    fn from(network: Network) -> Self {
        network.0
    }
}

/// An IPv4-mapped network as the IPv4 network that it is: addresses are compared so too.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.addr().to_ipv4_mapped();
    let prefix = v6.prefix_len().checked_sub(96);
    match (mapped, prefix) {
        (Some(address), Some(prefix)) => Ipv4Net::new(address, prefix).map_or(net, IpNet::V4),
        _ => net,
    }
}

/// The networks that a client may call from; at least one.
///
/// Stored and sent as a JSON list; parsed when a client is loaded, never for a request.
#[derive(
    Clone, Debug, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct Allowlist {
    networks: Vec<Network>,
    /// The list as it is stored.
    text: String,
}

impl Allowlist {
    /// The list of these networks, in order and without doubles. `None`: there are none.
    pub fn of(mut networks: Vec<Network>) -> Option<Self> {
        networks.sort_unstable();
        networks.dedup();
        let names = networks.iter().map(|Network(net)| net.to_string());
        let text = serde_json::Value::from_iter(names).to_string();
        (!networks.is_empty()).then_some(Self { networks, text })
    }

    /// The list as it is stored.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a caller at this address is let in; one whose address is not known never is.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address.map(|ip| ip.to_canonical()) else {
            return false;
        };
        self.networks
            .iter()
            .any(|Network(net)| net.contains(&address))
    }

    /// Whether everybody whom the other list lets in is let in by this one.
    pub fn covers(&self, other: &Self) -> bool {
        let within = |Network(inner): &Network| {
            let mut nets = self.networks.iter();
            nets.any(|Network(net)| net.contains(inner))
        };
        other.networks.iter().all(within)
    }
}

impl FromStr for Allowlist {
    type Err = BadNetwork;

    /// Reads back what was stored.
    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let names: Vec<String> = serde_json::from_str(text).map_err(|_| BadNetwork)?;
        let networks: Result<_, _> = names.iter().map(|name| name.parse()).collect();
        Self::of(networks?).ok_or(BadNetwork)
    }
}

impl serde::Serialize for Allowlist {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.networks.iter().map(|Network(net)| net.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Allowlist {
        Allowlist::of(names.iter().map(|name| name.parse().unwrap()).collect()).unwrap()
    }

    #[test]
    fn a_list_has_one_form() {
        let written = [
            "2001:DB8::1/32",
            "10.1.2.3/8",
            "::ffff:192.0.2.0/120",
            "203.0.113.7",
            "10.0.0.0/8",
        ];
        let stored = r#"["10.0.0.0/8","192.0.2.0/24","203.0.113.7/32","2001:db8::/32"]"#;
        let list = list(&written);
        assert_eq!(list.as_str(), stored);
        assert_eq!(stored.parse(), Ok(list));
    }

    #[test]
    fn what_names_no_network_is_refused() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "example.org",
            "10.0.0.1:80",
            " 10.0.0.1",
            "010.0.0.1",
        ] {
            assert_eq!(bad.parse::<Network>(), Err(BadNetwork), "{bad:?}");
        }
        assert_eq!("[]".parse::<Allowlist>(), Err(BadNetwork));
        assert_eq!("10.0.0.0/8".parse::<Allowlist>(), Err(BadNetwork));
    }

    #[test]
    fn an_address_is_admitted_however_it_is_dressed() {
        let list = list(&["192.0.2.0/24", "2001:db8::/32"]);
        let admits = |text: &str| list.admits(Some(text.parse().unwrap()));
        assert!(admits("192.0.2.255") && admits("::ffff:192.0.2.9") && admits("2001:db8:1::9"));
        assert!(!admits("192.0.3.0") && !admits("2001:db9::") && !admits("::192.0.2.9"));
        assert!(!list.admits(None));
    }

    #[test]
    fn all_of_one_protocol_is_nothing_of_the_other() {
        assert!(!list(&["::/0"]).admits(Some("192.0.2.1".parse().unwrap())));
        assert!(!list(&["0.0.0.0/0"]).admits(Some("2001:db8::1".parse().unwrap())));
    }

    #[test]
    fn a_list_covers_what_lies_within_it() {
        let wide = list(&["10.0.0.0/8", "2001:db8::/32"]);
        assert!(wide.covers(&list(&["10.9.0.0/16", "2001:db8::7"])));
        assert!(!wide.covers(&list(&["10.9.0.0/16", "192.0.2.1"])));
        assert!(!list(&["10.9.0.0/16"]).covers(&wide));
    }
}
