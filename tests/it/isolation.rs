//! Realms are strangers to each other, and a token is worth nothing once it is changed.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Answer, World, claims, free_address, header, worlds, worlds_with};

const DOORS: [(&str, &str); 3] = [
    ("sandbox", "/sandbox/v1/me"),
    ("live", "/live/v1/me"),
    ("admin", "/admin/v1/keys"),
];

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn reason(answer: &Answer) -> String {
    match answer.status {
        200 => "200".to_owned(),
        status => {
            let problem = answer.json();
            assert_eq!(
                answer.header("content-type"),
                "application/problem+json",
                "{answer:?}"
            );
            format!(
                "{status} {}: {}",
                problem["code"].as_str().unwrap(),
                problem["detail"].as_str().unwrap()
            )
        }
    }
}

#[actix_web::test]
async fn a_token_opens_the_api_of_its_own_realm_alone() {
    for world in worlds().await {
        let operator = world.operator().await;
        let service = "https://reports.example";
        let server = operator
            .resource_server("sandbox", service, &["orders:read"], "ES256")
            .await;
        let server = operator.issue(server["client_id"].as_str().unwrap()).await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        operator
            .sandbox_grant(&partner, "orders:read", Some(service))
            .await;
        let sandbox = operator.client(&partner, "sandbox", &["orders:read"]).await;
        let live = world.live_client(&["orders:read"]).await;
        let tokens = [
            (
                "a sandbox token",
                world.token("sandbox", &sandbox, &[]).await,
            ),
            ("a live token", world.token("live", &live, &[]).await),
            ("an admin token", operator.token.clone()),
            (
                "a sandbox token for another service",
                world
                    .token("sandbox", &sandbox, &[("resource", service)])
                    .await,
            ),
            (
                "a resource server's token",
                world.token("sandbox", &server, &[]).await,
            ),
        ];
        let mut told = String::new();
        for (name, token) in &tokens {
            for (realm, door) in DOORS {
                let answer = world.get(door, Some(token)).await;
                told += &format!("{name} at {realm}: {}\n", reason(&answer));
            }
        }
        assert_snapshot!(told, @r"
        a sandbox token at sandbox: 200
        a sandbox token at live: 401 invalid_token: The access token is not valid.
        a sandbox token at admin: 401 invalid_token: The access token is not valid.
        a live token at sandbox: 401 invalid_token: The access token is not valid.
        a live token at live: 200
        a live token at admin: 401 invalid_token: The access token is not valid.
        an admin token at sandbox: 401 invalid_token: The access token is not valid.
        an admin token at live: 401 invalid_token: The access token is not valid.
        an admin token at admin: 200
        a sandbox token for another service at sandbox: 401 invalid_token: The access token is meant for another service.
        a sandbox token for another service at live: 401 invalid_token: The access token is not valid.
        a sandbox token for another service at admin: 401 invalid_token: The access token is not valid.
        a resource server's token at sandbox: 401 invalid_token: The access token is meant for another service.
        a resource server's token at live: 401 invalid_token: The access token is not valid.
        a resource server's token at admin: 401 invalid_token: The access token is not valid.
        ");
    }
}

#[actix_web::test]
async fn a_credential_of_one_realm_does_not_exist_in_another() {
    for world in worlds().await {
        let holders = [
            ("sandbox", world.sandbox_client(&["orders:read"]).await),
            ("live", world.live_client(&["orders:read"]).await),
            ("admin", world.operator_credential()),
        ];
        for (home, who) in &holders {
            for (realm, _) in DOORS {
                let answer = world.token_answer(realm, who, &[]).await;
                if realm == *home {
                    answer.expect(200);
                } else {
                    assert_snapshot!(answer.line(), @r#"401 {"error":"invalid_client","error_description":"client authentication failed"}"#);
                }
            }
        }
    }
}

#[actix_web::test]
async fn no_two_realms_and_no_two_servers_share_a_key() {
    let mut seen = std::collections::BTreeSet::new();
    let all = worlds().await;
    for world in &all {
        for (realm, _) in DOORS {
            let keys = world.get(&format!("/{realm}/oauth2/jwks"), None).await;
            for key in keys.expect(200)["keys"].as_array().unwrap() {
                assert!(
                    seen.insert(key["x"].as_str().unwrap().to_owned()),
                    "{realm}"
                );
            }
        }
    }
    let [ours, theirs] = all.as_slice() else {
        panic!("two engines make two worlds");
    };
    let stranger = theirs.sandbox_client(&["orders:read"]).await;
    let token = theirs.token("sandbox", &stranger, &[]).await;
    theirs.get("/sandbox/v1/me", Some(&token)).await.expect(200);
    let refused = ours.get("/sandbox/v1/me", Some(&token)).await;
    assert_eq!(
        reason(&refused),
        "401 invalid_token: The access token is not valid."
    );
    assert_eq!(
        ours.token_answer("sandbox", &stranger, &[]).await.status,
        401
    );
}

/// Tokens that are not, made from one that is; each with the trick's name.
async fn forgeries(world: &World, token: &str) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = token.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let with_head = |change: Value| {
        let mut new = header(token);
        for (name, value) in change.as_object().unwrap() {
            new[name] = value.clone();
        }
        encode(&new)
    };
    let with_claim = |name: &str, value: Value| {
        let mut new = claims(token);
        new[name] = value;
        encode(&new)
    };
    let flipped = |text: &str| {
        let first = if text.starts_with('A') { "B" } else { "A" };
        format!("{first}{}", &text[1..])
    };
    let none = with_head(json!({ "alg": "none" }));

    let keys = world.get("/sandbox/oauth2/jwks", None).await.expect(200);
    let public = URL_SAFE_NO_PAD
        .decode(keys["keys"][0]["x"].as_str().unwrap())
        .unwrap();
    let symmetric = format!("{}.{body}", with_head(json!({ "alg": "HS256" })));
    let mac = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &public),
        symmetric.as_bytes(),
    );

    let own = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let signed = |head: &str, body: &str| {
        let message = format!("{head}.{body}");
        let signature = own.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let (x, y) = own.public_key().as_ref()[1..].split_at(32);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) });
    let live = world.get("/live/oauth2/jwks", None).await.expect(200);
    let mut noise = [0; 64];
    rand::fill(&mut noise).unwrap();

    vec![
        (
            "more scope",
            format!(
                "{head}.{}.{signature}",
                with_claim("scope", json!("orders:create"))
            ),
        ),
        (
            "another partner",
            format!(
                "{head}.{}.{signature}",
                with_claim("partner_id", json!("ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV"))
            ),
        ),
        (
            "a longer life",
            format!(
                "{head}.{}.{signature}",
                with_claim("exp", json!(9_999_999_999_i64))
            ),
        ),
        (
            "a flipped signature",
            format!("{head}.{body}.{}", flipped(signature)),
        ),
        (
            "noise for a signature",
            format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(noise)),
        ),
        (
            "zeros for a signature",
            format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        ),
        ("no signature", format!("{head}.{body}.")),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{token}.{signature}")),
        ("a padded signature", format!("{token}==")),
        ("alg none", format!("{none}.{body}.")),
        ("alg none, signed", format!("{none}.{body}.{signature}")),
        (
            "the public key as an HMAC key",
            format!("{symmetric}.{}", URL_SAFE_NO_PAD.encode(mac)),
        ),
        ("a key of one's own", signed(head, body)),
        (
            "a key brought along",
            signed(&with_head(json!({ "jwk": jwk })), body),
        ),
        (
            "a key to be fetched",
            signed(
                &with_head(json!({ "jku": "https://evil.example/jwks" })),
                body,
            ),
        ),
        (
            "another realm's key",
            signed(&with_head(json!({ "kid": live["keys"][0]["kid"] })), body),
        ),
        (
            "an unknown key",
            signed(&with_head(json!({ "kid": "x" })), body),
        ),
        (
            "another type",
            format!("{}.{body}.{signature}", with_head(json!({ "typ": "JWT" }))),
        ),
        (
            "a critical extension",
            signed(&with_head(json!({ "crit": ["exp"] })), body),
        ),
        (
            "no JSON",
            format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode("x")),
        ),
        ("nothing in it", "..".to_owned()),
        ("far too much", "A".repeat(20_000)),
    ]
}

#[actix_web::test]
async fn a_token_that_was_changed_or_forged_is_not_valid_and_is_told_no_more() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        for (trick, forged) in forgeries(&world, &token).await {
            assert_ne!(forged, token);
            let answer = world.get("/sandbox/v1/me", Some(&forged)).await;
            assert_eq!(
                reason(&answer),
                "401 invalid_token: The access token is not valid.",
                "{trick}"
            );
            let challenge = answer
                .header("www-authenticate")
                .replace(&world.base, "BASE");
            assert_snapshot!(challenge, trick, @r#"Bearer realm="sandbox", error="invalid_token", error_description="The access token is not valid.", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1""#);
        }
    }
}

#[actix_web::test]
async fn an_admin_listener_takes_everything_of_the_admin_realm_off_the_public_one() {
    let paths = [
        "/admin/v1/keys",
        "/admin/v1/partners",
        "/admin/oauth2/jwks",
        "/admin/oauth2/token",
        "/.well-known/oauth-authorization-server/admin",
        "/admin/.well-known/openid-configuration",
    ];
    let of_partners = ["/sandbox/oauth2/jwks", "/live/v1/me"];
    for mut world in worlds_with(&[]).await {
        world.kill();
        let inside = free_address();
        world.set("ONYX_ADMIN_LISTEN", &inside);
        world.start().await;
        let at_admin = async |path: &str| {
            let answer = world
                .http
                .get(format!("http://{inside}{path}"))
                .send()
                .await;
            answer.unwrap().status().as_u16()
        };
        for path in paths {
            assert_eq!(world.get(path, None).await.status, 404, "{path}");
            assert_ne!(at_admin(path).await, 404, "{path}");
        }
        for path in of_partners {
            assert_ne!(world.get(path, None).await.status, 404, "{path}");
            assert_eq!(at_admin(path).await, 404, "{path}");
        }
    }
}
