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
pub fn address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    if !is_trusted(peer, trusted) {
        return Some(peer);
    }
    let mut caller = peer;
    for hop in chain(request).into_iter().rev() {
        // A name or nonsense: the last address that made sense is as far as can be seen.
        let Some(hop) = hop else { break };
        caller = hop;
        if !is_trusted(hop, trusted) {
            break;
        }
    }
    Some(caller)
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The addresses of `Forwarded` (RFC 7239), or else of `X-Forwarded-For`, first hop first.
fn chain(request: &HttpRequest) -> Vec<Option<IpAddr>> {
    let texts = |name: &HeaderName| -> Vec<String> {
        let values = request
            .headers()
            .get_all(name)
            .filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .map(|hop| hop.trim().to_owned())
            .collect()
    };
    let forwarded = texts(&FORWARDED);
    if forwarded.is_empty() {
        return texts(&X_FORWARDED_FOR)
            .iter()
            .map(|hop| parse(hop))
            .collect();
    }
    forwarded
        .iter()
        .map(|element| forwarded_for(element))
        .collect()
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
                &[("forwarded", header), ("x-forwarded-for", "1.1.1.1")]
            ),
            "2001:db8::7"
        );
        assert_eq!(
            seen("10.0.0.1:1", &[("forwarded", "for=\"203.0.113.9:80\"")]),
            "203.0.113.9"
        );
        assert_eq!(
            seen("10.0.0.1:1", &[("forwarded", "for=_hidden")]),
            "10.0.0.1"
        );
    }
}
