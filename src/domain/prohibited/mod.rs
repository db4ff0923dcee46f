//! Material that free text must not hold: card numbers, private keys, recovery phrases, one-time
//! codes, secrets and tokens.
//!
//! Says what kind was found and never what it was. What only looks alike is let through as far as
//! checksums and context tell; see the measurement in the tests.

mod card;
mod code;
mod groups;
mod phrase;
mod plain;

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use unicode_normalization::UnicodeNormalization;

use super::secret::PlainSecret;
use super::words;

words!(
    /// What kind of material it is.
    Material {
        CardNumber = "card_number",
        PrivateKey = "private_key",
        RecoveryPhrase = "recovery_phrase",
        OneTimeCode = "one_time_code",
        ClientSecret = "client_secret",
        Token = "token",
        /// A bare number of 13 to 19 digits where a reference is wanted: one in ten of them would
        /// pass for a card's.
        LongNumber = "long_number",
    }
);

impl Material {
    /// What to tell who sent it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::CardNumber => "looks like a full card number, which must not be sent here",
            Self::PrivateKey => "holds a private key, which must not be sent here",
            Self::RecoveryPhrase => "looks like a recovery phrase, which must not be sent here",
            Self::OneTimeCode => "looks like a one-time code, which must not be sent here",
            Self::ClientSecret => "holds a client secret: rotate it, it must not be sent here",
            Self::Token => "holds a token, which must not be sent here",
            Self::LongNumber => {
                "a reference that is a bare number of 13 to 19 digits could be a card number: put \
                 letters before it, such as order-"
            }
        }
    }
}

/// What free text holds that it must not. `None`: nothing that is known.
///
/// Looked at as NFKC, so that full-width digits count as digits. What is sent may be long and is
/// chosen by anybody: each search takes time in proportion to its length.
pub fn in_text(text: &str) -> Option<Material> {
    let text: String = text.nfkc().collect();
    let plain = plain::of(&text);
    if holds_private_key(&plain) {
        return Some(Material::PrivateKey);
    }
    if holds_client_secret(&plain) {
        return Some(Material::ClientSecret);
    }
    if holds_token(&plain) {
        return Some(Material::Token);
    }
    if card::is_in(&plain) {
        return Some(Material::CardNumber);
    }
    if code::is_in(&plain) {
        return Some(Material::OneTimeCode);
    }
    phrase::is_in(&text).then_some(Material::RecoveryPhrase)
}

/// The same for a text under a name, which may tell that it is a one-time code.
pub fn in_named(name: &str, text: &str) -> Option<Material> {
    in_text(text).or_else(|| {
        let both: String = format!("{name}: {text}").nfkc().collect();
        code::is_in(&plain::of(&both)).then_some(Material::OneTimeCode)
    })
}

/// The same for a reference, which may be a UUID or a ULID and no bare long number.
pub fn in_reference(text: &str) -> Option<Material> {
    if is_uuid(text) || ulid::Ulid::from_string(text).is_ok() {
        return None;
    }
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_bare = text
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.'));
    if is_bare && (13..=19).contains(&digits) {
        return Some(Material::LongNumber);
    }
    in_text(text)
}

/// `8-4-4-4-12` hexadecimal digits (RFC 9562 §4).
fn is_uuid(text: &str) -> bool {
    let groups = [8, 4, 4, 4, 12];
    let mut parts = text.split('-');
    let fits = groups.iter().all(|length| {
        parts
            .next()
            .is_some_and(|p| p.len() == *length && p.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    fits && parts.next().is_none()
}

/// The head of a PEM private key (RFC 7468 §10, §11; OpenSSH and OpenPGP write theirs alike).
fn holds_private_key(text: &str) -> bool {
    text.match_indices("-----BEGIN").any(|(at, head)| {
        let rest = text.get(at + head.len()..).unwrap_or_default();
        let label = rest.split("-----").next().unwrap_or_default();
        label.len() <= 64 && label.contains("PRIVATE KEY")
    })
}

fn holds_client_secret(text: &str) -> bool {
    text.match_indices("onyx_").any(|(at, _)| {
        let rest = text.get(at..).unwrap_or_default();
        // What follows may be part of the word: the two lengths that secrets have are tried.
        [61, 62]
            .into_iter()
            .filter_map(|length| rest.get(..length))
            .any(|text| PlainSecret::from_str(text).is_ok())
    }) || text
        .match_indices("whs")
        .any(|(at, _)| is_webhook_secret(text.get(at..).unwrap_or_default()))
}

/// `whsec_` or `whsk_` and at least 24 bytes in base64 (Standard Webhooks).
fn is_webhook_secret(text: &str) -> bool {
    ["whsec_", "whsk_"].iter().any(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.bytes()
                .take(32)
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
                .count()
                == 32
        })
    })
}

/// The longest header of a token that is looked for: texts that are kept are shorter.
const LONGEST_HEADER: usize = 1024;

fn holds_token(text: &str) -> bool {
    text.match_indices("eyJ")
        .any(|(at, _)| begins_token(text.get(at..).unwrap_or_default()).is_some())
}

/// A JWS in compact form whose header says an algorithm (RFC 7515 §7.1). `None`: it is none.
fn begins_token(text: &str) -> Option<()> {
    let (header, rest) = base64url(text, LONGEST_HEADER);
    let rest = rest.strip_prefix('.')?;
    let header = URL_SAFE_NO_PAD.decode(header).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    header.get("alg")?;
    let (claims, rest) = base64url(rest, usize::MAX);
    let (signature, _) = base64url(rest.strip_prefix('.')?, 16);
    (!claims.is_empty() && signature.len() == 16).then_some(())
}

/// What of a text is base64url, at most so much, and the rest.
fn base64url(text: &str, most: usize) -> (&str, &str) {
    let is_ours = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let length = text.bytes().take(most).take_while(is_ours).count();
    text.split_at(length)
}

#[cfg(test)]
mod tests;
