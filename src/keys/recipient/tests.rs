use super::*;

fn parse(jwk: Value) -> Result<Recipient, Vec<JwkFault>> {
    Recipient::parse(jwk.as_object().unwrap())
}

fn members(jwk: Value) -> Vec<&'static str> {
    let faults = parse(jwk).unwrap_err();
    faults.iter().map(|fault| fault.member).collect()
}

/// The key of RFC 7517, appendix A.1.
fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    })
}

/// The key of RFC 7517, appendix A.1, whose thumbprint RFC 7638, section 3.1, gives.
fn rsa() -> Value {
    json!({
        "kty": "RSA", "e": "AQAB", "alg": "RSA-OAEP-256",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    })
}

fn with(mut jwk: Value, member: &str, value: Value) -> Value {
    jwk[member] = value;
    jwk
}

#[test]
fn the_key_derivation_is_that_of_the_rfc() {
    // RFC 7518, appendix C, derives 128 bits for "A128GCM"; ours are 256 bits under another
    // label, computed with Python's `hashlib` from the same Z, apu and apv.
    let z = [
        158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110,
        163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
    ];
    let key = concat_kdf(&z, "A256GCM", b"Alice", b"Bob");
    assert_eq!(
        URL_SAFE_NO_PAD.encode(key.as_slice()),
        "_VpjYu4u855R2KndssmFBzkLWo9qO8FK9HxH0bWOO2A"
    );
}

#[test]
fn a_thumbprint_is_that_of_the_rfc() {
    assert_eq!(
        parse(rsa()).unwrap().thumbprint(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn keys_of_both_kinds_are_taken_with_what_tools_write_beside_them() {
    for jwk in [
        p256(),
        rsa(),
        with(p256(), "alg", json!("ECDH-ES")),
        with(p256(), "alg", json!("ECDH-ES+A256KW")),
        with(p256(), "use", json!("enc")),
        with(p256(), "key_ops", json!([])),
        with(rsa(), "key_ops", json!(["wrapKey", "encrypt"])),
        with(rsa(), "x5t", json!("whatever")),
    ] {
        parse(jwk).unwrap();
    }
}

#[test]
fn private_and_symmetric_keys_are_refused() {
    assert_eq!(members(with(p256(), "d", json!("AA"))), ["d"]);
    let rsa = with(with(rsa(), "d", json!("AA")), "p", json!("AA"));
    assert_eq!(members(rsa), ["d", "p"]);
    assert_eq!(members(json!({ "kty": "oct", "k": "AA" })), ["k", "kty"]);
}

#[test]
fn keys_for_something_else_are_refused() {
    assert_eq!(members(with(p256(), "use", json!("sig"))), ["use"]);
    assert_eq!(
        members(with(p256(), "key_ops", json!(["verify"]))),
        ["key_ops"]
    );
    assert_eq!(
        members(with(p256(), "key_ops", json!("verify"))),
        ["key_ops"]
    );
    assert_eq!(members(with(p256(), "alg", json!("ES256"))), ["alg"]);
    assert_eq!(members(with(rsa(), "alg", json!("RSA1_5"))), ["alg"]);
    assert_eq!(members(with(rsa(), "alg", json!(7))), ["alg"]);
}

#[test]
fn weak_and_broken_keys_are_refused() {
    let n = |bytes: Vec<u8>| with(rsa(), "n", json!(URL_SAFE_NO_PAD.encode(bytes)));
    assert_eq!(members(n(vec![0xff; 128])), ["n"]);
    // Leading zeros make no key longer.
    assert_eq!(members(n([vec![0; 128], vec![0xff; 255]].concat())), ["n"]);
    assert_eq!(members(n(vec![0xff; 1025])), ["n"]);
    assert_eq!(members(n(vec![0xfe; 256])), ["n"], "an even modulus");
    for e in ["Aw", "AQAA", "AA", ""] {
        assert_eq!(members(with(rsa(), "e", json!(e))), ["e"], "{e}");
    }
    assert_eq!(members(with(p256(), "crv", json!("P-384"))), ["crv"]);
    assert_eq!(members(with(p256(), "crv", json!("secp256k1"))), ["crv"]);
    assert_eq!(members(with(p256(), "x", json!("AAAA"))), ["x"]);
    assert_eq!(members(with(p256(), "x", json!("a+/="))), ["x"]);
    let off = URL_SAFE_NO_PAD.encode([1; 32]);
    assert_eq!(
        members(with(p256(), "x", json!(off))),
        ["x"],
        "off the curve"
    );
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    let infinity = with(with(p256(), "x", json!(zero)), "y", json!(zero));
    assert_eq!(members(infinity), ["x"]);
    assert_eq!(
        members(json!({ "kty": "OKP", "crv": "X25519", "x": "AA" })),
        ["kty"]
    );
    assert_eq!(members(json!({})), ["kty"]);
    assert_eq!(members(json!({ "kty": "EC" })), ["crv"]);
    assert_eq!(members(json!({ "kty": "RSA" })), ["n", "e"]);
    assert_eq!(
        members(with(p256(), "kid", json!("x".repeat(257)))),
        ["kid"]
    );
}

#[test]
fn the_header_says_what_a_recipient_needs() {
    let jwe = parse(p256()).unwrap().encrypt(b"{}").unwrap();
    let parts: Vec<_> = jwe.split('.').collect();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    assert_eq!(header["alg"], "ECDH-ES+A256KW");
    assert_eq!(
        (&header["enc"], &header["kid"]),
        (&json!("A256GCM"), &json!("1"))
    );
    assert_eq!(
        (&header["typ"], &header["cty"]),
        (&json!("JOSE"), &json!("json"))
    );
    assert_eq!(header["epk"]["crv"], "P-256");
    assert_eq!(parts.len(), 5);
    // Never the same twice.
    assert_ne!(jwe, parse(p256()).unwrap().encrypt(b"{}").unwrap());
}
