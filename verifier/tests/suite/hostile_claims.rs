//! Authentic tokens whose claims must not pass, each with its fault.

use onyx_verifier::{Algorithm, TokenFault};
use serde_json::{Value, json};

use crate::{
    hostile::refused,
    issuer::{AUDIENCE, ISSUER, NOW, claims, header, key, with},
};

const ES256: Algorithm = Algorithm::Es256;

#[test]
fn claims_that_are_missing_or_of_the_wrong_type() {
    let token = |name, value| key(ES256).token(header(ES256), with(claims(), name, value));
    let nulled = |name: &str| {
        let mut claims = claims();
        claims
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), Value::Null);
        key(ES256).token(header(ES256), claims)
    };
    for name in [
        "iss",
        "sub",
        "client_id",
        "jti",
        "scope",
        "aud",
        "exp",
        "iat",
    ] {
        let missing = token(name, Value::Null);
        refused([(name, missing, TokenFault::MissingClaim(name))]);
        for wrong in [
            token(name, json!(1.5)),
            token(name, json!({})),
            token(name, json!(true)),
            nulled(name),
        ] {
            refused([(name, wrong, TokenFault::InvalidClaim(name))]);
        }
    }
    refused([
        (
            "float exp",
            token("exp", json!(NOW as f64 + 60.0)),
            TokenFault::InvalidClaim("exp"),
        ),
        (
            "text exp",
            token("exp", json!("9999999999")),
            TokenFault::InvalidClaim("exp"),
        ),
        (
            "vast exp",
            token("exp", json!(u64::MAX)),
            TokenFault::InvalidClaim("exp"),
        ),
        (
            "float nbf",
            token("nbf", json!(1.5)),
            TokenFault::InvalidClaim("nbf"),
        ),
        ("null nbf", nulled("nbf"), TokenFault::InvalidClaim("nbf")),
        (
            "scopes as an array",
            token("scope", json!(["a"])),
            TokenFault::InvalidClaim("scope"),
        ),
        (
            "audiences of mixed types",
            token("aud", json!([AUDIENCE, 1])),
            TokenFault::InvalidClaim("aud"),
        ),
    ]);
}

#[test]
fn tokens_for_others_or_for_another_time() {
    let token = |name, value| key(ES256).token(header(ES256), with(claims(), name, value));
    let mut cases = Vec::new();
    for iss in [
        "https://auth.example/sandbox",
        "https://auth.example/live/",
        "https://AUTH.example/live",
        "",
    ] {
        cases.push(("iss", token("iss", json!(iss)), TokenFault::WrongIssuer));
    }
    for aud in [
        json!(ISSUER),
        json!(format!("{AUDIENCE}/")),
        json!([]),
        json!(["https://b.example"]),
        json!(format!("{AUDIENCE} {ISSUER}")),
    ] {
        cases.push(("aud", token("aud", aud), TokenFault::WrongAudience));
    }
    cases.extend([
        (
            "expired",
            token("exp", json!(NOW - 60)),
            TokenFault::Expired,
        ),
        (
            "expired before the epoch",
            token("exp", json!(i64::MIN)),
            TokenFault::Expired,
        ),
        (
            "not yet valid",
            token("nbf", json!(NOW + 60)),
            TokenFault::NotYetValid,
        ),
        (
            "issued in the future",
            token("iat", json!(NOW + 60)),
            TokenFault::NotYetValid,
        ),
    ]);
    refused(cases);
}

#[test]
fn sender_constrained_tokens_are_no_bearer_tokens() {
    let thumbprint = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    for cnf in [thumbprint.to_string(), "{}".into(), "null".into()] {
        let claims = claims().to_string();
        let claims = format!("{{\"cnf\":{cnf},{}", &claims[1..]);
        let token = key(ES256).token(header(ES256), claims);
        refused([("cnf", token, TokenFault::SenderConstrained)]);
    }
}
