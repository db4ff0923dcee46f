//! A token that somebody hands in: whether it is one of ours that lives, whoever it is meant for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onyx_verifier::{Audience, Caller, Verifier};
use serde::Deserialize;

use crate::clock::WRONG_CLOCKS;
use crate::domain::audience::Addresses;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::keys::KeyRing;

/// What an unverified token says of where it comes from and where it goes.
#[derive(Deserialize)]
struct Says {
    iss: String,
    aud: Audience,
    iat: i64,
    exp: i64,
}

/// The realm and the verified claims of a token of any realm and for any audience. `None`: it is
/// not ours, or its time is over.
pub fn recognise(
    ring: &KeyRing,
    addresses: &Addresses,
    token: &str,
    now: Instant,
) -> Option<(Realm, Caller)> {
    verify(ring, addresses, token, now, |_| Some(now.epoch_seconds()))
}

/// The same of a token that is to be revoked, whatever this node's clock says of it: to one that is right it may be
/// alive. `None`: it is not ours, or no clock can take it for alive.
pub fn recognise_to_revoke(
    ring: &KeyRing,
    addresses: &Addresses,
    token: &str,
    now: Instant,
) -> Option<(Realm, Caller)> {
    let now_here = now.epoch_seconds();
    verify(ring, addresses, token, now, |says| {
        let apart = i64::try_from(WRONG_CLOCKS.as_secs()).unwrap_or(i64::MAX);
        let is_over = says.exp.saturating_add(apart) < now_here;
        (!is_over).then_some(says.iat)
    })
}

/// `at`: the time that it is judged by, from what it says before it is verified.
fn verify(
    ring: &KeyRing,
    addresses: &Addresses,
    token: &str,
    now: Instant,
    at: impl FnOnce(&Says) -> Option<i64>,
) -> Option<(Realm, Caller)> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let says: Says = serde_json::from_slice(&payload).ok()?;
    let at = at(&says)?;
    let mut realms = Realm::ALL.iter().copied();
    let realm = realms.find(|realm| **addresses.issuer(*realm) == *says.iss)?;
    // For its own audience, whichever that is: who hands a token in need not be whom it is for.
    let verifier = Verifier::builder(says.iss, says.aud.iter().next()?)
        .remember(0)
        .jwks(ring.jwks(realm, now))
        .ok()?;
    let caller = verifier.verify_at(token, at).ok()?;
    Some((realm, caller))
}
