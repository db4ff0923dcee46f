//! From where a request comes, when proxies stand between.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the caller: the peer's, or what trusted proxies say of it.
///
/// The chain is walked from the end, since only its end was written by a proxy that
/// is trusted; whoever stands before the first untrusted address wrote it himself.
///
/// A proxy writes one of the two headers and passes the other on as its caller sent it. Where
/// both are there and disagree, one is forged: then the peer's own address is all that is known.
pub fn address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    if !is_trusted(peer, trusted) {
        return Some(peer);
    }
    let forwarded = hops(request, &FORWARDED, forwarded_for);
    let x_forwarded_for = hops(request, &X_FORWARDED_FOR, parse);
    match (forwarded, x_forwarded_for) {
        (None, None) => Some(peer),
        (Some(hops), None) | (None, Some(hops)) => Some(first_untrusted(peer, hops, trusted)),
        (Some(one), Some(other)) => {
            let callers = [one, other].map(|hops| first_untrusted(peer, hops, trusted));
            let [one, other] = callers;
            Some(if one == other { one } else { peer })
        }
    }
}

fn first_untrusted(peer: IpAddr, hops: Vec<Option<IpAddr>>, trusted: &[IpNet]) -> IpAddr {
    let mut caller = peer;
    for hop in hops.into_iter().rev() {
        // A name or nonsense: the last address that made sense is as far as can be seen.
        let Some(hop) = hop else { break };
        caller = hop;
        if !is_trusted(hop, trusted) {
            break;
        }
    }
    caller
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The addresses that a header lists, first hop first. `None`: it was not sent.
fn hops(
    request: &HttpRequest,
    name: &HeaderName,
    read: fn(&str) -> Option<IpAddr>,
) -> Option<Vec<Option<IpAddr>>> {
    let values = request.headers().get_all(name);
    let hops: Vec<_> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|hop| read(hop.trim()))
        .collect();
    (!hops.is_empty()).then_some(hops)
}

fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pair = element.split(';').map(str::trim).find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    })?;
    parse(pair.trim_matches('"'))
}

/// An address, with or without a port; IPv6 with a port stands in brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn seen(peer: &str, headers: &[(&str, &str)]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let mut request = TestRequest::default().peer_addr(peer.parse().unwrap());
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        address(&request.to_http_request(), &trusted)
            .unwrap()
            .to_string()
    }

    #[test]
    fn an_untrusted_peer_is_not_believed() {
        assert_eq!(
            seen("203.0.113.9:1", &[("x-forwarded-for", "198.51.100.1")]),
            "203.0.113.9"
        );
    }

    #[test]
    fn the_chain_is_believed_up_to_the_first_untrusted_hop() {
        assert_eq!(
            seen(
                "10.0.0.1:1",
                &[("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2")]
            ),
            "203.0.113.9"
        );
        assert_eq!(
            seen(
                "10.0.0.1:1",
                &[("x-forwarded-for", "203.0.113.9, nonsense")]
            ),
            "10.0.0.1"
        );
        assert_eq!(seen("10.0.0.1:1", &[]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_with_ports_brackets_and_quotes() {
        let header = "for=203.0.113.9;proto=https, For=\"[2001:db8::7]:4711\"";
        assert_eq!(
            seen(
                "[::1]:1",
                &[("forwarded", header), ("x-forwarded-for", "2001:db8::7")]
            ),
            "2001:db8::7"
        );
        assert_eq!(seen("[::1]:1", &[("forwarded", header)]), "2001:db8::7");
        assert_eq!(
            seen("10.0.0.1:1", &[("forwarded", "for=\"203.0.113.9:80\"")]),
            "203.0.113.9"
        );
        assert_eq!(
            seen("10.0.0.1:1", &[("forwarded", "for=_hidden")]),
            "10.0.0.1"
        );
    }

    #[test]
    fn a_header_that_the_proxy_did_not_write_forges_nothing() {
        let forged = [
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-for", "192.0.2.1, 203.0.113.9"),
        ];
        assert_eq!(seen("10.0.0.1:1", &forged), "10.0.0.1");
    }
}
