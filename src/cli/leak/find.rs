//! Finds Onyx secrets and access tokens in bytes, wherever they come from.
//!
//! A secret is known by its prefix and checksum, a token by its header and claims: what only
//! looks like one is passed over. Knows no files, and never gives a secret out but as
//! [`PlainSecret`], which cannot be printed.
//!
//! Found are secrets as they are, within HTTP Basic credentials of base64, and both in
//! UTF-16; not found is what was compressed, encrypted, or encoded otherwise.

use std::borrow::Cow;
use std::io::{self, Read};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurposeConfig;
use base64::engine::general_purpose::{GeneralPurpose, URL_SAFE_NO_PAD};
use onyx_verifier::Claims;
use serde::Deserialize;

use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::secret::PlainSecret;

/// What is read at a time.
const CHUNK: usize = 256 * 1024;
/// `onyx_live_sk_` and 49 characters; the other realms' are shorter by one.
const SECRET: [usize; 2] = [61, 62];
/// The longest header of a token that is looked at; ours have some 100 characters.
const MAX_HEADER: usize = 256;
/// The longest claims that are looked at.
const MAX_CLAIMS: usize = 16 * 1024;
/// A signature has at least 64 bytes.
const MIN_SIGNATURE: usize = 86;
/// `cl_live_`, a ULID, a colon and a secret, in base64.
const MAX_BASIC: usize = 132;

/// Base64 as HTTP Basic has it, its padding perhaps cut off.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Something that does not belong where it is.
#[derive(Debug)]
pub(super) struct Finding {
    /// From 1; a line ends with a line feed.
    pub(super) line: u64,
    /// In bytes from the line's start, from 1.
    pub(super) column: u64,
    pub(super) what: What,
}

/// What was found.
#[derive(Debug)]
pub(super) enum What {
    /// A client secret; within Basic credentials, the client that it was sent for.
    Secret {
        secret: PlainSecret,
        client_id: Option<ClientId>,
    },
    /// An access token by its unverified claims.
    Token {
        client_id: ClientId,
        credential_id: Option<CredentialId>,
        expires_at: Instant,
    },
}

/// What is at a place where something could start.
enum At {
    Found(What),
    Nothing,
    /// More must be read to tell.
    Cut,
}

/// The beginnings by which places are found.
#[derive(Clone, Copy)]
enum Start {
    Secret,
    Token,
    Basic,
}

/// The beginnings: long enough that little else starts like them.
const STARTS: [(&str, Start); 9] = [
    ("onyx_sbx_sk_", Start::Secret),
    ("onyx_live_sk_", Start::Secret),
    ("onyx_adm_sk_", Start::Secret),
    // `{"typ"`, `{"alg"` and `{"kid"` in base64.
    ("eyJ0eXAi", Start::Token),
    ("eyJhbGci", Start::Token),
    ("eyJraWQi", Start::Token),
    // `cl_sbx`, `cl_liv` and `cl_adm` in base64.
    ("Y2xfc2J4", Start::Basic),
    ("Y2xfbGl2", Start::Basic),
    ("Y2xfYWRt", Start::Basic),
];
/// The longest of them in UTF-16.
const LONGEST_START: usize = 25;

/// In UTF-16 a character's zero stands on the one side or the other; between two characters it
/// stands in both.
fn wide(text: &str) -> Vec<u8> {
    let mut wide: Vec<u8> = text.bytes().flat_map(|byte| [byte, 0]).collect();
    wide.pop();
    wide
}

/// Searches streams; one a thread, since it keeps its buffer.
pub(super) struct Finder {
    starts: AhoCorasick,
    buffer: Vec<u8>,
}

impl Finder {
    pub(super) fn new() -> Result<Self, aho_corasick::BuildError> {
        let narrow = STARTS.iter().map(|(text, _)| text.as_bytes().to_vec());
        let starts = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(narrow.chain(STARTS.map(|(text, _)| wide(text))))?;
        let buffer = vec![0; CHUNK];
        Ok(Self { starts, buffer })
    }

    /// Reads to the end and tells what is found, in order; answers how many bytes were read.
    pub(super) fn search(
        &mut self,
        mut from: impl Read,
        mut tell: impl FnMut(Finding),
    ) -> io::Result<u64> {
        let mut place = Place { line: 1, column: 1 };
        let (mut filled, mut total) = (0, 0);
        loop {
            let read = match from.read(self.buffer.get_mut(filled..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            total += read as u64;
            filled += read;
            let is_end = read == 0;
            let data = self.buffer.get(..filled).unwrap_or_default();
            let kept = self.search_piece(data, is_end, &mut place, &mut tell);
            if is_end {
                return Ok(total);
            }
            self.buffer.copy_within(kept..filled, 0);
            filled -= kept;
        }
    }

    /// Searches what is there; answers from where on it must be seen again with what follows.
    fn search_piece(
        &self,
        data: &[u8],
        is_end: bool,
        place: &mut Place,
        tell: &mut impl FnMut(Finding),
    ) -> usize {
        // A beginning may itself be cut.
        let mut kept = data.len().saturating_sub(LONGEST_START - 1);
        let mut seen = 0;
        for hit in self.starts.find_iter(data) {
            let nth = hit.pattern().as_usize();
            let Some((_, start)) = STARTS.get(nth % STARTS.len()) else {
                continue;
            };
            let rest = data.get(hit.start()..).unwrap_or_default();
            let text = Text {
                bytes: rest,
                // The narrow ones come first.
                width: 1 + nth / STARTS.len(),
                is_end,
            };
            let found = match start {
                Start::Secret => secret(text),
                Start::Token => token(text),
                Start::Basic => basic(text),
            };
            match found {
                At::Found(what) => {
                    place.pass(data.get(seen..hit.start()).unwrap_or_default());
                    seen = hit.start();
                    let Place { line, column } = *place;
                    tell(Finding { line, column, what });
                    // Not to be found again where the next piece starts before its end.
                    kept = kept.max(hit.end());
                }
                At::Nothing => kept = kept.max(hit.end().min(data.len())),
                At::Cut => {
                    kept = hit.start();
                    break;
                }
            }
        }
        place.pass(data.get(seen..kept).unwrap_or_default());
        kept
    }
}

/// Where in the lines.
#[derive(Clone, Copy)]
struct Place {
    line: u64,
    column: u64,
}

impl Place {
    fn pass(&mut self, bytes: &[u8]) {
        let mut last = None;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.line += 1;
            last = Some(end);
        }
        match last {
            Some(end) => self.column = (bytes.len() - end) as u64,
            None => self.column += bytes.len() as u64,
        }
    }
}

/// Text from a place on, its characters one or two bytes wide.
#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    width: usize,
    /// Nothing follows.
    is_end: bool,
}

impl<'a> Text<'a> {
    /// The next characters, at most so many, as long as they are wanted; and whether they end
    /// only because more must be read.
    fn run(self, max: usize, wanted: impl Fn(u8) -> bool) -> (Cow<'a, [u8]>, bool) {
        if self.width == 1 {
            let within = self.bytes.get(..max).unwrap_or(self.bytes);
            let length = within.iter().position(|b| !wanted(*b));
            let run = within
                .get(..length.unwrap_or(within.len()))
                .unwrap_or_default();
            let is_cut = length.is_none() && within.len() < max && !self.is_end;
            return (Cow::Borrowed(run), is_cut);
        }
        let mut run = Vec::new();
        for nth in 0..max {
            let at = nth * self.width;
            let zero = at.checked_sub(1).map_or(Some(&0), |at| self.bytes.get(at));
            match (zero, self.bytes.get(at)) {
                (Some(0), Some(b)) if wanted(*b) => run.push(*b),
                (Some(0), None) | (None, _) => return (Cow::Owned(run), !self.is_end),
                _ => break,
            }
        }
        (Cow::Owned(run), false)
    }

    /// What follows so many characters.
    fn after(self, characters: usize) -> Self {
        let bytes = self.bytes.get(characters * self.width..);
        Self {
            bytes: bytes.unwrap_or_default(),
            ..self
        }
    }
}

fn secret(text: Text<'_>) -> At {
    let [_, long] = SECRET;
    let (run, is_cut) = text.run(long, |b| b.is_ascii_alphanumeric() || b == b'_');
    match secret_at(&run) {
        Some(secret) => At::Found(What::Secret {
            secret,
            client_id: None,
        }),
        None if is_cut => At::Cut,
        None => At::Nothing,
    }
}

/// A secret at the very start, whatever follows: the checksum says where it ends.
fn secret_at(bytes: &[u8]) -> Option<PlainSecret> {
    SECRET.iter().find_map(|length| {
        std::str::from_utf8(bytes.get(..*length)?)
            .ok()?
            .parse()
            .ok()
    })
}

/// HTTP Basic credentials, `client_id:client_secret`.
fn basic(text: Text<'_>) -> At {
    let (run, is_cut) = text.run(MAX_BASIC, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')
    });
    // A quarter of a group decodes to nothing.
    let whole = run.len() - usize::from(run.len() % 4 == 1);
    let decoded = BASIC.decode(run.get(..whole).unwrap_or_default());
    let found = decoded.ok().and_then(|decoded| {
        let colon = memchr::memchr(b':', &decoded)?;
        let client = std::str::from_utf8(decoded.get(..colon)?).ok()?;
        Some(What::Secret {
            client_id: Some(client.parse().ok()?),
            secret: secret_at(decoded.get(colon + 1..)?)?,
        })
    });
    match found {
        Some(what) => At::Found(what),
        None if is_cut => At::Cut,
        None => At::Nothing,
    }
}

/// The header of an access token (RFC 9068 §2.1).
#[derive(Deserialize)]
struct Header {
    typ: String,
    #[serde(rename = "kid")]
    _kid: String,
    #[serde(rename = "alg")]
    _alg: String,
}

/// A signed access token of ours in its compact form, judged by what it says of itself.
fn token(text: Text<'_>) -> At {
    // Most of what starts like a token is a piece of something long: seen at a glance.
    if let Some(start) = text.bytes.get(..MAX_HEADER * text.width)
        && memchr::memchr(b'.', start).is_none()
    {
        return At::Nothing;
    }
    let (header, rest) = match part(text, MAX_HEADER) {
        Part::Ended(header, rest) => (header, rest),
        Part::Cut => return At::Cut,
        Part::None => return At::Nothing,
    };
    let header = decode::<Header>(&header).filter(|header| is_access_token(&header.typ));
    if header.is_none() {
        return At::Nothing;
    }
    let (claims, rest) = match part(rest, MAX_CLAIMS) {
        Part::Ended(claims, rest) => (claims, rest),
        Part::Cut => return At::Cut,
        Part::None => return At::Nothing,
    };
    let Some(claims) = decode::<Claims>(&claims) else {
        return At::Nothing;
    };
    let Ok(client_id) = claims.client_id.parse() else {
        return At::Nothing;
    };
    // Without its signature it opens nothing.
    let (signature, is_cut) = rest.run(MIN_SIGNATURE, is_base64url);
    if signature.len() < MIN_SIGNATURE {
        return if is_cut { At::Cut } else { At::Nothing };
    }
    At::Found(What::Token {
        client_id,
        credential_id: claims.credential_id.and_then(|id| id.parse().ok()),
        expires_at: Instant::from_epoch_seconds(claims.exp),
    })
}

fn is_access_token(typ: &str) -> bool {
    let bare = typ.strip_prefix("application/").unwrap_or(typ);
    bare.eq_ignore_ascii_case("at+jwt")
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// A part of a token: up to the dot that ends it.
enum Part<'a> {
    Ended(Cow<'a, [u8]>, Text<'a>),
    None,
    Cut,
}

fn part(text: Text<'_>, max: usize) -> Part<'_> {
    let (run, is_cut) = text.run(max, is_base64url);
    if is_cut {
        return Part::Cut;
    }
    let rest = text.after(run.len());
    match rest.bytes {
        [] if !rest.is_end => Part::Cut,
        [b'.', ..] => Part::Ended(run, rest.after(1)),
        _ => Part::None,
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &[u8]) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
