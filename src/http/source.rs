//! From where a request comes, when proxies stand between.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the caller: the peer's, or what trusted proxies say of it. `None`: nobody knows, so that a list of
/// addresses lets nobody in.
///
/// The chain is walked from the end, since only its end was written by a proxy that
/// is trusted; whoever stands before the first untrusted address wrote it himself. Where the chain breaks off in a
/// name or in nonsense before that, the caller is not known; the proxy it is not, and its address may be on a list.
///
/// A proxy writes one of the two headers and passes the other on as its caller sent it. Where
/// both are there and disagree, one is forged, and nobody knows which.
pub fn address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    if !is_trusted(peer, trusted) {
        return Some(peer);
    }
    let forwarded = hops(request, &FORWARDED, forwarded_for);
    let x_forwarded_for = hops(request, &X_FORWARDED_FOR, parse);
    match (forwarded, x_forwarded_for) {
        (None, None) => Some(peer),
        (Some(hops), None) | (None, Some(hops)) => first_untrusted(&hops, trusted),
        (Some(one), Some(other)) => {
            let one = first_untrusted(&one, trusted);
            one.filter(|one| first_untrusted(&other, trusted) == Some(*one))
        }
    }
}

/// The last address that no trusted proxy has, or the first of all where they have them all.
fn first_untrusted(hops: &[Option<IpAddr>], trusted: &[IpNet]) -> Option<IpAddr> {
    let mut caller = None;
    for hop in hops.iter().rev() {
        caller = *hop;
        if !caller.is_some_and(|hop| is_trusted(hop, trusted)) {
            break;
        }
    }
    caller
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The addresses that a header lists, first hop first, with `None` for what is no address. `None`: it lists nothing.
fn hops(
    request: &HttpRequest,
    name: &HeaderName,
    read: fn(&str) -> Option<IpAddr>,
) -> Option<Vec<Option<IpAddr>>> {
    let values = request.headers().get_all(name);
    // Bytes: what a caller wrote into it must not make the proxy's part unreadable.
    let hops: Vec<_> = values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        // RFC 9110 §5.6.1.2: empty elements count for nothing.
        .filter(|hop| !hop.is_empty())
        .map(|hop| std::str::from_utf8(hop).ok().and_then(read))
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
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;

    fn seen(peer: &str, headers: &[(&str, &str)]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let mut request = TestRequest::default().peer_addr(peer.parse().unwrap());
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        address(&request.to_http_request(), &trusted)
            .map_or("nobody knows".to_owned(), |ip| ip.to_string())
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
            "nobody knows"
        );
        assert_eq!(
            seen("10.0.0.1:1", &[("x-forwarded-for", "10.0.0.7, 10.0.0.2")]),
            "10.0.0.7"
        );
        assert_eq!(seen("10.0.0.1:1", &[("x-forwarded-for", " ,")]), "10.0.0.1");
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
            "nobody knows"
        );
    }

    #[test]
    fn a_header_that_the_proxy_did_not_write_forges_nothing() {
        let forged = [
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-for", "192.0.2.1, 203.0.113.9"),
        ];
        assert_eq!(seen("10.0.0.1:1", &forged), "nobody knows");
    }

    #[test]
    fn what_a_caller_wrote_before_the_proxy_makes_nothing_unreadable() {
        let value = HeaderValue::from_bytes(b"\xff, 203.0.113.9").unwrap();
        let request = TestRequest::default()
            .peer_addr("10.0.0.1:1".parse().unwrap())
            .append_header(("x-forwarded-for", value));
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let seen = address(&request.to_http_request(), &trusted).unwrap();
        assert_eq!(seen.to_string(), "203.0.113.9");
    }
}
