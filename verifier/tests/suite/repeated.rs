//! A token that was seen before is judged anew in all that can change.

use std::sync::Arc;

use onyx_verifier::{
    Algorithm, Rejection, Revocation, RevocationKind, Revocations, TokenFault, Verifier,
};
use serde_json::json;

use crate::issuer::{
    AUDIENCE, ISSUER, KEYS, NOW, SigningKey, claims, header, jwks, key, verifier, with,
};

#[test]
fn a_repeated_token_gives_the_same_caller_until_it_expires() {
    let verifier = verifier();
    let token = key(Algorithm::Es256).token(header(Algorithm::Es256), claims());
    let first = verifier.verify_at(&token, NOW).unwrap();
    assert_eq!(verifier.verify_at(&token, NOW + 1).unwrap(), first);
    let expired = Err(Rejection::InvalidToken(TokenFault::Expired));
    assert_eq!(verifier.verify_at(&token, NOW + 295), expired);
    let early = Err(Rejection::InvalidToken(TokenFault::NotYetValid));
    assert_eq!(verifier.verify_at(&token, NOW - 30), early);
    assert_eq!(verifier.verify_at(&token, NOW + 2).unwrap(), first);
}

#[test]
fn a_repeated_token_of_a_withdrawn_key_is_refused() {
    let verifier = verifier();
    let token = key(Algorithm::EdDsa).token(header(Algorithm::EdDsa), claims());
    verifier.verify_at(&token, NOW).unwrap();

    // Another key under the same name, as only an attacker or an accident would make it.
    let mut impostor = SigningKey::generate(Algorithm::EdDsa);
    impostor.jwk.kid = key(Algorithm::EdDsa).jwk.kid.clone();
    verifier.replace_jwks(jwks([&impostor])).unwrap();
    let forged = Err(Rejection::InvalidToken(TokenFault::BadSignature));
    assert_eq!(verifier.verify_at(&token, NOW), forged);

    verifier
        .replace_jwks(jwks([key(Algorithm::Es256)]))
        .unwrap();
    let unknown = Err(Rejection::InvalidToken(TokenFault::UnknownKey));
    assert_eq!(verifier.verify_at(&token, NOW), unknown);
}

#[test]
fn a_token_that_differs_from_a_known_one_anywhere_is_not_taken_for_it() {
    let verifier = verifier();
    let token = key(Algorithm::Es256).token(header(Algorithm::Es256), claims());
    verifier.verify_at(&token, NOW).unwrap();
    let raised = with(
        claims(),
        "scope",
        json!("orders:create orders:read ledger:read"),
    );
    let raised = key(Algorithm::Es256).token(header(Algorithm::Es256), raised);
    // The claims of one, the signature of the other: the same signature part as a known token.
    let (claims_of_raised, _) = raised.rsplit_once('.').unwrap();
    let (_, known_signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{claims_of_raised}.{known_signature}");
    let refused = Err(Rejection::InvalidToken(TokenFault::BadSignature));
    assert_eq!(verifier.verify_at(&forged, NOW), refused);
    for at in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        if changed != token {
            assert!(verifier.verify_at(&changed, NOW).is_err(), "{at}");
        }
    }
}

#[test]
fn a_token_for_another_audience_is_refused_however_often_it_comes() {
    let elsewhere = Verifier::builder(ISSUER, "https://elsewhere.example")
        .jwks(jwks(&*KEYS))
        .unwrap();
    let token = key(Algorithm::Es256).token(header(Algorithm::Es256), claims());
    verifier().verify_at(&token, NOW).unwrap();
    let refused = Err(Rejection::InvalidToken(TokenFault::WrongAudience));
    for _ in 0..3 {
        assert_eq!(elsewhere.verify_at(&token, NOW), refused);
    }
    assert_eq!(verifier().audience(), AUDIENCE);
}

#[test]
fn a_repeated_token_is_refused_from_the_moment_of_its_revocation() {
    let revocations = Arc::new(Revocations::default());
    let verifier = Verifier::builder(ISSUER, AUDIENCE)
        .revocations(Arc::clone(&revocations))
        .jwks(jwks(KEYS.iter()))
        .unwrap();
    // Its claims say that the issuer had applied number 7.
    let token = key(Algorithm::EdDsa).token(header(Algorithm::EdDsa), claims());
    let revoke = |seq, id: &str| {
        revocations.apply(&Revocation {
            seq,
            kind: RevocationKind::Client,
            id: id.to_owned(),
            scope: None,
            revoked_at: NOW,
            expires_at: NOW + 965,
        });
    };
    verifier.verify_at(&token, NOW).unwrap();
    revoke(8, "somebody else");
    verifier.verify_at(&token, NOW).unwrap();
    let client = claims()["client_id"].as_str().unwrap().to_owned();
    revoke(7, &client);
    verifier.verify_at(&token, NOW).unwrap();
    revoke(9, &client);
    let revoked = Err(Rejection::InvalidToken(TokenFault::Revoked));
    assert_eq!(verifier.verify_at(&token, NOW), revoked);
    // A token never seen before is refused alike.
    let fresh = with(claims(), "jti", json!("another"));
    let fresh = key(Algorithm::EdDsa).token(header(Algorithm::EdDsa), fresh);
    assert_eq!(verifier.verify_at(&fresh, NOW), revoked);
}
