//! A token that somebody hands in: whether it is one of ours that lives, whoever it is meant for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onyx_verifier::{Audience, Caller, Verifier};
use serde::Deserialize;

use crate::domain::audience::Addresses;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::keys::KeyRing;

/// What an unverified token says of where it comes from and where it goes.
#[derive(Deserialize)]
struct Says {
    iss: String,
    aud: Audience,
}

/// The realm and the verified claims of a token of any realm and for any audience. `None`: it is
/// not ours, or its time is over.
pub fn recognise(
    ring: &KeyRing,
    addresses: &Addresses,
    token: &str,
    now: Instant,
) -> Option<(Realm, Caller)> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let says: Says = serde_json::from_slice(&payload).ok()?;
    let mut realms = Realm::ALL.iter().copied();
    let realm = realms.find(|realm| **addresses.issuer(*realm) == *says.iss)?;
    // For its own audience, whichever that is: who hands a token in need not be whom it is for.
    let verifier = Verifier::builder(says.iss, says.aud.iter().next()?)
        .remember(0)
        .jwks(ring.jwks(realm, now))
        .ok()?;
    let caller = verifier.verify_at(token, now.epoch_seconds()).ok()?;
    Some((realm, caller))
}
