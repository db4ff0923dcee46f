//! Good tokens, of every kind that there is.

use std::time::Duration;

use onyx_verifier::{
    Algorithm, Audience, ConnectError, Jwk, JwkKey, JwkSet, Rejection, StatusClaim, StatusListRef,
    TokenFault, Verifier,
};
use serde_json::{Value, json};

use crate::issuer::{AUDIENCE, ISSUER, KEYS, NOW, claims, header, jwks, key, verdict, with};

#[test]
fn a_token_of_each_algorithm_is_accepted() {
    for key in KEYS.iter() {
        let token = key.token(header(key.jwk.alg), claims());
        let caller = verdict(&token).unwrap();
        assert_eq!(caller.client_id(), "cl_live_1", "{}", key.jwk.alg);
    }
}

#[test]
fn a_caller_says_what_the_token_says() {
    let caller = verdict(&key(Algorithm::Es256).token(header(Algorithm::Es256), claims())).unwrap();
    assert_eq!(caller.partner_id(), Some("ptn_1"));
    assert_eq!(caller.credential_id(), Some("crd_1"));
    assert_eq!(caller.env(), Some("live"));
    assert_eq!(caller.token_id(), "tok_1");
    assert_eq!(caller.expires_at(), NOW + 290);
    assert!(caller.has_scope("orders:read"));
    assert_eq!(caller.claims().rsn, Some(7));
    assert_eq!(caller.claims().aud, Audience::One(AUDIENCE.into()));
    assert_eq!(
        caller.claims().status,
        Some(StatusClaim {
            status_list: StatusListRef {
                idx: 3,
                uri: "https://auth.example/live/oauth2/status-lists/1".into()
            }
        })
    );
}

#[test]
fn what_the_issuer_serialises_is_what_the_verifier_reads() {
    let key = key(Algorithm::EdDsa);
    let caller = verdict(&key.token(header(Algorithm::EdDsa), claims())).unwrap();
    let again = serde_json::to_value(caller.claims()).unwrap();
    assert_eq!(again, claims());
    let token = key.token(header(Algorithm::EdDsa), again);
    assert_eq!(verdict(&token).unwrap(), caller);
}

#[test]
fn harmless_variations_are_accepted() {
    let good = header(Algorithm::EdDsa);
    let headers = [
        with(good.clone(), "typ", json!("AT+JWT")),
        with(good.clone(), "typ", json!("application/at+jwt")),
        with(good.clone(), "typ", json!("Application/At+Jwt")),
        with(good.clone(), "cty", json!({"unknown": [1]})),
    ];
    let bodies = [
        with(claims(), "aud", json!(["https://b.example", AUDIENCE])),
        with(claims(), "nbf", Value::Null),
        with(claims(), "scope", json!("")),
        with(claims(), "partner_id", Value::Null),
        with(claims(), "rsn", Value::Null),
        with(claims(), "status", Value::Null),
        with(claims(), "unknown", json!({"a": {"a": 1}})),
    ];
    let key = key(Algorithm::EdDsa);
    for header in headers {
        assert!(verdict(&key.token(&header, claims())).is_ok(), "{header}");
    }
    for body in bodies {
        assert!(verdict(&key.token(&good, &body)).is_ok(), "{body}");
    }
}

#[test]
fn time_is_judged_to_the_second() {
    let key = key(Algorithm::EdDsa);
    let verdict_with = |leeway: u64, name: &str, value: i64| {
        let verifier = Verifier::builder(ISSUER, AUDIENCE)
            .leeway(Duration::from_secs(leeway))
            .jwks(jwks(&*KEYS))
            .unwrap();
        let body = with(claims(), name, json!(value));
        let token = key.token(header(Algorithm::EdDsa), body);
        verifier.verify_at(&token, NOW).map(|_| ())
    };
    let expired = Err(Rejection::InvalidToken(TokenFault::Expired));
    let early = Err(Rejection::InvalidToken(TokenFault::NotYetValid));

    assert_eq!(verdict_with(5, "exp", NOW - 4), Ok(()));
    assert_eq!(verdict_with(5, "exp", NOW - 5), expired);
    assert_eq!(verdict_with(0, "exp", NOW + 1), Ok(()));
    assert_eq!(verdict_with(0, "exp", NOW), expired);
    assert_eq!(verdict_with(5, "nbf", NOW + 10), Ok(()));
    assert_eq!(verdict_with(5, "nbf", NOW + 11), early);
    assert_eq!(verdict_with(60, "nbf", NOW + 60), Ok(()));
    assert_eq!(verdict_with(60, "nbf", NOW + 61), early);
    assert_eq!(verdict_with(0, "iat", NOW + 10), Ok(()));
    assert_eq!(verdict_with(60, "iat", NOW + 11), early);
    assert_eq!(verdict_with(u64::MAX, "exp", i64::MIN), expired);
    assert_eq!(verdict_with(u64::MAX, "nbf", i64::MAX), Ok(()));
    assert_eq!(verdict_with(5, "exp", i64::MAX), Ok(()));
}

#[test]
fn replaced_keys_count_at_once_for_every_clone() {
    let (old, new) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
    let verifier = Verifier::builder(ISSUER, AUDIENCE)
        .jwks(jwks([old]))
        .unwrap();
    let clone = verifier.clone();
    let tokens = [
        old.token(header(Algorithm::Es256), claims()),
        new.token(header(Algorithm::EdDsa), claims()),
    ];
    let verdicts = || {
        tokens
            .each_ref()
            .map(|token| clone.verify_at(token, NOW).is_ok())
    };
    assert_eq!(verdicts(), [true, false]);
    verifier.replace_jwks(jwks([new])).unwrap();
    assert_eq!(verdicts(), [false, true]);
    assert!(verifier.replace_jwks(JwkSet::default()).is_err());
    assert_eq!(verdicts(), [false, true]);
}

#[test]
fn a_set_that_is_not_in_order_makes_no_verifier() {
    let made = |keys: Vec<Jwk>| Verifier::builder(ISSUER, AUDIENCE).jwks(JwkSet { keys });
    let good = &key(Algorithm::Es256).jwk;

    assert!(matches!(made(vec![]), Err(ConnectError::NoKeys)));
    assert!(matches!(
        made(vec![good.clone(), good.clone()]),
        Err(ConnectError::DuplicateKeyId(kid)) if kid == "ES256"
    ));

    let JwkKey::Ec { x, y, .. } = &good.key else {
        panic!("not an EC key")
    };
    let ec = |crv: &str, x: &str, y: &str| JwkKey::Ec {
        crv: crv.into(),
        x: x.into(),
        y: y.into(),
    };
    let rsa = |bytes: usize, e: &str| JwkKey::Rsa {
        n: crate::issuer::encode(vec![0xff; bytes]),
        e: e.into(),
    };
    for (alg, key) in [
        (Algorithm::Es256, ec("P-256", x, x)),
        (Algorithm::Es256, ec("P-384", x, y)),
        (Algorithm::Es256, ec("P-256", &x[1..], y)),
        (Algorithm::Es256, ec("P-256", &format!("{x}="), y)),
        (Algorithm::EdDsa, good.key.clone()),
        (Algorithm::Rs256, good.key.clone()),
        (Algorithm::Rs256, rsa(128, "AQAB")),
        (Algorithm::Ps256, rsa(255, "AQAB")),
        (Algorithm::Rs256, rsa(1025, "AQAB")),
        (Algorithm::Rs256, rsa(256, "")),
    ] {
        let jwk = Jwk {
            alg,
            key,
            ..good.clone()
        };
        let verdict = made(vec![jwk.clone()]);
        assert!(
            matches!(verdict, Err(ConnectError::UnusableKey { .. })),
            "{jwk:?}"
        );
    }
    let encryption = Jwk {
        use_: "enc".into(),
        ..good.clone()
    };
    assert!(matches!(
        made(vec![encryption]),
        Err(ConnectError::UnusableKey { .. })
    ));
}
