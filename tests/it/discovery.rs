//! What a client or a service finds out by itself: metadata, keys, challenges.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Answer, World, header, worlds};

/// A JSON answer with its members in order, and with BASE for the server's own origin.
fn document(world: &World, answer: &Answer) -> String {
    serde_json::to_string_pretty(&answer.expect(200))
        .unwrap()
        .replace(&world.base, "BASE")
}

async fn keys(world: &World, realm: &str) -> Vec<Value> {
    let answer = world.get(&format!("/{realm}/oauth2/jwks"), None).await;
    answer.expect(200)["keys"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn an_issuer_describes_itself_wherever_verifiers_look() {
    for world in worlds().await {
        let mut described = Vec::new();
        for realm in ["sandbox", "live", "admin"] {
            let issuer = format!("{}/{realm}", world.base);
            let rfc8414 = format!("/.well-known/oauth-authorization-server/{realm}");
            let appended = format!("/{realm}/.well-known/oauth-authorization-server");
            let openid = format!("/{realm}/.well-known/openid-configuration");
            for path in [&rfc8414, &appended, &openid] {
                let answer = world.get(path, None).await;
                let known = answer.expect(200);
                assert_eq!(known["issuer"], issuer);
                assert_eq!(known["jwks_uri"], format!("{issuer}/oauth2/jwks"));
                assert_eq!(known["token_endpoint"], format!("{issuer}/oauth2/token"));
                assert_eq!(
                    (
                        answer.header("content-type"),
                        answer.header("cache-control")
                    ),
                    ("application/json", "public, max-age=300")
                );
            }
            let first = document(&world, &world.get(&rfc8414, None).await);
            assert_eq!(first, document(&world, &world.get(&appended, None).await));
            let mut openid = world.get(&openid, None).await.expect(200);
            let members = openid.as_object_mut().unwrap();
            assert_eq!(
                (
                    members.remove("subject_types_supported"),
                    members.remove("id_token_signing_alg_values_supported")
                ),
                (Some(json!(["public"])), Some(json!(["ES256"])))
            );
            assert_eq!(openid, world.get(&rfc8414, None).await.json());
            described.push(first);
        }
        assert_eq!(described[0], described[1].replace("/live", "/sandbox"));
        assert_snapshot!(described[1], @r#"
        {
          "grant_types_supported": [
            "client_credentials"
          ],
          "introspection_endpoint": "BASE/live/oauth2/introspect",
          "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post"
          ],
          "issuer": "BASE/live",
          "jwks_uri": "BASE/live/oauth2/jwks",
          "protected_resources": [
            "BASE/live/v1"
          ],
          "response_types_supported": [
            "none"
          ],
          "revocation_endpoint": "BASE/live/oauth2/revoke",
          "revocation_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post"
          ],
          "scopes_supported": [
            "catalogue:read",
            "events:replay",
            "invoices:read",
            "ledger:read",
            "orders:create",
            "orders:read",
            "revocations:read",
            "usage:read",
            "webhooks:manage"
          ],
          "token_endpoint": "BASE/live/oauth2/token",
          "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post"
          ]
        }
        "#);
        assert_snapshot!(described[2], @r#"
        {
          "grant_types_supported": [
            "client_credentials"
          ],
          "issuer": "BASE/admin",
          "jwks_uri": "BASE/admin/oauth2/jwks",
          "response_types_supported": [
            "none"
          ],
          "revocation_endpoint": "BASE/admin/oauth2/revoke",
          "revocation_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post"
          ],
          "scopes_supported": [
            "audit:read",
            "billing:write",
            "catalogue:write",
            "clients:read",
            "clients:write",
            "credentials:issue",
            "credentials:revoke",
            "credentials:rotate",
            "governance:write",
            "grants:decide",
            "keys:manage",
            "limits:write",
            "operators:write",
            "orders:fulfil",
            "partners:read",
            "partners:write",
            "requests:read",
            "resource-servers:write",
            "security:read",
            "security:write",
            "usage:write"
          ],
          "token_endpoint": "BASE/admin/oauth2/token",
          "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post"
          ]
        }
        "#);
    }
}

#[actix_web::test]
async fn the_partner_api_describes_itself_and_nothing_else_does() {
    for world in worlds().await {
        for realm in ["sandbox", "live"] {
            let path = format!("/.well-known/oauth-protected-resource/{realm}/v1");
            let described = document(&world, &world.get(&path, None).await);
            assert_snapshot!(described.replace(&format!("/{realm}"), "/REALM"), @r#"
            {
              "authorization_servers": [
                "BASE/REALM"
              ],
              "bearer_methods_supported": [
                "header"
              ],
              "dpop_bound_access_tokens_required": false,
              "resource": "BASE/REALM/v1",
              "resource_name": "Onyx partner API",
              "scopes_supported": [
                "catalogue:read",
                "events:replay",
                "invoices:read",
                "ledger:read",
                "orders:create",
                "orders:read",
                "usage:read",
                "webhooks:manage"
              ]
            }
            "#);
        }
        for nowhere in [
            "/.well-known/oauth-authorization-server",
            "/.well-known/oauth-authorization-server/",
            "/.well-known/oauth-authorization-server/production",
            "/.well-known/oauth-authorization-server/sandbox/",
            "/.well-known/oauth-authorization-server/sandbox/v1",
            "/.well-known/openid-configuration",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/sandbox",
            "/.well-known/oauth-protected-resource/admin/v1",
            "/production/oauth2/jwks",
            "/Sandbox/oauth2/jwks",
        ] {
            let answer = world.get(nowhere, None).await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (404, "application/problem+json"),
                "{nowhere}"
            );
            assert_eq!(answer.json()["code"], "not_found");
        }
        for path in [
            "/sandbox/oauth2/jwks",
            "/.well-known/oauth-authorization-server/sandbox",
            "/.well-known/oauth-protected-resource/sandbox/v1",
        ] {
            let answer = world.request(Method::POST, path).send().await.unwrap();
            let answer = Answer::of(answer).await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));

            let (head, get) = (
                world.request(Method::HEAD, path),
                world.request(Method::GET, path),
            );
            let head = Answer::of(head.send().await.unwrap()).await;
            let get = Answer::of(get.send().await.unwrap()).await;
            assert_eq!((head.status, head.text.as_str()), (200, ""));
            for header in ["content-type", "cache-control", "content-length"] {
                assert_eq!(head.header(header), get.header(header), "{path} {header}");
            }
        }
    }
}

#[actix_web::test]
async fn keys_are_published_without_their_secrets_each_under_its_thumbprint() {
    for world in worlds().await {
        let operator = world.operator().await;
        for alg in ["RS256", "PS256", "EdDSA"] {
            let audience = format!("https://{}.example", alg.to_lowercase());
            operator
                .resource_server("sandbox", &audience, &["orders:read"], alg)
                .await;
        }
        let answer = world.get("/sandbox/oauth2/jwks", None).await;
        assert_eq!(
            (
                answer.header("content-type"),
                answer.header("cache-control")
            ),
            ("application/jwk-set+json", "public, max-age=300")
        );

        let keys = keys(&world, "sandbox").await;
        let mut kids = BTreeSet::new();
        for key in &keys {
            let text = |name: &str| key[name].as_str().unwrap();
            let (algs, members, printed) = match text("kty") {
                "EC" => (
                    ["ES256"].as_slice(),
                    "alg crv kid kty use x y",
                    format!(
                        r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                        text("x"),
                        text("y")
                    ),
                ),
                "OKP" => (
                    ["EdDSA"].as_slice(),
                    "alg crv kid kty use x",
                    format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text("x")),
                ),
                "RSA" => (
                    ["RS256", "PS256"].as_slice(),
                    "alg e kid kty n use",
                    format!(r#"{{"e":"AQAB","kty":"RSA","n":"{}"}}"#, text("n")),
                ),
                other => panic!("a key of type {other}"),
            };
            let names: Vec<&str> = key
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(names.join(" "), members);
            assert!(algs.contains(&text("alg")) && text("use") == "sig");
            // RFC 7638 §3
            let thumbprint = digest::digest(&digest::SHA256, printed.as_bytes());
            assert_eq!(text("kid"), URL_SAFE_NO_PAD.encode(thumbprint));
            assert!(
                kids.insert(text("kid").to_owned()),
                "a kid stands for one key"
            );
        }
        let mut algs: Vec<_> = keys
            .iter()
            .map(|key| key["alg"].as_str().unwrap())
            .collect();
        algs.sort_unstable();
        assert_eq!(algs, ["ES256", "EdDSA", "PS256", "RS256"]);
        let rsa = keys.iter().filter(|key| key["kty"] == "RSA");
        for key in rsa {
            let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
            assert!(
                modulus.len() >= 256 && modulus[0] != 0,
                "2,048 bits or more"
            );
        }
    }
}

#[actix_web::test]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_goes_on_meanwhile() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let before = world.token("sandbox", &who, &[]).await;
        let old = header(&before)["kid"].clone();
        let operator = world.operator().await;
        let rotate = json!({ "realm": "sandbox" });
        let new = operator.post("/keys/rotate", rotate).await.expect(201);
        assert_ne!(new["kid"], old);
        let at = |key: &Value, name: &str| {
            let text = key[name].as_str().unwrap();
            chrono::DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp()
        };
        // Whoever fetched the keys a moment ago may keep them for 300 seconds.
        assert!(at(&new, "signs_from") >= at(&new, "published_at") + 300);
        let listed = operator.get("/keys").await.expect(200);
        let listed = listed["data"].as_array().unwrap();
        let superseded = listed.iter().find(|key| key["kid"] == old).unwrap();
        assert_eq!(superseded["signs_until"], new["signs_from"]);
        // The longest token, and a round of every cache.
        assert!(at(superseded, "published_until") >= at(superseded, "signs_until") + 900 + 300);

        for restarted in [false, true] {
            if restarted {
                assert_eq!(world.terminate(), Some(0));
                world.start().await;
            }
            let published: Vec<Value> = keys(&world, "sandbox").await;
            let kids: BTreeSet<&str> = published
                .iter()
                .map(|key| key["kid"].as_str().unwrap())
                .collect();
            let both = [old.as_str().unwrap(), new["kid"].as_str().unwrap()];
            assert_eq!(kids, BTreeSet::from(both));
            let token = world.token("sandbox", &who, &[]).await;
            assert_eq!(header(&token)["kid"], old);
            for token in [&before, &token] {
                world.get("/sandbox/v1/me", Some(token)).await.expect(200);
            }
            assert_eq!(keys(&world, "live").await.len(), 1, "others keep theirs");
        }
    }
}

#[actix_web::test]
async fn who_knows_only_the_api_finds_the_way_to_a_token() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let refused = world.get("/sandbox/v1/me", None).await;
        assert_eq!(refused.status, 401);
        let challenge = refused.header("www-authenticate").to_owned();
        assert_snapshot!(challenge.replace(&world.base, "BASE"), @r#"Bearer realm="sandbox", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1""#);

        let fetch = async |url: &str| {
            let answer = world.http.get(url).send().await.unwrap();
            Answer::of(answer).await.expect(200)
        };
        let metadata = challenge.split('"').nth(3).unwrap();
        let resource = fetch(metadata).await;
        assert_eq!(resource["resource"], format!("{}/sandbox/v1", world.base));
        let issuer = resource["authorization_servers"][0].as_str().unwrap();
        let realm = issuer.strip_prefix(&world.base).unwrap();
        let place = format!(
            "{}/.well-known/oauth-authorization-server{realm}",
            world.base
        );
        let server = fetch(&place).await;
        assert_eq!(server["issuer"], issuer);
        let request = world
            .http
            .post(server["token_endpoint"].as_str().unwrap())
            .basic_auth(&who.client_id, Some(&who.secret))
            .form(&[("grant_type", "client_credentials")]);
        let token = Answer::of(request.send().await.unwrap()).await.expect(200);
        let token = token["access_token"].as_str().unwrap();
        world.get("/sandbox/v1/me", Some(token)).await.expect(200);
    }
}

#[actix_web::test]
async fn the_partner_api_takes_one_token_in_one_header_and_says_so_in_problem_details() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let ask = async |path: &str, authorization: &[&str]| {
            let mut request = world.request(Method::GET, path);
            for value in authorization {
                request = request.header("authorization", *value);
            }
            Answer::of(request.send().await.unwrap()).await
        };
        let (me, bearer) = ("/sandbox/v1/me", format!("Bearer {token}"));
        let in_query = format!("{me}?access_token={token}");
        let cases = [
            ("nothing", me, vec![]),
            ("Basic", me, vec!["Basic YTpi"]),
            ("nothing after Bearer", me, vec!["Bearer "]),
            ("no b64token", me, vec!["Bearer \"x\""]),
            ("garbage", me, vec!["Bearer garbage"]),
            ("twice", me, vec![&bearer, &bearer]),
            ("in the query", &in_query, vec![]),
            ("in both", &in_query, vec![&bearer]),
        ];
        let mut told = String::new();
        for (name, path, authorization) in cases {
            let answer = ask(path, &authorization).await;
            assert_eq!(answer.header("content-type"), "application/problem+json");
            let problem = answer.json();
            let id = problem["request_id"].as_str().unwrap();
            assert!(id.starts_with("req_") && id == answer.header("onyx-request-id"));
            assert_eq!(
                (&problem["type"], &problem["status"]),
                (&json!("about:blank"), &json!(answer.status))
            );
            let members = problem.as_object().unwrap().keys();
            assert_eq!(
                members.map(String::as_str).collect::<Vec<_>>(),
                ["code", "detail", "request_id", "status", "title", "type"]
            );
            told += &format!(
                "{name}: {} {}, {}: {}\n    {}\n",
                answer.status,
                problem["title"].as_str().unwrap(),
                problem["code"].as_str().unwrap(),
                problem["detail"].as_str().unwrap(),
                answer
                    .header("www-authenticate")
                    .replace(&world.base, "BASE")
            );
        }
        assert_snapshot!(told, @r#"
        nothing: 401 Unauthorized, token_missing: An access token is required.
            Bearer realm="sandbox", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1"
        Basic: 401 Unauthorized, token_missing: An access token is required.
            Bearer realm="sandbox", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1"
        nothing after Bearer: 400 Bad Request, invalid_request: The Authorization header must be Bearer, a space and one access token.
            Bearer realm="sandbox", error="invalid_request", error_description="The Authorization header must be Bearer, a space and one access token.", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1"
        no b64token: 401 Unauthorized, invalid_token: The access token is not valid.
            Bearer realm="sandbox", error="invalid_token", error_description="The access token is not valid.", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1"
        garbage: 401 Unauthorized, invalid_token: The access token is not valid.
            Bearer realm="sandbox", error="invalid_token", error_description="The access token is not valid.", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1"
        twice: 400 Bad Request, invalid_request: The Authorization header must not be repeated.
            Bearer realm="sandbox", error="invalid_request", error_description="The Authorization header must not be repeated.", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1"
        in the query: 400 Bad Request, invalid_request: An access token must not be sent in the query string.
            Bearer realm="sandbox", error="invalid_request", error_description="An access token must not be sent in the query string.", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1"
        in both: 400 Bad Request, invalid_request: An access token must not be sent in the query string.
            Bearer realm="sandbox", error="invalid_request", error_description="An access token must not be sent in the query string.", resource_metadata="BASE/.well-known/oauth-protected-resource/sandbox/v1"
        "#);
        ask(me, &[&bearer.replace("Bearer", "bEARER")])
            .await
            .expect(200);
    }
}
