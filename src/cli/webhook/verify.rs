//! `onyx-auth webhook verify`: what a receiver must check of a message, and what of it fails.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::secret;
use crate::cli::output::Output;
use crate::cli::{Done, Failure};
use crate::clock::Clock;
use crate::domain::instant::Instant;
use crate::keys::webhook::WebhookKey;
use crate::webhook::sign::{self, Headers, TOLERANCE};

/// The most bytes of a body or of headers.
const LONGEST: u64 = 4 * 1024 * 1024;

#[derive(Args)]
pub(in crate::cli) struct Verify {
    /// The file with the secret (whsec_…) or the public key (whpk_…); - for standard input
    #[arg(long, value_name = "FILE")]
    secret: PathBuf,
    /// The file with the body, byte for byte as it came; - for standard input
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// A file with the message's headers, one `name: value` a line
    #[arg(long, value_name = "FILE", required_unless_present = "header")]
    headers: Option<PathBuf>,
    /// A header, `name: value`; may be said several times
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Do not mind how old it is
    #[arg(long)]
    any_age: bool,
}

pub(super) fn run(options: &Verify, output: &Output) -> Done {
    if options.secret.as_os_str() == "-" && options.body.as_os_str() == "-" {
        let detail = "either the secret or the body is on standard input";
        return Err(Failure::Usage(detail.to_owned()));
    }
    let key = secret::key(&options.secret)?;
    let body = read(&options.body)?;
    let mut headers = Vec::new();
    if let Some(path) = &options.headers {
        let text = String::from_utf8(read(path)?)?;
        headers.extend(text.lines().filter_map(header));
    }
    for given in &options.header {
        let parts = header(given).ok_or_else(|| {
            Failure::Usage(format!("--header {given:?}: must be like `name: value`"))
        })?;
        headers.push(parts);
    }
    let faults = faults(
        &key,
        &headers,
        &body,
        options.any_age,
        Clock::system().now(),
    );
    output.record(&json!({ "valid": faults.is_empty(), "faults": faults }))?;
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Failure::Refused(format!(
            "the message must not be believed: {}",
            faults.join("; ")
        ))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(LONGEST).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(path)
            .map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))?;
        file.take(LONGEST).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Name and value of a line. `None`: a request line, or an empty one.
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim().to_ascii_lowercase();
    (!name.contains(' ')).then(|| (name, value.trim().to_owned()))
}

/// All that is wrong with a message.
fn faults(
    key: &WebhookKey,
    headers: &[(String, String)],
    body: &[u8],
    any_age: bool,
    now: Instant,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut value = |name: &str| {
        let mut found = headers.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) if !value.is_empty() => return Some(value.clone()),
            (Some(_), Some(_)) => faults.push(format!("{name} is there more than once")),
            _ => faults.push(format!("the header {name} is missing")),
        }
        None
    };
    let (id, timestamp, signature) = (
        value(sign::ID),
        value(sign::TIMESTAMP),
        value(sign::SIGNATURE),
    );
    let timestamp = timestamp.and_then(|text| {
        let seconds = text.parse::<i64>().ok();
        if seconds.is_none() {
            faults.push(format!(
                "{} is no number of seconds: {text}",
                sign::TIMESTAMP
            ));
        }
        seconds
    });
    if let Some(seconds) = timestamp.filter(|_| !any_age) {
        faults.extend(age(seconds, now));
    }
    let (Some(id), Some(timestamp), Some(signature)) = (id, timestamp, signature) else {
        return faults;
    };
    let headers = Headers {
        id,
        timestamp,
        signature,
    };
    faults.extend(unsigned(key, &headers, body));
    faults
}

/// How a message's time is wrong.
fn age(seconds: i64, now: Instant) -> Option<String> {
    let apart = now.epoch_seconds() - seconds;
    let most = TOLERANCE.as_secs();
    match apart.unsigned_abs() <= most {
        true => None,
        false if apart > 0 => Some(format!(
            "{} is {apart} seconds ago, and {most} are accepted: an old message sent again, or a clock that is wrong",
            sign::TIMESTAMP
        )),
        false => Some(format!(
            "{} is {} seconds ahead, and {most} are accepted: this machine's clock is slow, or the sender's fast",
            sign::TIMESTAMP,
            apart.unsigned_abs()
        )),
    }
}

/// Why no signature fits.
fn unsigned(key: &WebhookKey, headers: &Headers, body: &[u8]) -> Option<String> {
    let at = Instant::from_epoch_seconds(headers.timestamp);
    let fits = |body: &[u8]| sign::verify(key, headers, body, Duration::ZERO, at).is_ok();
    if fits(body) {
        return None;
    }
    let kind = key_kind(key);
    let of_kind = headers
        .signature
        .split(' ')
        .filter(|one| {
            one.split_once(',')
                .is_some_and(|(version, _)| version == kind)
        })
        .count();
    if of_kind == 0 {
        return Some(format!(
            "{} has no signature of the key's kind, {kind}: {}",
            sign::SIGNATURE,
            headers.signature
        ));
    }
    let ends = [&b"\r\n"[..], b"\n"];
    if ends
        .iter()
        .any(|end| body.strip_suffix(*end).is_some_and(fits))
    {
        return Some(
            "the signature fits the body without its last line end: keep the body's bytes as they came"
                .to_owned(),
        );
    }
    if fits(&[body, b"\n"].concat()) {
        return Some(
            "the signature fits the body with a line end behind it: keep the body's bytes as they came"
                .to_owned(),
        );
    }
    let compact = serde_json::from_slice::<&serde_json::value::RawValue>(body)
        .is_ok()
        .then(|| compact(body));
    if compact.is_some_and(|text| fits(&text)) {
        return Some(
            "the signature fits the same JSON without white space: verify the bytes that came, before any parser has them"
                .to_owned(),
        );
    }
    Some(format!(
        "no signature of {of_kind} fits: another secret, or a body, an id or a timestamp that is not as it was sent"
    ))
}

fn key_kind(key: &WebhookKey) -> &'static str {
    match key {
        WebhookKey::Shared(secret) => secret.kind().as_str(),
        WebhookKey::Public(_) => crate::domain::webhook::SignatureKind::V1a.as_str(),
    }
}

/// JSON without the white space between its tokens; everything else stays as it was written.
fn compact(json: &[u8]) -> Vec<u8> {
    let (mut text, mut within, mut escaped) = (Vec::with_capacity(json.len()), false, false);
    for byte in json.iter().copied() {
        if within {
            within = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            within = byte == b'"';
        }
        text.push(byte);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::webhook::WebhookSecret;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const BODY: &[u8] = br#"{"id":"evt_1","note":"a \" b"}"#;

    fn now() -> Instant {
        Instant::from_epoch_seconds(1_800_000_000)
    }

    fn signed(at: i64) -> Vec<(String, String)> {
        let secret: WebhookSecret = SECRET.parse().unwrap();
        let at = Instant::from_epoch_seconds(at);
        let headers = sign::sign([&secret], "evt_1", at, BODY);
        headers.pairs().map(|(n, v)| (n.to_owned(), v)).into()
    }

    fn told(headers: &[(String, String)], body: &[u8]) -> String {
        faults(&SECRET.parse().unwrap(), headers, body, false, now()).join("; ")
    }

    #[test]
    fn what_is_good_has_no_fault() {
        assert_eq!(told(&signed(1_800_000_000), BODY), "");
        let old = signed(1_700_000_000);
        assert!(faults(&SECRET.parse().unwrap(), &old, BODY, true, now()).is_empty());
    }

    #[test]
    fn each_fault_is_told_for_what_it_is() {
        let good = signed(1_800_000_000);
        let without = |name: &str| {
            let mut headers = good.clone();
            headers.retain(|(known, _)| known != name);
            headers
        };
        assert_eq!(
            told(&without("webhook-id"), BODY),
            "the header webhook-id is missing"
        );
        let mut twice = good.clone();
        twice.push(good[0].clone());
        assert_eq!(told(&twice, BODY), "webhook-id is there more than once");
        assert!(told(&signed(1_799_999_600), BODY).contains("is 400 seconds ago"));
        assert!(told(&signed(1_800_000_400), BODY).contains("is 400 seconds ahead"));
        let mut odd = good.clone();
        odd[1].1 = "yesterday".to_owned();
        assert!(told(&odd, BODY).contains("no number of seconds"));
        let mut other = good.clone();
        other[0].1 = "evt_2".to_owned();
        assert!(told(&other, BODY).starts_with("no signature of 1 fits"));
        let mut kind = good.clone();
        kind[2].1 = kind[2].1.replace("v1,", "v1a,");
        assert!(told(&kind, BODY).contains("no signature of the key's kind, v1:"));
    }

    #[test]
    fn a_body_that_something_rewrote_is_known_by_it() {
        let good = signed(1_800_000_000);
        for end in ["\n", "\r\n"] {
            let longer = [BODY, end.as_bytes()].concat();
            assert!(told(&good, &longer).contains("without its last line end"));
        }
        let pretty = b"{ \"id\": \"evt_1\",\n  \"note\": \"a \\\" b\" }";
        assert!(told(&good, pretty).contains("without white space"));
        let changed = br#"{"id":"evt_1","note":"a \" c"}"#;
        assert!(told(&good, changed).starts_with("no signature of 1 fits"));
    }
}
