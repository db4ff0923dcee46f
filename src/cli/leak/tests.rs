//! What the finder finds, whatever stands around it and however it is read.

use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::find::{Finder, Finding, What};
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::secret::PlainSecret;

/// Gives out what it has in pieces of these lengths, over and over.
struct Pieces<'a> {
    rest: &'a [u8],
    lengths: Vec<usize>,
    nth: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = self.lengths[self.nth % self.lengths.len()].max(1);
        self.nth += 1;
        let length = wanted.min(into.len()).min(self.rest.len());
        let (now, rest) = self.rest.split_at(length);
        into[..length].copy_from_slice(now);
        self.rest = rest;
        Ok(length)
    }
}

fn in_pieces(bytes: &[u8], lengths: &[usize]) -> Vec<Finding> {
    let mut found = Vec::new();
    let lengths = lengths.to_vec();
    let pieces = Pieces {
        rest: bytes,
        lengths,
        nth: 0,
    };
    let read = Finder::new()
        .unwrap()
        .search(pieces, |finding| found.push(finding));
    assert_eq!(read.unwrap(), bytes.len() as u64);
    found
}

fn find(bytes: &[u8]) -> Vec<Finding> {
    in_pieces(bytes, &[usize::MAX])
}

/// A finding in a line; a secret only here, where nobody else reads it.
fn told(finding: &Finding) -> String {
    let what = match &finding.what {
        What::Secret { secret, client_id } => {
            let client = client_id.as_ref().map(ClientId::as_str);
            format!("{} {}", secret.expose(), client.unwrap_or("-"))
        }
        What::Token {
            client_id,
            credential_id,
            expires_at,
        } => format!("{client_id} {credential_id:?} {expires_at}"),
    };
    format!("{}:{} {what}", finding.line, finding.column)
}

fn secret(realm: Realm) -> PlainSecret {
    PlainSecret::generate(realm).unwrap()
}

fn client(realm: Realm) -> ClientId {
    ClientId::generate(realm, Instant::from_epoch_seconds(1_800_000_000))
}

fn jwt(header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{claims}.{}", "s".repeat(86))
}

const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"}"#;

fn claims(client: &str) -> String {
    format!(
        r#"{{"iss":"https://as/live","sub":"{client}","client_id":"{client}","aud":"https://as/live/v1","scope":"","iat":1,"exp":1800000000,"jti":"j"}}"#
    )
}

fn wide(text: &str, is_big: bool) -> Vec<u8> {
    let pair = |unit: u16| {
        if is_big {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        }
    };
    text.encode_utf16().flat_map(pair).collect()
}

#[test]
fn a_secret_is_found_in_its_place() {
    for realm in Realm::ALL {
        let secret = secret(*realm);
        let text = format!("a: 1\r\nKEY=\"{}\"\nend", secret.expose());
        let found = find(text.as_bytes());
        assert_eq!(found.len(), 1);
        assert_eq!(told(&found[0]), format!("2:6 {} -", secret.expose()));
    }
}

#[test]
fn what_stands_close_by_hides_nothing() {
    let (one, other) = (secret(Realm::Live), secret(Realm::Sandbox));
    let text = format!("xonyx_{}{}onyx_live_sk_", one.expose(), other.expose());
    let found = find(text.as_bytes());
    assert_eq!(found.len(), 2);
}

#[test]
fn a_look_alike_is_no_secret() {
    let secret = secret(Realm::Live);
    let text = secret.expose();
    let swapped = text.replace("live", "adm");
    let short = &text[..text.len() - 1];
    let documented = format!("onyx_live_sk_{}", "X".repeat(49));
    for look_alike in [swapped.as_str(), short, &documented, &text.to_uppercase()] {
        assert!(find(look_alike.as_bytes()).is_empty());
    }
}

#[test]
fn basic_credentials_are_seen_through() {
    let (client, secret) = (client(Realm::Live), secret(Realm::Live));
    let basic = STANDARD.encode(format!("{client}:{}", secret.expose()));
    for text in [
        format!("Authorization: Basic {basic}\r\n"),
        format!("Basic {}", basic.trim_end_matches('=')),
    ] {
        let found = find(text.as_bytes());
        assert_eq!(found.len(), 1);
        assert!(told(&found[0]).ends_with(&format!("{} {client}", secret.expose())));
    }
}

#[test]
fn utf_16_is_read_in_either_order() {
    let (client, secret) = (client(Realm::Sandbox), secret(Realm::Sandbox));
    let token = jwt(HEADER, &claims(client.as_str()));
    for is_big in [false, true] {
        let text = wide(&format!("é\nkey = {}\n{token}", secret.expose()), is_big);
        for lengths in [vec![usize::MAX], vec![1], vec![2, 3]] {
            let found = in_pieces(&text, &lengths);
            assert_eq!(found.len(), 2, "{is_big} {lengths:?}");
            assert_eq!((found[0].line, found[1].line), (2, 3));
        }
    }
}

#[test]
fn a_token_is_known_by_what_it_says_of_itself() {
    let client = client(Realm::Live);
    let ours = jwt(HEADER, &claims(client.as_str()));
    let found = find(format!("Bearer {ours}").as_bytes());
    assert_eq!(found.len(), 1);
    assert_eq!(
        told(&found[0]),
        format!("1:8 {client} None 2027-01-15T08:00:00Z")
    );
    let of_others = [
        jwt(
            r#"{"alg":"ES256","typ":"JWT","kid":"k1"}"#,
            &claims(client.as_str()),
        ),
        jwt(
            r#"{"alg":"ES256","typ":"at+jwt"}"#,
            &claims(client.as_str()),
        ),
        jwt(HEADER, &claims("somebody")),
        jwt(HEADER, r#"{"sub":"x"}"#),
        ours.trim_end_matches('s').to_owned(),
        ours.replace('.', " "),
    ];
    for other in of_others {
        assert!(find(other.as_bytes()).is_empty(), "{other}");
    }
}

#[test]
fn a_secret_across_the_buffers_end_is_found() {
    let secret = secret(Realm::Live);
    let chunk = 256 * 1024;
    for before in chunk - 70..chunk + 5 {
        let mut text = vec![b'x'; before];
        text.extend_from_slice(secret.expose().as_bytes());
        text.extend_from_slice(b"yz\n");
        let found = find(&text);
        assert_eq!(found.len(), 1, "{before}");
        assert_eq!((found[0].line, found[0].column), (1, before as u64 + 1));
    }
}

#[test]
fn a_long_token_across_the_buffers_end_is_found_once() {
    let client = client(Realm::Live);
    let long = claims(client.as_str()).replace(
        r#""scope":"""#,
        &format!(r#""scope":"{}""#, "a".repeat(8000)),
    );
    let token = jwt(HEADER, &long);
    for before in [0, 250_000, 256 * 1024 - 8000, 256 * 1024 - 4] {
        let mut text = vec![b' '; before];
        text.extend_from_slice(token.as_bytes());
        assert_eq!(find(&text).len(), 1, "{before}");
    }
}

/// Pieces out of which files are made that tempt the finder.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let client = "cl_live_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let secret = secret(Realm::Live);
    let texts = vec![
        secret.expose().to_owned(),
        STANDARD.encode(format!("{client}:{}", secret.expose())),
        jwt(HEADER, &claims(client)),
        URL_SAFE_NO_PAD.encode(HEADER),
        "onyx_".to_owned(),
        "onyx_live_sk_".to_owned(),
        "eyJ".to_owned(),
        "Y2xf".to_owned(),
        ".".to_owned(),
        "\n".to_owned(),
    ];
    let narrow = prop::sample::select(texts);
    let noise = prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        4 => narrow.clone().prop_map(String::into_bytes),
        1 => (narrow, any::<bool>()).prop_map(|(text, is_big)| wide(&text, is_big)),
        2 => noise,
        1 => (1..700_usize).prop_map(|length| vec![b'A'; length]),
    ]
}

proptest! {
    /// However it is read, the same is found: where a piece ends decides nothing.
    #[test]
    fn pieces_change_nothing(
        fragments in prop::collection::vec(fragment(), 0..12),
        lengths in prop::collection::vec(1..400_usize, 1..6),
    ) {
        let bytes = fragments.concat();
        let whole: Vec<_> = find(&bytes).iter().map(told).collect();
        let pieces: Vec<_> = in_pieces(&bytes, &lengths).iter().map(told).collect();
        prop_assert_eq!(whole, pieces);
    }

    /// Every secret is found in its place, whatever stands around it; and nothing else is.
    #[test]
    fn every_secret_is_found(
        around in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
        lengths in prop::collection::vec(1..100_usize, 1..4),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (nth, bits) in around.iter().enumerate() {
            bytes.extend_from_slice(bits);
            let secret = secret(Realm::ALL[nth % 3]);
            let line = 1 + bytes.iter().filter(|b| **b == b'\n').count();
            let start = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            expected.push(format!("{line}:{} {} -", bytes.len() - start + 1, secret.expose()));
            bytes.extend_from_slice(secret.expose().as_bytes());
        }
        let found: Vec<_> = in_pieces(&bytes, &lengths).iter().map(told).collect();
        prop_assert_eq!(found, expected);
    }

    /// One wrong character, and it is none.
    #[test]
    fn a_mistyped_secret_is_not_found(nth in 0..62_usize, with in "[0-9A-Za-z_]") {
        let secret = secret(Realm::Live);
        let mut text = secret.expose().to_owned();
        text.replace_range(nth..=nth, &with);
        prop_assume!(text != secret.expose());
        prop_assert!(find(text.as_bytes()).is_empty());
    }
}
