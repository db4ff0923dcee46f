//! Where a request carries its token (RFC 6750 §2).

use url::form_urlencoded;

use crate::{Rejection, TokenFault};

/// Takes the token out of a request's `Authorization` values and refuses every other place.
///
/// Tokens in a form body (§2.2) are not looked for: to a service that verifies with this crate
/// such a request carries no token.
pub(crate) fn token<'a>(
    authorization: impl Iterator<Item = &'a [u8]>,
    query: Option<&str>,
) -> Result<&'a str, Rejection> {
    // §2.3: URLs end up in logs, histories and Referer fields.
    let in_query = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .any(|(name, _)| name == "access_token");
    if in_query {
        return Err(Rejection::InvalidRequest(
            "An access token must not be sent in the query string.",
        ));
    }
    let mut authorization = authorization;
    let Some(value) = authorization.next() else {
        return Err(Rejection::NoCredentials);
    };
    if authorization.next().is_some() {
        return Err(Rejection::InvalidRequest(
            "The Authorization header must not be repeated.",
        ));
    }
    let value = value.trim_ascii();
    let end = value.iter().position(|byte| *byte == b' ');
    let (scheme, credentials) = value.split_at(end.unwrap_or(value.len()));
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Rejection::NoCredentials);
    }
    let token = credentials.trim_ascii_start();
    if token.is_empty() || token.iter().any(u8::is_ascii_whitespace) {
        return Err(Rejection::InvalidRequest(
            "The Authorization header must be Bearer, a space and one access token.",
        ));
    }
    // §3.1: the request is in order where its one token is not, and its caller is to fetch another.
    std::str::from_utf8(token)
        .ok()
        .filter(|token| is_b64token(token))
        .ok_or(Rejection::InvalidToken(TokenFault::Malformed))
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (§2.1)
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take<'a>(values: &[&'a str], query: Option<&str>) -> Result<&'a str, Rejection> {
        token(values.iter().map(|value| value.as_bytes()), query)
    }

    #[test]
    fn the_scheme_knows_no_case() {
        for value in [
            "Bearer a.b.c",
            "bearer a.b.c",
            "BEARER   a.b.c",
            " Bearer a.b.c ",
        ] {
            assert_eq!(take(&[value], Some("page=2")), Ok("a.b.c"), "{value:?}");
        }
        assert_eq!(take(&["Bearer YQ=="], None), Ok("YQ=="));
    }

    #[test]
    fn another_scheme_is_no_credential() {
        for value in ["", "Basic YTpi", "DPoP a.b.c", "Bearerx a.b.c", "a.b.c"] {
            assert_eq!(
                take(&[value], None),
                Err(Rejection::NoCredentials),
                "{value:?}"
            );
        }
        assert_eq!(take(&[], None), Err(Rejection::NoCredentials));
    }

    #[test]
    fn a_malformed_header_is_a_bad_request() {
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a\tb",
            "Bearer a, Basic b",
            "Bearer \"a b\"",
            "Bearer \u{e9} b",
        ] {
            let refused = take(&[value], None);
            assert!(
                matches!(refused, Err(Rejection::InvalidRequest(_))),
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_single_word_is_a_token_however_malformed() {
        let malformed = Err(Rejection::InvalidToken(TokenFault::Malformed));
        for value in [
            "Bearer =",
            "Bearer a,b",
            "Bearer \"a\"",
            "Bearer {\"payload\":\"\"}",
            "Bearer a=b",
            "Bearer \u{e9}",
            "Bearer a.b.\u{a0}",
        ] {
            assert_eq!(take(&[value], None), malformed, "{value:?}");
        }
        let not_utf8 = b"Bearer \xff".as_slice();
        assert_eq!(token([not_utf8].into_iter(), None), malformed);
    }

    #[test]
    fn two_headers_or_a_token_in_the_query_are_a_bad_request() {
        let twice = take(&["Bearer a", "Bearer a"], None);
        assert!(matches!(twice, Err(Rejection::InvalidRequest(_))));
        let both = take(&["Bearer a", "Basic a"], None);
        assert!(matches!(both, Err(Rejection::InvalidRequest(_))));
        for query in ["access_token=a", "x=1&access%5Ftoken=a", "access_token"] {
            for values in [&["Bearer a"][..], &[]] {
                let refused = take(values, Some(query));
                assert!(
                    matches!(refused, Err(Rejection::InvalidRequest(_))),
                    "{query}"
                );
            }
        }
    }
}
