//! What must not be told, in every way that it could be written, and everything that was told.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::support::world::Answer;

/// A text that must not be told.
struct Canary {
    name: String,
    text: String,
    /// Payload or sealed, and no secret: the database is where it belongs, and its owner's answers.
    payload: bool,
    /// The one answer that shows it.
    shown: Option<usize>,
}

/// What was said to the server and what it answered.
#[derive(Default)]
pub struct Ledger {
    canaries: Vec<Canary>,
    answers: Vec<(String, String)>,
}

/// Where something was told that must not be.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    pub canary: String,
    pub place: String,
}

/// Members of answers that are secrets.
const SECRET_MEMBERS: [&str; 5] = [
    "access_token",
    "ciphertext",
    "client_secret",
    "delivery_url",
    "secret",
];

impl Ledger {
    /// A new text that belongs nowhere. It has characters that percent-encoding changes.
    pub fn plant(&mut self, name: &str) -> String {
        self.new_text(name, "Cnry/", false)
    }

    /// A new text that is kept for its owner, and belongs in no log.
    pub fn payload(&mut self, name: &str) -> String {
        self.new_text(name, "Pyld/", true)
    }

    fn new_text(&mut self, name: &str, prefix: &str, payload: bool) -> String {
        let random = onyx_auth::domain::secret::unguessable_id();
        let text = format!("{prefix}{random}+{}", self.canaries.len());
        self.keep(name, &text, payload, None);
        text
    }

    fn keep(&mut self, name: &str, text: &str, payload: bool, shown: Option<usize>) {
        if !self.canaries.iter().any(|canary| canary.text == text) {
            self.canaries.push(Canary {
                name: name.to_owned(),
                text: text.to_owned(),
                payload,
                shown,
            });
        }
    }

    /// A secret that something else than an answer showed.
    pub fn secret(&mut self, name: &str, text: &str) {
        self.keep(name, text, false, None);
    }

    /// Writes an answer down, and learns the secrets that it is meant to show.
    pub fn answered(&mut self, asked: &str, answer: &Answer) {
        let nth = self.answers.len();
        let headers: Vec<String> = answer
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        let text = format!("{}\n{}", headers.join("\n"), answer.text);
        self.answers.push((asked.to_owned(), text));
        let Ok(body) = serde_json::from_str::<serde_json::Value>(&answer.text) else {
            return;
        };
        for member in SECRET_MEMBERS.iter().filter(|_| answer.status < 300) {
            let Some(secret) = body[*member].as_str() else {
                continue;
            };
            let name = format!("{member} of {asked}");
            // Of a link the fragment is the secret, of a token its signature.
            let heart = match *member {
                "delivery_url" => secret.split_once('#').unwrap().1,
                "access_token" => secret.rsplit('.').next().unwrap(),
                // A webhook's: what stands after its prefix.
                "secret" if secret.starts_with("whsec_") => &secret["whsec_".len()..],
                _ => secret,
            };
            // Sealed under the link's key: the database keeps it, and its files may for a while after.
            let sealed = *member == "ciphertext";
            self.keep(&name, secret, sealed, Some(nth));
            self.keep(&name, heart, sealed, Some(nth));
        }
    }

    /// How many canaries there are.
    pub fn count(&self) -> usize {
        self.canaries.len()
    }

    /// Every place among these, and every answer, that tells what it must not.
    ///
    /// A place is a name, its bytes, and whether payload belongs there.
    pub fn leaks(&self, places: &[(&str, Vec<u8>, bool)]) -> Vec<Leak> {
        let mut owners = Vec::new();
        let mut spellings = Vec::new();
        for (nth, canary) in self.canaries.iter().enumerate() {
            for spelling in spelled(&canary.text) {
                owners.push(nth);
                spellings.push(spelling);
            }
        }
        let finder = AhoCorasick::new(&spellings).unwrap();
        let mut leaks = Vec::new();
        let mut look = |place: &str, bytes: &[u8], allowed: &dyn Fn(&Canary) -> bool| {
            for found in finder.find_overlapping_iter(bytes) {
                let canary = &self.canaries[owners[found.pattern().as_usize()]];
                if !allowed(canary) {
                    leaks.push(Leak {
                        canary: canary.name.clone(),
                        place: place.to_owned(),
                    });
                }
            }
        };
        for (place, bytes, payload_belongs) in places {
            look(place, bytes, &|canary| canary.payload && *payload_belongs);
        }
        for (nth, (asked, text)) in self.answers.iter().enumerate() {
            let place = format!("the answer to {asked}");
            look(&place, text.as_bytes(), &|canary| {
                canary.payload || canary.shown == Some(nth)
            });
        }
        leaks.sort();
        leaks.dedup();
        leaks
    }
}

/// The ways in which a text can be written: as it is, in hexadecimal, percent-encoded (what must be,
/// and all of it), and in base64 and base64url at each of the three places where it can begin.
fn spelled(text: &str) -> Vec<String> {
    let each = |write: fn(u8) -> String| text.bytes().map(write).collect::<String>();
    let must_be = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
    let mut all = vec![
        text.to_owned(),
        must_be.to_string(),
        text.replace('/', "%2F").replace('+', "%2B"),
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("{byte:02X}")),
        each(|byte| format!("%{byte:02X}")),
        each(|byte| format!("%{byte:02x}")),
    ];
    for before in 0..3_usize {
        let bytes = [&b"\0\0"[..before], text.as_bytes()].concat();
        // Characters that hold bits of what stands before or after are not of the text alone.
        let whole = bytes.len() - bytes.len() % 3;
        let skipped = if before == 0 { 0 } else { 4 };
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            all.push(engine.encode(&bytes[..whole])[skipped..].to_owned());
        }
    }
    all.sort();
    all.dedup();
    all
}

#[test]
fn a_canary_is_found_in_whatever_way_it_is_written() {
    let mut ledger = Ledger::default();
    let text = ledger.plant("planted");
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    for written in [
        text.clone(),
        hex,
        STANDARD_NO_PAD.encode(format!("some-id:{text}")),
        URL_SAFE_NO_PAD.encode(format!("x{text}, and more")),
        STANDARD_NO_PAD.encode(format!("xy{text}")),
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
    ] {
        let place = [("log", format!("line {written} line").into_bytes(), false)];
        assert_eq!(ledger.leaks(&place).len(), 1, "{written}");
    }
    assert_eq!(ledger.leaks(&[("log", b"Cnry/ Pyld/".to_vec(), false)]), []);
}
