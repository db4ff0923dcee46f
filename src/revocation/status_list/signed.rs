//! A status list as it is sent: compressed, in a signed JWT (draft-ietf-oauth-status-list §5.1).

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;

use crate::domain::audience::Addresses;
use crate::domain::id::StatusListId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::status_list::{BITS, Bits};
use crate::keys::ring::RingKey;
use crate::keys::signer::SignerError;

/// How long whoever fetched a list may go by it: so stale it is at most.
pub const TTL: Duration = Duration::from_secs(30);
/// How long a signed list may be shown to anybody: no longer than the longest token lives.
const LIFE: Duration = Duration::from_secs(600);
/// A list that has not changed is signed anew after so long: each that is sent has half its life left.
const SIGNED_ANEW: Duration = Duration::from_secs(300);

/// The type in the header, which no access token has.
const TYPE: &str = "statuslist+jwt";

/// A signed list.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The JWT.
    pub jwt: Arc<str>,
    kid: Arc<str>,
    iat: i64,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    ttl: u64,
    status_list: StatusList<'a>,
}

#[derive(Serialize)]
struct StatusList<'a> {
    bits: u8,
    lst: &'a str,
}

impl Signed {
    pub(super) fn sign(
        key: &RingKey,
        addresses: &Addresses,
        realm: Realm,
        id: &StatusListId,
        packed: &str,
        now: Instant,
    ) -> Result<Self, SignerError> {
        let iat = now.epoch_seconds();
        let claims = Claims {
            iss: addresses.issuer(realm),
            sub: &addresses.status_list(realm, id),
            iat,
            exp: now.plus(LIFE).epoch_seconds(),
            ttl: TTL.as_secs(),
            status_list: StatusList {
                bits: BITS,
                lst: packed,
            },
        };
        Ok(Self {
            jwt: key.signing().sign(TYPE, &claims)?.into(),
            kid: key.kid().into(),
            iat,
        })
    }

    /// Whether it can be sent as it is: by the key that signs now, and not too long ago.
    pub(super) fn is_good(&self, kid: &str, now: Instant) -> bool {
        let age = now.epoch_seconds() - self.iat;
        *self.kid == *kid && u64::try_from(age).is_ok_and(|age| age < SIGNED_ANEW.as_secs())
    }

    /// What tells this text from every other: a part of its signature.
    pub fn tag(&self) -> &str {
        let at = self.jwt.len().saturating_sub(32);
        self.jwt.get(at..).unwrap_or_default()
    }
}

/// The bits as they are sent, on a thread that may take its time.
pub(super) async fn pack(bits: Bits) -> std::io::Result<Arc<str>> {
    tokio::task::spawn_blocking(move || compress(bits.as_bytes()))
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()))
}

/// ZLIB at its highest level, in base64url without padding (§4.1, §4.2).
fn compress(bytes: &[u8]) -> std::io::Result<Arc<str>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(encoder.finish()?).into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use proptest::prelude::*;

    fn inflate(lst: &str) -> Vec<u8> {
        let compressed = URL_SAFE_NO_PAD.decode(lst).unwrap();
        let mut bytes = Vec::new();
        flate2::read::ZlibDecoder::new(compressed.as_slice())
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    }

    #[test]
    fn the_drafts_vectors_inflate_to_what_ours_do() {
        for (bytes, lst) in [
            ([0xb9, 0xa3].as_slice(), "eNrbuRgAAhcBXQ"),
            ([0xc9, 0x44, 0xf9].as_slice(), "eNo76fITAAPfAgc"),
        ] {
            assert_eq!(inflate(lst), bytes);
            assert_eq!(inflate(&compress(bytes).unwrap()), bytes);
        }
    }

    #[test]
    fn a_list_is_signed_anew_by_another_key_and_long_before_its_end() {
        let signed = Signed {
            jwt: "a.b.c".into(),
            kid: "one".into(),
            iat: 1_800_000_000,
        };
        let good =
            |kid, after| signed.is_good(kid, Instant::from_epoch_seconds(signed.iat + after));
        assert!(good("one", 0) && good("one", 299));
        assert!(!good("one", 300) && !good("two", 0));
        // A clock that was set back: nobody would take a list from the future.
        assert!(!good("one", -1));
    }

    #[test]
    fn a_list_of_which_little_is_revoked_is_small() {
        let mut bits = Bits::new(1 << 20);
        (0..1000).for_each(|nth| {
            bits.set(nth * 1_009);
        });
        let lst = compress(bits.as_bytes()).unwrap();
        assert!(lst.len() < 8_000, "{}", lst.len());
        // ZLIB's header for its highest level (RFC 1950 §2.2).
        assert_eq!(URL_SAFE_NO_PAD.decode(&*lst).unwrap()[..2], [0x78, 0xda]);
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_comes_out(
            size in 1usize..5000,
            set in prop::collection::btree_set(0usize..5000, 0..200),
        ) {
            let mut bits = Bits::new(size);
            set.iter().for_each(|index| { bits.set(*index); });
            let lst = compress(bits.as_bytes()).unwrap();
            prop_assert!(!lst.contains('='));
            prop_assert_eq!(inflate(&lst), bits.as_bytes());
        }
    }
}
