//! Tokens whose form, header, key or signature must not pass, each with its fault.

use aws_lc_rs::{
    hmac,
    signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256},
};
use onyx_verifier::{Algorithm, JwkKey, Rejection, TokenFault};
use serde_json::{Value, json};

use crate::issuer::{SigningKey, claims, encode, header, key, verdict, with};

const ES256: Algorithm = Algorithm::Es256;

pub(crate) fn refused(cases: impl IntoIterator<Item = (&'static str, String, TokenFault)>) {
    for (name, token, fault) in cases {
        assert_eq!(
            verdict(&token),
            Err(Rejection::InvalidToken(fault)),
            "{name}"
        );
    }
}

/// A good token, header, claims and signature apart.
fn good() -> [String; 3] {
    let token = key(ES256).token(header(ES256), claims());
    let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

#[test]
fn tokens_that_are_not_well_formed() {
    let [h, c, s] = good();
    let json_serialisation = json!({"protected": h, "payload": c, "signature": s}).to_string();
    let long = with(claims(), "padding", json!("x".repeat(8 * 1024)));
    let mut loose = s.clone();
    // The last of 86 characters carries four bits that are not used.
    let last = loose.pop().unwrap();
    loose.push(char::from(u8::try_from(last).unwrap() + 1));
    let cases = [
        ("empty", String::new()),
        ("dots", "..".into()),
        ("one part", h.clone()),
        ("two parts", format!("{h}.{c}")),
        ("a fourth part", format!("{h}.{c}.{s}.{s}")),
        ("a fourth part, empty", format!("{h}.{c}.{s}.")),
        ("a JWE's five parts", format!("{h}.{c}.{c}.{c}.{s}")),
        ("padded header", format!("{h}=.{c}.{s}")),
        ("padded claims", format!("{h}.{c}==.{s}")),
        ("padded signature", format!("{h}.{c}.{s}==")),
        ("unused bits set", format!("{h}.{c}.{loose}")),
        ("standard base64", format!("{h}.{c}.+/{}", &s[2..])),
        ("white space before", format!(" {h}.{c}.{s}")),
        ("white space after", format!("{h}.{c}.{s}\n")),
        ("white space within", format!("{h}.{c}. {s}")),
        ("trailing garbage", format!("{h}.{c}.{s}~")),
        ("beyond ASCII", format!("{h}.{c}.{s}é")),
        ("JSON serialisation", json_serialisation),
        ("too long", key(ES256).token(header(ES256), long)),
        ("header is an array", key(ES256).token("[]", claims())),
        (
            "header is followed by more",
            key(ES256).token("{} {}", claims()),
        ),
        ("claims are an array", key(ES256).token(header(ES256), "[]")),
        ("claims are text", key(ES256).token(header(ES256), "hello")),
        (
            "kid is a number",
            key(ES256).token(with(header(ES256), "kid", json!(1)), claims()),
        ),
        (
            "typ is an array",
            key(ES256).token(with(header(ES256), "typ", json!(["at+jwt"])), claims()),
        ),
        (
            "alg is missing",
            key(ES256).token(with(header(ES256), "alg", Value::Null), claims()),
        ),
        (
            "rsn is negative",
            key(ES256).token(header(ES256), with(claims(), "rsn", json!(-1))),
        ),
        (
            "status is a text",
            key(ES256).token(header(ES256), with(claims(), "status", json!("0"))),
        ),
    ];
    refused(cases.map(|(name, token)| (name, token, TokenFault::Malformed)));
}

#[test]
fn tokens_with_members_that_stand_twice() {
    let header = header(ES256).to_string();
    let twice = |text: &str, more: &str| format!("{{{more},{}", &text[1..]);
    let headers = [
        ("alg", twice(&header, r#""alg":"none""#)),
        ("kid, escaped", twice(&header, r#""\u006bid":"x""#)),
        ("unknown", twice(&header, r#""x":1,"x":1"#)),
        (
            "within an unknown member",
            twice(&header, r#""x":[{"y":1,"y":1}]"#),
        ),
    ];
    let bodies = [
        ("exp", twice(&claims().to_string(), r#""exp":9999999999"#)),
        (
            "aud",
            twice(&claims().to_string(), r#""aud":"https://b.example""#),
        ),
        (
            "unknown",
            twice(&claims().to_string(), r#""x":{"y":1,"y":2}"#),
        ),
    ];
    let key = key(ES256);
    refused(headers.map(|(name, text)| (name, key.token(text, claims()), TokenFault::Malformed)));
    refused(bodies.map(|(name, text)| (name, key.token(&header, text), TokenFault::Malformed)));
}

#[test]
fn tokens_of_another_kind() {
    for typ in [
        "JWT",
        "jwt",
        "client-authentication+jwt",
        "statuslist+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "id+jwt",
        "at+jwt ",
        "at+jwt; x=y",
        "text/at+jwt",
        "at",
        "",
    ] {
        let token = key(ES256).token(with(header(ES256), "typ", json!(typ)), claims());
        refused([("typ", token, TokenFault::WrongType)]);
    }
    let untyped = key(ES256).token(with(header(ES256), "typ", Value::Null), claims());
    refused([("no typ", untyped, TokenFault::WrongType)]);
}

#[test]
fn headers_that_would_change_how_a_token_is_verified() {
    let stranger = SigningKey::generate(ES256);
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("jku", json!("https://evil.example/jwks")),
        ("jwk", json!(stranger.jwk)),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MII"])),
    ] {
        let header = with(header(ES256), name, value);
        for key in [key(ES256), &stranger] {
            let token = key.token(&header, claims());
            refused([(name, token, TokenFault::ForbiddenHeader(name))]);
        }
    }
}

#[test]
fn algorithms_that_are_not_the_keys_own() {
    let mut cases = Vec::new();
    let [_, c, s] = good();
    for alg in [
        "none", "None", "NONE", "", "es256", "ES384", "ES256K", "RS512",
    ] {
        let h = encode(with(header(ES256), "alg", json!(alg)).to_string());
        cases.push((
            "unknown, unsigned",
            format!("{h}.{c}."),
            TokenFault::WrongAlgorithm,
        ));
        cases.push((
            "unknown, signed",
            format!("{h}.{c}.{s}"),
            TokenFault::WrongAlgorithm,
        ));
    }

    // The public key as the secret of an HMAC, in every form in which it may be lying about.
    let JwkKey::Rsa { n, .. } = &key(Algorithm::Rs256).jwk.key else {
        panic!("not an RSA key")
    };
    let jwk = serde_json::to_string(&key(Algorithm::Rs256).jwk).unwrap();
    for secret in [n.as_bytes(), jwk.as_bytes(), b""] {
        let h = encode(r#"{"alg":"HS256","typ":"at+jwt","kid":"RS256"}"#);
        let signed = format!("{h}.{c}");
        let mac = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, secret),
            signed.as_bytes(),
        );
        let token = format!("{signed}.{}", encode(mac));
        cases.push((
            "HMAC with the public key",
            token,
            TokenFault::WrongAlgorithm,
        ));
    }

    // The same RSA key would do for both paddings; it is published for one.
    let rsa = key(Algorithm::Rs256);
    let sign_with = |alg: Algorithm, scheme| {
        let header = with(header(Algorithm::Rs256), "alg", json!(alg));
        let signed = format!("{}.{c}", encode(header.to_string()));
        format!(
            "{signed}.{}",
            encode(rsa.sign_rsa(scheme, signed.as_bytes()))
        )
    };
    cases.extend([
        (
            "RS256 key, used and named as PS256",
            sign_with(Algorithm::Ps256, &RSA_PSS_SHA256),
            TokenFault::WrongAlgorithm,
        ),
        (
            "RS256 key, named as PS256",
            sign_with(Algorithm::Ps256, &RSA_PKCS1_SHA256),
            TokenFault::WrongAlgorithm,
        ),
        (
            "RS256 key, used as PS256",
            sign_with(Algorithm::Rs256, &RSA_PSS_SHA256),
            TokenFault::BadSignature,
        ),
        (
            "the kid of a key of another algorithm",
            key(ES256).token(with(header(ES256), "kid", json!("EdDSA")), claims()),
            TokenFault::WrongAlgorithm,
        ),
    ]);
    refused(cases);
}

#[test]
fn keys_that_the_issuer_does_not_have() {
    let token = |kid| key(ES256).token(with(header(ES256), "kid", kid), claims());
    refused([
        ("no kid", token(Value::Null), TokenFault::MissingKeyId),
        ("empty kid", token(json!("")), TokenFault::UnknownKey),
        ("unknown kid", token(json!("es256")), TokenFault::UnknownKey),
        (
            "kid as a path",
            token(json!("../../dev/null")),
            TokenFault::UnknownKey,
        ),
    ]);
}

#[test]
fn signatures_that_do_not_match() {
    let [h, c, s] = good();
    let signed = format!("{h}.{c}");
    let der = encode(key(ES256).sign_der(signed.as_bytes()));
    let stranger = SigningKey::generate(ES256).token(header(ES256), claims());
    let other = encode(with(claims(), "client_id", json!("cl_live_2")).to_string());
    let mut cases = vec![
        ("none", format!("{signed}."), TokenFault::BadSignature),
        (
            "zeros",
            format!("{signed}.{}", encode([0; 64])),
            TokenFault::BadSignature,
        ),
        (
            "in DER",
            format!("{signed}.{der}"),
            TokenFault::BadSignature,
        ),
        ("of a stranger", stranger, TokenFault::BadSignature),
        (
            "of other claims",
            format!("{h}.{other}.{s}"),
            TokenFault::BadSignature,
        ),
    ];
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let signed = format!("{}.{c}", encode(header(algorithm).to_string()));
        let signature = key.sign(signed.as_bytes());
        let (_, tail) = signature.split_first().unwrap();
        let (_, head) = signature.split_last().unwrap();
        for changed in [
            tail.to_vec(),
            head.to_vec(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
        ] {
            let token = format!("{signed}.{}", encode(changed));
            cases.push(("cut or extended", token, TokenFault::BadSignature));
        }
    }
    refused(cases);
}
