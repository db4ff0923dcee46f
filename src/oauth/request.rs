//! A token request: form and Authorization header become one set of credentials.
//!
//! RFC 6749 §2.3.1, §3.2 and §4.4.2; RFC 8707 §2 for `resource`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::refusal::Refusal;

/// A well-formed token request; nothing in it is believed yet.
pub struct TokenRequest {
    /// Who the caller says it is.
    pub client_id: String,
    /// What it shows.
    pub secret: Zeroizing<String>,
    /// The grant type, as it was sent.
    pub grant_type: Option<String>,
    /// The scope parameter, as it was sent.
    pub scope: Option<String>,
    /// The resources asked for, in order.
    pub resources: Vec<String>,
    /// A token that is handed in, at endpoints that take one.
    pub token: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenRequest")
    }
}

/// The form's parameters that matter here; others are ignored, as RFC 6749 §3.2 demands.
#[derive(Default)]
struct Form {
    grant_type: Option<String>,
    scope: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Zeroizing<String>>,
    client_assertion: bool,
    resources: Vec<String>,
    token: Option<Zeroizing<String>>,
}

impl TokenRequest {
    /// Reads the Authorization headers and the form.
    ///
    /// # Errors
    /// `invalid_request` for what is malformed, sent twice or in two ways;
    /// `invalid_client` where no credentials are shown.
    pub fn read(authorization: &[&[u8]], body: &[u8]) -> Result<Self, Refusal> {
        let header = match authorization {
            [] => None,
            [one] => Some(*one),
            _ => {
                return Err(Refusal::invalid_request(
                    "the Authorization header was sent more than once",
                ));
            }
        };
        let form = Form::read(body)?;
        let (client_id, secret) = credentials(header, &form)?;
        Ok(Self {
            client_id,
            secret,
            grant_type: form.grant_type,
            scope: form.scope,
            resources: form.resources,
            token: form.token,
        })
    }
}

/// One set of credentials, from exactly one place.
fn credentials(header: Option<&[u8]>, form: &Form) -> Result<(String, Zeroizing<String>), Refusal> {
    let two_methods = || Refusal::invalid_request("use one client authentication method, not two");
    if let Some(header) = header {
        if form.client_secret.is_some() || form.client_assertion {
            return Err(two_methods());
        }
        let (id, secret) = basic(header)?;
        if form.client_id.as_ref().is_some_and(|other| *other != id) {
            return Err(Refusal::invalid_request(
                "client_id differs from the one in the Authorization header",
            ));
        }
        return Ok((id, secret));
    }
    match (&form.client_id, &form.client_secret) {
        (_, Some(_)) if form.client_assertion => Err(two_methods()),
        _ if form.client_assertion => Err(Refusal::NoClientAuthentication(
            "client_assertion is not supported",
        )),
        (Some(id), Some(secret)) => Ok((id.clone(), secret.clone())),
        (None, Some(_)) => Err(Refusal::invalid_request(
            "client_secret was sent without client_id",
        )),
        (_, None) => Err(Refusal::NoClientAuthentication(
            "no client credentials: use HTTP Basic, or client_id and client_secret in the form",
        )),
    }
}

/// client_secret_basic: base64, split at the first colon, then form-decode both halves (RFC 6749 §2.3.1).
fn basic(header: &[u8]) -> Result<(String, Zeroizing<String>), Refusal> {
    let malformed = || Refusal::invalid_request("the Authorization header is not valid HTTP Basic");
    let (scheme, rest) = match header.iter().position(|b| *b == b' ') {
        Some(space) => header.split_at(space),
        None => (header, &b""[..]),
    };
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(Refusal::NoClientAuthentication(
            "the Authorization header must use HTTP Basic",
        ));
    }
    let decoded = Zeroizing::new(
        STANDARD
            .decode(rest.trim_ascii())
            .map_err(|_| malformed())?,
    );
    let colon = decoded
        .iter()
        .position(|b| *b == b':')
        .ok_or_else(malformed)?;
    let (id, secret) = decoded.split_at(colon);
    let id = form_decode(id).ok_or_else(malformed)?;
    let secret = form_decode(secret.get(1..).unwrap_or_default()).ok_or_else(malformed)?;
    Ok((id.into_owned(), Zeroizing::new(secret.into_owned())))
}

impl Form {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let mut form = Self::default();
        let mut seen = BTreeSet::new();
        for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(equals);
            let bad = || {
                Refusal::invalid_request("the body is not valid application/x-www-form-urlencoded")
            };
            let name = form_decode(name).ok_or_else(bad)?;
            let value = form_decode(value.get(1..).unwrap_or_default()).ok_or_else(bad)?;
            // "Parameters sent without a value MUST be treated as if they were omitted" (RFC 6749 §3.2).
            if value.is_empty() {
                continue;
            }
            let value = value.into_owned();
            let is_first = match &*name {
                "resource" => {
                    form.resources.push(value);
                    true
                }
                "grant_type" => form.grant_type.replace(value).is_none(),
                "scope" => form.scope.replace(value).is_none(),
                "client_id" => form.client_id.replace(value).is_none(),
                "client_secret" => {
                    let secret = Zeroizing::new(value);
                    form.client_secret.replace(secret).is_none()
                }
                "token" => form.token.replace(Zeroizing::new(value)).is_none(),
                other => {
                    let is_assertion =
                        matches!(other, "client_assertion" | "client_assertion_type");
                    form.client_assertion |= is_assertion;
                    seen.insert(name)
                }
            };
            if !is_first {
                return Err(Refusal::invalid_request(
                    "a parameter was sent more than once",
                ));
            }
        }
        Ok(form)
    }
}

/// Decodes one form-encoded name or value strictly: whole escapes, UTF-8, no NUL. `None`: malformed.
///
/// The library's decoder is lenient and would replace what it cannot read, so
/// two different secrets could become one; the escapes are checked first.
fn form_decode(encoded: &[u8]) -> Option<Cow<'_, str>> {
    if !encoded.iter().any(|b| matches!(b, b'%' | b'+' | 0)) {
        // Nothing to decode, as almost always.
        return std::str::from_utf8(encoded).ok().map(Cow::Borrowed);
    }
    let mut rest = encoded;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        let digits = rest.get(at + 1..at + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = rest.get(at + 3..)?;
    }
    let spaced: Cow<'_, [u8]> = if encoded.contains(&b'+') {
        encoded
            .iter()
            .map(|b| if *b == b'+' { b' ' } else { *b })
            .collect::<Vec<_>>()
            .into()
    } else {
        encoded.into()
    };
    let text = percent_encoding::percent_decode(&spaced)
        .decode_utf8()
        .ok()?;
    if text.contains('\0') {
        None
    } else {
        Some(Cow::Owned(text.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(authorization: &[&str], body: &str) -> Result<TokenRequest, Refusal> {
        let headers: Vec<&[u8]> = authorization.iter().map(|h| h.as_bytes()).collect();
        TokenRequest::read(&headers, body.as_bytes())
    }

    #[test]
    fn basic_credentials_are_form_decoded_after_the_split() {
        for (header, id, secret) in [
            (
                "Basic YW4lM0FpZGVudGlmaWVyOnNvbWUrc2VjdXJlKyUyNitub24tc3RhbmRhcmQrc2VjcmV0",
                "an:identifier",
                "some secure & non-standard secret",
            ),
            ("bAsIc KyUyNSUyNiUyQjorJTI1JTI2JTJC", " %&+", " %&+"),
        ] {
            let request = read(&[header], "grant_type=client_credentials").unwrap();
            assert_eq!(
                (request.client_id.as_str(), request.secret.as_str()),
                (id, secret)
            );
        }
    }

    #[test]
    fn two_ways_to_authenticate_are_one_too_many() {
        let basic = "Basic YTpi"; // a:b
        assert!(read(&[basic], "client_id=a").is_ok());
        for (headers, body) in [
            (&[basic][..], "client_id=other"),
            (&[basic], "client_secret=b"),
            (&[basic], "client_assertion=x"),
            (&[basic, basic], ""),
            (&[], "client_id=a&client_secret=b&client_assertion=x"),
            (&[], "client_secret=b"),
            (&[], "client_id=a&client_id=a&client_secret=b"),
            (&[], "scope=a&scope=b&client_id=a&client_secret=b"),
        ] {
            assert_eq!(
                read(headers, body).unwrap_err().code(),
                "invalid_request",
                "{headers:?} {body}"
            );
        }
    }

    #[test]
    fn malformed_encodings_are_refused_and_never_repaired() {
        for header in [
            "Basic !",
            "Basic",
            "Basic YQ==",
            "Basic JTpi",
            "Basic YSVmZjpi",
        ] {
            assert_eq!(
                read(&[header], "").unwrap_err().code(),
                "invalid_request",
                "{header}"
            );
        }
        for body in [
            "client_id=%",
            "client_id=%2",
            "client_id=%zz",
            "client_id=%ff",
            "client_id=a%00",
            "%=1",
        ] {
            assert_eq!(
                read(&[], body).unwrap_err().code(),
                "invalid_request",
                "{body}"
            );
        }
    }

    #[test]
    fn an_empty_value_counts_as_omitted_and_unknown_parameters_are_ignored() {
        let request = read(
            &[],
            "scope=&scope=x&client_id=a&client_secret=b&foo=1&resource=r1&resource=r2",
        )
        .unwrap();
        assert_eq!(request.scope.as_deref(), Some("x"));
        assert_eq!(request.resources, ["r1", "r2"]);
        assert!(request.grant_type.is_none());
    }

    #[test]
    fn a_request_without_credentials_is_invalid_client() {
        for (headers, body) in [
            (&[][..], ""),
            (&[], "client_id=a"),
            (&["Bearer x"], ""),
            (&[], "client_assertion=x"),
        ] {
            assert_eq!(
                read(headers, body).unwrap_err().code(),
                "invalid_client",
                "{headers:?} {body}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(header: Vec<u8>, body: Vec<u8>) {
            let _ = TokenRequest::read(&[&header], &body);
            let _ = TokenRequest::read(&[], &body);
        }

        #[test]
        fn what_a_client_encodes_is_what_is_read(id in "[^\0]{1,40}", secret in "[^\0]{1,80}") {
            let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let header = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(&id), encode(&secret))));
            let request = TokenRequest::read(&[header.as_bytes()], b"").unwrap();
            prop_assert_eq!(&request.client_id, &id);
            prop_assert_eq!(request.secret.as_str(), secret.as_str());
        }
    }
}
