//! A partner exchanges a secret for a token.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Answer, Credential, World, claims, header, in_future, worlds};

const FORM: &str = "application/x-www-form-urlencoded";

/// `POST` to the sandbox's token endpoint with these headers and this body.
async fn post(world: &World, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
    let mut request = world.request(Method::POST, "/sandbox/oauth2/token");
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", FORM);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.body(body).send().await.unwrap()).await
}

/// `Basic …` as a simple client would write it.
fn basic(who: &Credential) -> String {
    basic_of(format!("{}:{}", who.client_id, who.secret).as_bytes())
}

fn basic_of(bytes: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(bytes))
}

/// A whole token request as a form.
fn form_of(who: &Credential) -> String {
    format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        who.client_id, who.secret
    )
}

/// Everything of an answer but what belongs to the moment: status, headers in order, body.
fn bytes_of(answer: &Answer) -> String {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "onyx-request-id"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    headers.sort();
    format!("{}\n{}\n{}", answer.status, headers.concat(), answer.text)
}

/// What RFC 6749 §5.2 asks of every refusal.
fn assert_proper(refusal: &Answer) {
    assert!(
        (400..500).contains(&refusal.status),
        "not the caller's fault: {refusal:?}"
    );
    assert_eq!(
        (
            refusal.header("cache-control"),
            refusal.header("content-type")
        ),
        ("no-store", "application/json"),
        "{refusal:?}"
    );
    assert!(!refusal.header("onyx-request-id").is_empty());
    let body = refusal.json();
    for member in ["error", "error_description"] {
        let text = body[member].as_str().unwrap();
        let fits = |c| matches!(c, '\x20'..='\x21' | '\x23'..='\x5B' | '\x5D'..='\x7E');
        assert!(!text.is_empty() && text.chars().all(fits), "{text:?}");
    }
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
}

fn names(claims: &Value) -> BTreeSet<&str> {
    claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn lifetime(claims: &Value) -> i64 {
    claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
}

#[actix_web::test]
async fn a_partner_exchanges_a_secret_for_a_token_that_the_partner_api_accepts() {
    for world in worlds().await {
        let who = world
            .sandbox_client(&["orders:read", "catalogue:read"])
            .await;
        let answer = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, "no-store")
        );
        let body = answer.json();
        assert_eq!(
            (body["token_type"].as_str(), body["expires_in"].as_i64()),
            (Some("Bearer"), Some(300))
        );
        assert_eq!(body["scope"], "catalogue:read orders:read");
        assert!(body.get("refresh_token").is_none());

        let token = body["access_token"].as_str().unwrap();
        assert_eq!(
            (header(token)["typ"].as_str(), header(token)["alg"].as_str()),
            (Some("at+jwt"), Some("ES256"))
        );
        let claims = claims(token);
        assert_eq!(claims["iss"], format!("{}/sandbox", world.base));
        assert_eq!(claims["aud"], format!("{}/sandbox/v1", world.base));
        assert_eq!(
            (&claims["sub"], &claims["client_id"]),
            (&claims["client_id"], &who.client_id.clone().into())
        );
        assert_eq!(
            (&claims["partner_id"], &claims["env"]),
            (&who.partner_id.clone().into(), &"sandbox".into())
        );
        assert_eq!(
            (&claims["credential_id"], &claims["rsn"]),
            (&who.credential_id.clone().into(), &0.into())
        );
        assert_eq!(lifetime(&claims), 300);
        assert_eq!(claims["nbf"], claims["iat"]);

        let me = world.get("/sandbox/v1/me", Some(token)).await.expect(200);
        assert_eq!(
            (&me["client"]["id"], &me["credential"]["id"]),
            (&claims["client_id"], &claims["credential_id"])
        );
    }
}

#[actix_web::test]
async fn a_revoked_credential_gets_no_token() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        world
            .operator()
            .await
            .revoke(&who.credential_id)
            .await
            .expect(200);
        let answer = world.token_answer("sandbox", &who, &[]).await;
        assert_snapshot!(answer.line(), @r#"401 {"error":"invalid_client","error_description":"client authentication failed"}"#);
    }
}

#[actix_web::test]
async fn every_realm_gives_tokens_in_its_own_name_to_its_own_kinds_of_client() {
    for world in worlds().await {
        let base = &world.base;
        let live = world.live_client(&["orders:read"]).await;
        let token = claims(&world.token("live", &live, &[]).await);
        assert_eq!(
            (&token["iss"], &token["aud"], &token["env"]),
            (
                &json!(format!("{base}/live")),
                &json!(format!("{base}/live/v1")),
                &json!("live")
            )
        );
        assert_eq!(
            names(&token).into_iter().collect::<Vec<_>>().join(" "),
            "aud client_id credential_id env exp iat iss jti nbf partner_id rsn scope status sub"
        );
        world
            .get("/live/v1/me", Some(&world.token("live", &live, &[]).await))
            .await
            .expect(200);

        let operator = world.operator().await;
        let admin = claims(&operator.token);
        assert_eq!(
            (&admin["iss"], &admin["aud"]),
            (
                &json!(format!("{base}/admin")),
                &json!(format!("{base}/admin/v1"))
            )
        );
        let without_a_partner =
            "aud client_id credential_id exp iat iss jti nbf rsn scope status sub";
        assert_eq!(
            names(&admin).into_iter().collect::<Vec<_>>().join(" "),
            without_a_partner
        );

        let server = operator
            .resource_server(
                "live",
                "https://reports.example",
                &["reports:read"],
                "ES256",
            )
            .await;
        let server = operator.issue(server["client_id"].as_str().unwrap()).await;
        let follower = claims(&world.token("live", &server, &[]).await);
        assert_eq!(
            (&follower["aud"], &follower["scope"], &follower["sub"]),
            (
                &json!(format!("{base}/live")),
                &json!("revocations:read"),
                &json!(server.client_id)
            )
        );
        assert_eq!(
            names(&follower).into_iter().collect::<Vec<_>>().join(" "),
            without_a_partner
        );
    }
}

#[actix_web::test]
async fn no_two_tokens_have_the_same_id() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut seen = BTreeSet::new();
        for _ in 0..5 {
            let token = claims(&world.token("sandbox", &who, &[]).await);
            let id = token["jti"].as_str().unwrap().to_owned();
            // 128 bits in base62
            assert_eq!(id.len(), 22);
            assert!(seen.insert(id));
        }
    }
}

#[actix_web::test]
async fn a_secret_may_be_sent_in_the_form_or_form_encoded_in_basic_under_any_case_of_the_scheme() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let encoded =
            |text: &str| -> String { text.bytes().map(|b| format!("%{b:02x}")).collect() };
        let encoded =
            basic_of(format!("{}:{}", encoded(&who.client_id), encoded(&who.secret)).as_bytes());
        let plain = basic(&who);
        let same_id = format!("grant_type=client_credentials&client_id={}", who.client_id);
        let only_grant = "grant_type=client_credentials".to_owned();
        for (authorization, body) in [
            (None, form_of(&who)),
            (Some(plain.clone()), only_grant.clone()),
            (Some(plain.replace("Basic", "basic")), only_grant.clone()),
            (Some(plain.replace("Basic", "BASIC")), only_grant.clone()),
            (
                Some(plain.replace("Basic ", "bAsIc   ")),
                only_grant.clone(),
            ),
            (Some(encoded), only_grant),
            (Some(plain), same_id),
        ] {
            let headers: Vec<_> = authorization
                .iter()
                .map(|value| ("authorization", value.as_str()))
                .collect();
            let answer = post(&world, &headers, body).await;
            assert_eq!(
                answer.expect(200)["scope"],
                "orders:read",
                "{authorization:?}"
            );
        }
    }
}

#[actix_web::test]
async fn every_realm_takes_either_way_to_authenticate() {
    for world in worlds().await {
        for (realm, who) in [
            ("sandbox", world.sandbox_client(&["orders:read"]).await),
            ("live", world.live_client(&["orders:read"]).await),
            ("admin", world.operator_credential()),
        ] {
            let form = [
                ("grant_type", "client_credentials"),
                ("client_id", &*who.client_id),
                ("client_secret", &*who.secret),
            ];
            let by_form = world.token_form(realm, &form).await.expect(200);
            let by_header = world.token_answer(realm, &who, &[]).await.expect(200);
            assert_eq!(by_form["scope"], by_header["scope"], "{realm}");
        }
    }
}

#[actix_web::test]
async fn basic_credentials_that_need_encoding_are_read_as_the_standard_says() {
    for world in worlds().await {
        // `an:identifier` with `some secure & non-standard secret`, and ` %&+` twice.
        for vector in [
            "Basic YW4lM0FpZGVudGlmaWVyOnNvbWUrc2VjdXJlKyUyNitub24tc3RhbmRhcmQrc2VjcmV0",
            "Basic KyUyNSUyNiUyQjorJTI1JTI2JTJC",
        ] {
            let answer = post(
                &world,
                &[("authorization", vector)],
                "grant_type=client_credentials",
            )
            .await;
            assert_snapshot!(answer.line(), @r#"401 {"error":"invalid_client","error_description":"client authentication failed"}"#);
        }
        let same_id = post(
            &world,
            &[(
                "authorization",
                "Basic YW4lM0FpZGVudGlmaWVyOnNvbWUrc2VjdXJlKyUyNitub24tc3RhbmRhcmQrc2VjcmV0",
            )],
            "grant_type=client_credentials&client_id=an%3Aidentifier",
        )
        .await;
        assert_eq!(same_id.status, 401, "the ids are the same once decoded");
    }
}

#[actix_web::test]
async fn all_who_fail_to_authenticate_get_the_same_bytes() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let good = operator.client(&partner, "sandbox", &["orders:read"]).await;
        let other = operator.client(&partner, "sandbox", &["orders:read"]).await;
        let revoked = operator.client(&partner, "sandbox", &["orders:read"]).await;
        operator.revoke(&revoked.credential_id).await.expect(200);
        let soon = in_future(Duration::from_millis(1500));
        let expired = {
            let client = json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"] });
            let client = operator.client_with(&partner, client).await;
            operator.revoke(&client.credential_id).await.expect(200);
            let body = json!({ "kind": "secret", "expires_at": soon });
            let path = format!("/clients/{}/credentials", client.client_id);
            let issued = operator.post(&path, body).await.expect(201);
            Credential {
                secret: issued["secret"].as_str().unwrap().to_owned(),
                ..client
            }
        };
        let ended = {
            let body = json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"], "expires_at": soon });
            operator.client_with(&partner, body).await
        };
        let live = world.live_client(&["orders:read"]).await;
        tokio::time::sleep(Duration::from_millis(1600)).await;

        let with = |id: &str, secret: &str| Credential {
            client_id: id.to_owned(),
            secret: secret.to_owned(),
            ..good.clone()
        };
        let mut wrong = good.secret.clone();
        let last = if wrong.pop() == Some('a') { 'b' } else { 'a' };
        wrong.push(last);
        let failures = [
            (
                "unknown client",
                with("cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV", &good.secret),
            ),
            ("no client id at all", with("nobody", &good.secret)),
            ("wrong secret", with(&good.client_id, &wrong)),
            ("short secret", with(&good.client_id, "x")),
            (
                "another client's secret",
                with(&good.client_id, &other.secret),
            ),
            ("revoked credential", revoked),
            ("expired credential", expired),
            ("expired client", ended),
            ("client of another realm", live),
            ("operator", world.operator_credential()),
        ];
        for (name, who) in &failures {
            let answer = post(
                &world,
                &[("authorization", &basic(who))],
                "grant_type=client_credentials",
            )
            .await;
            assert_proper(&answer);
            assert_snapshot!(bytes_of(&answer), name, @r#"
            401
            cache-control: no-store
            content-length: 77
            content-type: application/json
            pragma: no-cache
            www-authenticate: Basic realm="sandbox", charset="UTF-8"
            x-content-type-options: nosniff

            {"error":"invalid_client","error_description":"client authentication failed"}
            "#);
            let answer = post(&world, &[], form_of(who)).await;
            assert_proper(&answer);
            assert_snapshot!(bytes_of(&answer), name, @r#"
            400
            cache-control: no-store
            content-length: 77
            content-type: application/json
            pragma: no-cache
            x-content-type-options: nosniff

            {"error":"invalid_client","error_description":"client authentication failed"}
            "#);
        }
        // The one that they stand beside is well.
        world.token("sandbox", &good, &[]).await;
    }
}

/// Name, Authorization and body of requests that nobody should send.
///
/// GOOD is a client's Basic, ID and SECRET are its halves, and GRANT is the grant type.
const MALFORMED: &str = "
no credentials | | GRANT
an id without a secret | | GRANT&client_id=ID
an empty secret | | GRANT&client_id=ID&client_secret=
a secret without an id | | GRANT&client_secret=SECRET
an empty id | | GRANT&client_id=&client_secret=SECRET
an empty body | |
Basic and a secret | GOOD | GRANT&client_id=ID&client_secret=SECRET
Basic and an assertion | GOOD | GRANT&client_assertion=x
a secret and an assertion | | GRANT&client_id=ID&client_secret=SECRET&client_assertion=x
an assertion | | GRANT&client_assertion_type=y&client_assertion=x
Basic and another id | GOOD | GRANT&client_id=cl_sbx_other
Bearer | Bearer x | GRANT
Bearer and a secret | Bearer x | GRANT&client_id=ID&client_secret=SECRET
Basic alone | Basic | GRANT
Basic that is not base64 | Basic ? | GRANT
Basic in base64url | Basic _-__ | GRANT
Basic without a colon | Basic YWJj | GRANT
Basic with half an escape | Basic YSUyOmI= | GRANT
Basic that is not UTF-8 | Basic YTolZmY= | GRANT
Basic with a NUL | Basic YTpiAA== | GRANT
no grant_type | GOOD | scope=orders:read
an empty grant_type | GOOD | grant_type=
another grant_type | GOOD | grant_type=authorization_code
grant_type in capitals | GOOD | grant_type=CLIENT_CREDENTIALS
grant_type twice | GOOD | GRANT&GRANT
scope twice | GOOD | GRANT&scope=orders:read&scope=orders:read
client_id twice | | GRANT&client_id=ID&client_id=ID&client_secret=SECRET
client_secret twice | | GRANT&client_id=ID&client_secret=SECRET&client_secret=SECRET
half an escape | GOOD | GRANT&x=%2
a wrong escape | GOOD | GRANT&x=%zz
bytes that are not UTF-8 | GOOD | GRANT&scope=%C3%28
a NUL | GOOD | GRANT&scope=%00
a scope with a quote | GOOD | GRANT&scope=%22
a scope of spaces | GOOD | GRANT&scope=+
a scope beyond ASCII | GOOD | GRANT&scope=%C3%A9
a scope with a tab | GOOD | GRANT&scope=orders:read%09usage:read
";

#[actix_web::test]
async fn a_malformed_request_is_told_what_to_mend() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let (good, form) = (basic(&who), form_of(&who));
        let grant = "grant_type=client_credentials";
        let mut told = String::new();
        for line in MALFORMED.trim().lines() {
            let filled = line
                .replace("GOOD", &good)
                .replace("GRANT", grant)
                .replace("=ID", &format!("={}", who.client_id))
                .replace("=SECRET", &format!("={}", who.secret));
            let parts: Vec<&str> = filled.split('|').map(str::trim).collect();
            let (name, authorization, body) = (parts[0], parts[1], parts[2].to_owned());
            let header = ("authorization", authorization);
            let headers = if authorization.is_empty() {
                &[][..]
            } else {
                &[header]
            };
            let answer = post(&world, headers, body).await;
            assert_proper(&answer);
            let body = answer.json();
            let challenge = answer.header("www-authenticate");
            let is_challenged = challenge == r#"Basic realm="sandbox", charset="UTF-8""#;
            assert_eq!(is_challenged, answer.status == 401, "{name}: {challenge}");
            told += &format!(
                "{name}: {} {}: {}\n",
                answer.status,
                body["error"].as_str().unwrap(),
                body["error_description"].as_str().unwrap()
            );
        }
        assert_snapshot!(told, @r"
        no credentials: 400 invalid_client: no client credentials: use HTTP Basic, or client_id and client_secret in the form
        an id without a secret: 400 invalid_client: no client credentials: use HTTP Basic, or client_id and client_secret in the form
        an empty secret: 400 invalid_client: no client credentials: use HTTP Basic, or client_id and client_secret in the form
        a secret without an id: 400 invalid_request: client_secret was sent without client_id
        an empty id: 400 invalid_request: client_secret was sent without client_id
        an empty body: 400 invalid_client: no client credentials: use HTTP Basic, or client_id and client_secret in the form
        Basic and a secret: 400 invalid_request: use one client authentication method, not two
        Basic and an assertion: 400 invalid_request: use one client authentication method, not two
        a secret and an assertion: 400 invalid_request: use one client authentication method, not two
        an assertion: 400 invalid_client: client_assertion is not supported
        Basic and another id: 400 invalid_request: client_id differs from the one in the Authorization header
        Bearer: 401 invalid_client: the Authorization header must use HTTP Basic
        Bearer and a secret: 400 invalid_request: use one client authentication method, not two
        Basic alone: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic that is not base64: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic in base64url: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic without a colon: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic with half an escape: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic that is not UTF-8: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic with a NUL: 400 invalid_request: the Authorization header is not valid HTTP Basic
        no grant_type: 400 invalid_request: grant_type is missing: send grant_type=client_credentials
        an empty grant_type: 400 invalid_request: grant_type is missing: send grant_type=client_credentials
        another grant_type: 400 unsupported_grant_type: grant_type must be client_credentials
        grant_type in capitals: 400 unsupported_grant_type: grant_type must be client_credentials
        grant_type twice: 400 invalid_request: a parameter was sent more than once
        scope twice: 400 invalid_request: a parameter was sent more than once
        client_id twice: 400 invalid_request: a parameter was sent more than once
        client_secret twice: 400 invalid_request: a parameter was sent more than once
        half an escape: 400 invalid_request: the body is not valid application/x-www-form-urlencoded
        a wrong escape: 400 invalid_request: the body is not valid application/x-www-form-urlencoded
        bytes that are not UTF-8: 400 invalid_request: the body is not valid application/x-www-form-urlencoded
        a NUL: 400 invalid_request: the body is not valid application/x-www-form-urlencoded
        a scope with a quote: 400 invalid_scope: scope must be names separated by single spaces
        a scope of spaces: 400 invalid_scope: scope must be names separated by single spaces
        a scope beyond ASCII: 400 invalid_scope: scope must be names separated by single spaces
        a scope with a tab: 400 invalid_scope: scope must be names separated by single spaces
        ");

        let raw_bytes = post(&world, &[], [form.as_bytes(), b"&scope=\xff\xfe"].concat()).await;
        assert_snapshot!(raw_bytes.line(), @r#"400 {"error":"invalid_request","error_description":"the body is not valid application/x-www-form-urlencoded"}"#);
        let twice = [("authorization", &*good), ("authorization", &*good)];
        let twice = post(&world, &twice, grant).await;
        assert_snapshot!(twice.line(), @r#"400 {"error":"invalid_request","error_description":"the Authorization header was sent more than once"}"#);
    }
}

#[actix_web::test]
async fn unknown_parameters_are_ignored_and_empty_values_count_as_omitted() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let form = form_of(&who);
        for more in [
            "foo=bar&audience=https://elsewhere.example&nonce=1",
            "scope=",
            "scope=&scope=orders:read",
            "resource=",
            "resource",
            "client_assertion=&client_assertion_type=",
            "&&&",
            "=",
        ] {
            let answer = post(&world, &[], format!("{form}&{more}")).await;
            assert_eq!(answer.expect(200)["scope"], "orders:read", "{more}");
        }
    }
}

#[actix_web::test]
async fn credentials_in_the_uri_are_refused_and_nothing_else_is_read_from_there() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let ask = async |query: &str, body: String| {
            let request = world.request(Method::POST, &format!("/sandbox/oauth2/token?{query}"));
            let request = request.header("content-type", FORM).body(body);
            Answer::of(request.send().await.unwrap()).await
        };
        for query in [
            form_of(&who),
            "client_id=x".to_owned(),
            "client_secret=x".to_owned(),
            "client%5Fsecret=x".to_owned(),
            "client_assertion=x".to_owned(),
        ] {
            for body in [form_of(&who), "grant_type=client_credentials".to_owned()] {
                let answer = ask(&query, body).await;
                assert_proper(&answer);
                assert_snapshot!(answer.line(), @r#"400 {"error":"invalid_request","error_description":"credentials do not belong in the URI: send them in the body"}"#);
            }
        }
        let scope = ask("scope=nothing:like-it&grant_type=other", form_of(&who)).await;
        assert_eq!(scope.expect(200)["scope"], "orders:read");
    }
}

#[actix_web::test]
async fn only_a_post_of_a_form_is_a_token_request() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        for realm in ["sandbox", "live", "admin"] {
            for method in [
                "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
            ] {
                let request =
                    world.request(method.parse().unwrap(), &format!("/{realm}/oauth2/token"));
                let answer = Answer::of(request.send().await.unwrap()).await;
                assert_eq!(
                    (
                        answer.status,
                        answer.header("allow"),
                        answer.header("cache-control")
                    ),
                    (405, "POST", "no-store"),
                    "{method} {realm}"
                );
                if method != "HEAD" {
                    assert_snapshot!(answer.text, @r#"{"error":"invalid_request","error_description":"use POST"}"#);
                }
            }
        }
        for media_type in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded-not",
            "x",
            "",
        ] {
            let answer = post(&world, &[("content-type", media_type)], form_of(&who)).await;
            assert_proper(&answer);
            assert_snapshot!(answer.line(), media_type, @r#"415 {"error":"invalid_request","error_description":"send the body as application/x-www-form-urlencoded"}"#);
        }
        let request = world.request(Method::POST, "/sandbox/oauth2/token");
        let untyped = Answer::of(request.body(form_of(&who)).send().await.unwrap()).await;
        assert_eq!(untyped.status, 415);
        for media_type in [
            "application/x-www-form-urlencoded; charset=UTF-8",
            "application/x-www-form-urlencoded;charset=utf-8",
            "Application/X-WWW-Form-URLencoded",
        ] {
            let answer = post(&world, &[("content-type", media_type)], form_of(&who)).await;
            answer.expect(200);
        }
    }
}

#[actix_web::test]
async fn a_body_has_at_most_64_kib_however_it_is_sent() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let padded = |length: usize| {
            let mut form = form_of(&who) + "&padding=";
            form.extend(std::iter::repeat_n('x', length - form.len()));
            form
        };
        post(&world, &[], padded(65_536)).await.expect(200);
        for length in [65_537, 300_000] {
            let answer = post(&world, &[], padded(length)).await;
            assert_proper(&answer);
            assert_snapshot!(answer.line(), @r#"413 {"error":"invalid_request","error_description":"a body has at most 65536 bytes"}"#);
        }

        let chunked = |length: usize| {
            let head = format!(
                "POST /sandbox/oauth2/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n"
            );
            let chunks: String = padded(length)
                .as_bytes()
                .chunks(8000)
                .map(|c| format!("{:x}\r\n{}\r\n", c.len(), String::from_utf8_lossy(c)))
                .collect();
            world.raw(format!("{head}{chunks}0\r\n\r\n").as_bytes())
        };
        assert!(chunked(65_536).starts_with("HTTP/1.1 200"));
        let refused = chunked(65_537);
        assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
        assert!(refused.contains(r#""error":"invalid_request""#));
    }
}

#[actix_web::test]
async fn nothing_that_a_stranger_sends_makes_the_server_fail() {
    for world in worlds().await {
        let head = format!("Host: x\r\nConnection: close\r\nContent-Type: {FORM}\r\n");
        let path = "/sandbox/oauth2/token";
        let post = format!("POST {path} HTTP/1.1\r\n{head}");
        let requests: Vec<Vec<u8>> = vec![
            format!("{post}Content-Length: -1\r\n\r\n").into(),
            format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab").into(),
            format!("{post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab").into(),
            format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into(),
            format!("{post}Authorization: Basic é\r\nContent-Length: 0\r\n\r\n").into(),
            format!("{post}Authorization:\r\nContent-Length: 0\r\n\r\n").into(),
            [
                format!("{post}Authorization: Basic ").as_bytes(),
                b"\xff\xfe\r\nContent-Length: 0\r\n\r\n",
            ]
            .concat(),
            format!(
                "{post}Authorization: Basic {}\r\nContent-Length: 0\r\n\r\n",
                "A".repeat(20_000)
            )
            .into(),
            format!("{post}X: {}\r\n\r\n", "x".repeat(300_000)).into(),
            format!("POST {path}?%ff%zz&&=&client_id HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n")
                .into(),
            format!(
                "POST /sandbox/oauth2/%00%ff/../token HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n"
            )
            .into(),
            format!("POST //sandbox//oauth2//token HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n")
                .into(),
            format!("{post}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x00").into(),
            b"GARBAGE\r\n\r\n".to_vec(),
        ];
        for request in requests {
            let shown = String::from_utf8_lossy(&request).into_owned();
            let shown: String = shown.chars().take(300).collect();
            let answer = world.raw(&request);
            let status = answer.split(' ').nth(1).unwrap_or("");
            assert!(
                answer.is_empty() || status.starts_with('4'),
                "{shown}\n->\n{answer}"
            );
            for leak in ["panicked", "src/", ".rs:", "diesel", "SQL"] {
                assert!(!answer.contains(leak), "{shown}\n->\n{answer}");
            }
        }
        assert!(!world.log().contains("panicked"), "{}", world.log());
        let who = world.sandbox_client(&["orders:read"]).await;
        world.token("sandbox", &who, &[]).await;
    }
}

#[actix_web::test]
async fn no_answer_lets_a_browser_of_another_origin_in() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let origin = ("origin", "https://app.example");
        let given = post(&world, &[origin], form_of(&who)).await;
        assert_eq!(given.status, 200);
        let preflight = world
            .request(Method::OPTIONS, "/sandbox/oauth2/token")
            .header(origin.0, origin.1)
            .header("access-control-request-method", "POST");
        let preflight = Answer::of(preflight.send().await.unwrap()).await;
        let mut answers = vec![given, preflight];
        for path in [
            "/sandbox/oauth2/jwks",
            "/.well-known/oauth-authorization-server/sandbox",
            "/sandbox/v1/me",
        ] {
            let request = world.request(Method::GET, path).header(origin.0, origin.1);
            answers.push(Answer::of(request.send().await.unwrap()).await);
        }
        for answer in answers {
            let mut headers = answer.headers.keys();
            assert!(
                headers.all(|name| !name.as_str().starts_with("access-control-")),
                "{answer:?}"
            );
        }
    }
}

#[actix_web::test]
async fn a_token_carries_what_was_asked_for_or_else_nothing() {
    for world in worlds().await {
        let who = world
            .sandbox_client(&["usage:read", "orders:read", "catalogue:read"])
            .await;
        let ask = async |scope: &str| {
            world
                .token_answer("sandbox", &who, &[("scope", scope)])
                .await
        };

        let one = ask("usage:read").await.expect(200);
        assert_eq!(one["scope"], "usage:read");
        assert_eq!(
            claims(one["access_token"].as_str().unwrap())["scope"],
            "usage:read"
        );
        let two = ask("usage:read  orders:read usage:read").await.expect(200);
        assert_eq!(two["scope"], "orders:read usage:read");

        for missing in ["ledger:read", "orders:create", "Orders:read", "made:up"] {
            let answer = ask(&format!("orders:read {missing}")).await;
            assert_proper(&answer);
            assert_eq!(
                answer.line(),
                format!(
                    r#"400 {{"error":"invalid_scope","error_description":"not granted here: {missing}"}}"#
                )
            );
        }
        let all = ask("ledger:read made:up").await;
        assert_snapshot!(all.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here: ledger:read made:up"}"#);
    }
}

#[actix_web::test]
async fn a_client_may_have_defaults_and_a_lifetime_of_its_own() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        for scope in ["orders:read", "usage:read"] {
            operator.sandbox_grant(&partner, scope, None).await;
        }
        for ttl in [60, 900] {
            let body = json!({
                "realm": "sandbox", "name": "backend", "scopes": ["orders:read", "usage:read"],
                "default_scopes": ["usage:read"], "token_ttl": ttl,
            });
            let who = operator.client_with(&partner, body).await;
            let answer = world.token_answer("sandbox", &who, &[]).await.expect(200);
            assert_eq!(
                (&answer["scope"], &answer["expires_in"]),
                (&json!("usage:read"), &json!(ttl))
            );
            assert_eq!(
                lifetime(&claims(answer["access_token"].as_str().unwrap())),
                ttl
            );
            let more = world
                .token("sandbox", &who, &[("scope", "orders:read usage:read")])
                .await;
            assert_eq!(claims(&more)["scope"], "orders:read usage:read");
        }
    }
}

#[actix_web::test]
async fn a_token_never_outlives_what_it_hangs_on() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let ends = |seconds| in_future(Duration::from_secs(seconds));
        let at = |text: &str| {
            chrono::DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp()
        };
        let expiry = async |who: &Credential, scope: &str| {
            let answer = world
                .token_answer("sandbox", who, &[("scope", scope)])
                .await;
            let answer = answer.expect(200);
            let claims = claims(answer["access_token"].as_str().unwrap());
            assert_eq!(answer["expires_in"], lifetime(&claims));
            claims["exp"].as_i64().unwrap()
        };

        operator.sandbox_grant(&partner, "orders:read", None).await;
        let short = operator
            .request_grant_until(
                &partner,
                "sandbox",
                "usage:read",
                None,
                Duration::from_secs(90),
            )
            .await
            .expect(201);
        let grant_ends = at(short["expires_at"].as_str().unwrap());
        let scopes = ["orders:read", "usage:read"];
        let who = operator.client(&partner, "sandbox", &scopes).await;
        let long = expiry(&who, "orders:read").await;
        assert!(long > grant_ends + 100, "the other grant lasts");
        assert_eq!(expiry(&who, "usage:read").await, grant_ends);
        assert_eq!(expiry(&who, "orders:read usage:read").await, grant_ends);

        let client_ends = ends(70);
        let body =
            json!({ "realm": "sandbox", "name": "x", "scopes": scopes, "expires_at": client_ends });
        let who = operator.client_with(&partner, body).await;
        assert_eq!(
            expiry(&who, "orders:read usage:read").await,
            at(&client_ends)
        );

        let credential_ends = ends(50);
        let body = json!({ "kind": "secret", "expires_at": credential_ends });
        let path = format!("/clients/{}/credentials", who.client_id);
        let issued = operator.post(&path, body).await.expect(201);
        let short_lived = Credential {
            secret: issued["secret"].as_str().unwrap().to_owned(),
            ..who.clone()
        };
        assert_eq!(
            expiry(&short_lived, "orders:read usage:read").await,
            at(&credential_ends)
        );
        assert_eq!(expiry(&who, "orders:read").await, at(&client_ends));
    }
}

#[actix_web::test]
async fn a_scope_ends_with_its_grant() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        // It ends late within a second, in which no token that could be used is left to give.
        let now = chrono::Utc::now();
        let end =
            now + chrono::TimeDelta::milliseconds(3900 - i64::from(now.timestamp_subsec_millis()));
        let lasts = (end - chrono::Utc::now()).to_std().unwrap();
        operator
            .request_grant_until(&partner, "sandbox", "usage:read", None, lasts)
            .await
            .expect(201);
        let who = operator
            .client(&partner, "sandbox", &["orders:read", "usage:read"])
            .await;
        let both = world.token("sandbox", &who, &[]).await;
        assert_eq!(claims(&both)["scope"], "orders:read usage:read");
        assert!(claims(&both)["exp"].as_i64().unwrap() <= end.timestamp());

        let last_second =
            (end - chrono::TimeDelta::milliseconds(850) - chrono::Utc::now()).to_std();
        tokio::time::sleep(last_second.unwrap_or_default()).await;
        let asked = [("scope", "orders:read usage:read")];
        let dying = world.token_answer("sandbox", &who, &asked).await;
        assert_eq!(
            (dying.status, &dying.json()["error"]),
            (400, &json!("invalid_scope"))
        );

        tokio::time::sleep((end - chrono::Utc::now()).to_std().unwrap_or_default()).await;
        let over = world.token_answer("sandbox", &who, &asked).await;
        assert_snapshot!(over.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here: usage:read"}"#);
        let rest = world.token("sandbox", &who, &[]).await;
        assert_eq!(claims(&rest)["scope"], "orders:read");
    }
}

#[actix_web::test]
async fn a_live_grant_counts_once_another_operator_has_approved_it() {
    for world in worlds().await {
        let (first, second) = (world.operator().await, world.second_operator().await);
        let partner = first.partner().await;
        let decide = async |grant: &Value, verdict: &str| {
            let path = format!("/scope-grants/{}/{verdict}", grant["id"].as_str().unwrap());
            second.post(&path, json!({})).await.expect(200)
        };
        // The client may hold the names, since another audience knows them too.
        let elsewhere = "https://orders.example";
        let scopes = ["orders:read", "usage:read"];
        first
            .resource_server("live", elsewhere, &scopes, "ES256")
            .await;
        for scope in scopes {
            let grant = first
                .request_grant(&partner, "live", scope, Some(elsewhere))
                .await;
            decide(&grant.expect(201), "approve").await;
        }
        first.ready_for_live(&second, &partner).await;
        let who = first.client(&partner, "live", &scopes).await;

        let nothing = world.token_answer("live", &who, &[]).await;
        assert_snapshot!(nothing.line(), @r#"400 {"error":"invalid_scope","error_description":"no scope is granted to this client here"}"#);

        let wanted = first
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        let refused = first
            .request_grant(&partner, "live", "usage:read", None)
            .await
            .expect(201);
        assert_eq!(wanted["state"], "requested");
        let asked = [("scope", "orders:read")];
        let undecided = world.token_answer("live", &who, &asked).await;
        assert_snapshot!(undecided.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here: orders:read"}"#);

        let path = format!("/scope-grants/{}/approve", wanted["id"].as_str().unwrap());
        assert_eq!(
            first.post(&path, json!({})).await.status,
            403,
            "who asked decides not"
        );
        assert_eq!(world.token_answer("live", &who, &asked).await.status, 400);

        decide(&wanted, "approve").await;
        decide(&refused, "deny").await;
        let token = world.token("live", &who, &asked).await;
        world.get("/live/v1/me", Some(&token)).await.expect(200);
        assert_eq!(
            claims(&world.token("live", &who, &[]).await)["scope"],
            "orders:read"
        );
        let denied = world
            .token_answer("live", &who, &[("scope", "usage:read")])
            .await;
        assert_snapshot!(denied.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here: usage:read"}"#);
    }
}
