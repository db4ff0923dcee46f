//! Client secrets: made once, shown once, kept only as a keyed hash.

use std::fmt;
use std::str::FromStr;

use rand::{RngExt, TryRng, rngs::SysRng};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::realm::Realm;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 > 2^256.
const RANDOM_LEN: usize = 43;
/// 62^6 > 2^32.
const CHECKSUM_LEN: usize = 6;

/// A client secret in the clear. It cannot be printed, and leaves no trace in memory.
///
/// Form: `onyx_{sbx|live|adm}_sk_`, 43 base62 characters, then 6 base62
/// characters of the CRC-32 (IEEE) of all that stands before them. The checksum
/// lets a scanner tell a real secret from a look-alike; it protects nothing.
#[derive(Zeroize, ZeroizeOnDrop, Clone)]
pub struct PlainSecret(String);

/// The keyed hash of a secret: HMAC-SHA-256 under the server's pepper, as hex.
#[derive(
    Clone, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct SecretHash(pub(crate) String);

/// The text has not the form of a client secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a client secret")]
pub struct BadSecret;

impl PlainSecret {
    /// A new secret of a realm, from the system's random source.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate(realm: Realm) -> Result<Self, rand::rngs::SysError> {
        let mut text = format!("onyx_{}_sk_", realm.short());
        while text.len() < realm_prefix_len(realm) + RANDOM_LEN {
            let mut bytes = [0u8; 64];
            SysRng.try_fill_bytes(&mut bytes)?;
            let room = realm_prefix_len(realm) + RANDOM_LEN - text.len();
            // 248 = 4 × 62: bytes above it would favour the first characters.
            let unbiased = bytes
                .iter()
                .filter(|b| **b < 248)
                .filter_map(|b| ALPHABET.get(usize::from(b % 62)));
            text.extend(unbiased.take(room).map(|c| char::from(*c)));
            bytes.zeroize();
        }
        let sum = checksum(&text);
        text.push_str(&sum);
        Ok(Self(text))
    }

    /// The secret itself: for the one answer that shows it, and for hashing.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its last four characters, by which people tell secrets apart.
    pub fn hint(&self) -> String {
        self.0
            .chars()
            .skip(self.0.chars().count().saturating_sub(4))
            .collect()
    }

    /// The realm that the prefix names.
    pub fn realm(&self) -> Option<Realm> {
        Realm::ALL
            .iter()
            .copied()
            .find(|r| self.0.starts_with(&format!("onyx_{}_sk_", r.short())))
    }
}

impl FromStr for PlainSecret {
    type Err = BadSecret;

    /// Checks prefix, length, alphabet and checksum.
    fn from_str(text: &str) -> Result<Self, BadSecret> {
        let body = Realm::ALL
            .iter()
            .find_map(|r| text.strip_prefix(&format!("onyx_{}_sk_", r.short())))
            .filter(|body| {
                body.len() == RANDOM_LEN + CHECKSUM_LEN
                    && body.bytes().all(|b| ALPHABET.contains(&b))
            })
            .ok_or(BadSecret)?;
        let (before, sum) = text.split_at(text.len() - CHECKSUM_LEN);
        if body.is_empty() || checksum(before) != sum {
            Err(BadSecret)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainSecret")
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

fn realm_prefix_len(realm: Realm) -> usize {
    "onyx__sk_".len() + realm.short().len()
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.iter().map(|b| char::from(*b)).collect()
}

/// A token id: 128 bits that nobody can guess, base62.
pub fn unguessable_id() -> String {
    // The thread's generator is a ChaCha seeded from the system and reseeded by
    // `rand`; a system call a token would be the dearest part of issuing it.
    base62(rand::rng().random())
}

/// 128 bits as base62, always 22 characters.
pub(crate) fn base62(mut value: u128) -> String {
    let mut digits = [b'0'; 22];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET.get((value % 62) as usize).copied().unwrap_or(b'0');
        value /= 62;
    }
    digits.iter().map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_the_published_form() {
        for realm in Realm::ALL {
            let secret = PlainSecret::generate(*realm).unwrap();
            let text = secret.expose();
            assert!(text.starts_with(&format!("onyx_{}_sk_", realm.short())));
            assert_eq!(text.len(), realm_prefix_len(*realm) + 49);
            assert_eq!(secret.realm(), Some(*realm));
            assert!(text.parse::<PlainSecret>().is_ok());
        }
    }

    #[test]
    fn the_checksum_is_crc32_in_base62() {
        // CRC-32/ISO-HDLC of "123456789" is the well-known CBF43926 = 3421780262.
        let (mut value, mut digits) = (3_421_780_262_u64, Vec::new());
        while value > 0 {
            digits.insert(0, char::from(ALPHABET[(value % 62) as usize]));
            value /= 62;
        }
        assert_eq!(checksum("123456789"), digits.iter().collect::<String>());
    }

    #[test]
    fn one_wrong_character_is_noticed() {
        let secret = PlainSecret::generate(Realm::Live).unwrap();
        let mut bytes = secret.expose().as_bytes().to_vec();
        bytes[20] = if bytes[20] == b'a' { b'b' } else { b'a' };
        assert!(
            String::from_utf8(bytes)
                .unwrap()
                .parse::<PlainSecret>()
                .is_err()
        );
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = PlainSecret::generate(Realm::Sandbox).unwrap();
        assert_eq!(format!("{secret:?}"), "PlainSecret");
    }
}
