//! For whom a token is: the `resource` parameter (RFC 8707), and each audience's algorithm.

use onyx_verifier::{JwkSet, Verifier};
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Credential, Operator, World, claims, header, worlds, worlds_with};

const REPORTS: &str = "https://reports.example/api";
const ARCHIVE: &str = "urn:example:archive";

/// A partner's sandbox client with a scope of the same name at the partner API and at other audiences.
async fn client_at(operator: &Operator<'_>, scopes: &[&str], audiences: &[&str]) -> Credential {
    let partner = operator.partner().await;
    for scope in scopes {
        operator.sandbox_grant(&partner, scope, None).await;
        for audience in audiences {
            operator
                .sandbox_grant(&partner, scope, Some(audience))
                .await;
        }
    }
    operator.client(&partner, "sandbox", scopes).await
}

/// What a service at this audience makes of a token, with nothing but the issuer's published keys.
async fn accepted(world: &World, realm: &str, audience: &str, token: &str) -> bool {
    let keys = world.get(&format!("/{realm}/oauth2/jwks"), None).await;
    let keys: JwkSet = serde_json::from_value(keys.expect(200)).unwrap();
    let verifier = Verifier::builder(format!("{}/{realm}", world.base), audience).jwks(keys);
    let now = claims(token)["iat"].as_i64().unwrap();
    verifier.unwrap().verify_at(token, now).is_ok()
}

#[actix_web::test]
async fn a_token_is_for_the_resource_that_was_named_and_for_no_other() {
    for world in worlds().await {
        let operator = world.operator().await;
        operator
            .resource_server("sandbox", REPORTS, &["orders:read"], "ES256")
            .await;
        operator
            .resource_server("sandbox", ARCHIVE, &["orders:read"], "ES256")
            .await;
        let who = client_at(&operator, &["orders:read"], &[REPORTS, ARCHIVE]).await;

        let api = format!("{}/sandbox/v1", world.base);
        for audience in [REPORTS, ARCHIVE, &api] {
            let token = world
                .token("sandbox", &who, &[("resource", audience)])
                .await;
            assert_eq!(claims(&token)["aud"], audience);
            assert_eq!(claims(&token)["scope"], "orders:read");
            for service in [REPORTS, ARCHIVE, &api] {
                assert_eq!(
                    accepted(&world, "sandbox", service, &token).await,
                    service == audience,
                    "a token for {audience} at {service}"
                );
            }
            let me = world.get("/sandbox/v1/me", Some(&token)).await;
            assert_eq!(me.status, if audience == api { 200 } else { 401 });
        }
    }
}

#[actix_web::test]
async fn a_scope_at_one_audience_says_nothing_about_its_namesake_at_another() {
    for world in worlds().await {
        let operator = world.operator().await;
        let scopes = ["orders:read", "usage:read"];
        operator
            .resource_server("sandbox", REPORTS, &scopes, "ES256")
            .await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        operator
            .sandbox_grant(&partner, "usage:read", Some(REPORTS))
            .await;
        let who = operator.client(&partner, "sandbox", &scopes).await;

        let here = world.token("sandbox", &who, &[]).await;
        assert_eq!(claims(&here)["scope"], "orders:read");
        let there = world.token("sandbox", &who, &[("resource", REPORTS)]).await;
        assert_eq!(claims(&there)["scope"], "usage:read");
        let crossed = [("scope", "orders:read"), ("resource", REPORTS)];
        let crossed = world.token_answer("sandbox", &who, &crossed).await;
        assert_snapshot!(crossed.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here, or not among this client's own scopes: orders:read"}"#);

        let api = format!("{}/sandbox/v1", world.base);
        let both = [("resource", REPORTS), ("resource", &*api)];
        let nothing_common = world.token_answer("sandbox", &who, &both).await;
        assert_snapshot!(nothing_common.line(), @r#"400 {"error":"invalid_scope","error_description":"nothing is granted here that is among this client's own scopes"}"#);
    }
}

#[actix_web::test]
async fn one_token_may_be_for_several_audiences_and_carries_what_is_held_at_all_of_them() {
    for world in worlds().await {
        let operator = world.operator().await;
        let scopes = ["orders:read", "usage:read"];
        for audience in [REPORTS, ARCHIVE] {
            operator
                .resource_server("sandbox", audience, &scopes, "ES256")
                .await;
        }
        let partner = operator.partner().await;
        for (scope, audience) in [
            ("orders:read", REPORTS),
            ("usage:read", REPORTS),
            ("orders:read", ARCHIVE),
        ] {
            operator
                .sandbox_grant(&partner, scope, Some(audience))
                .await;
        }
        let who = operator.client(&partner, "sandbox", &scopes).await;

        let both = [("resource", ARCHIVE), ("resource", REPORTS)];
        let token = world.token("sandbox", &who, &both).await;
        assert_eq!(claims(&token)["aud"], json!([ARCHIVE, REPORTS]));
        assert_eq!(claims(&token)["scope"], "orders:read");
        for service in [REPORTS, ARCHIVE] {
            assert!(accepted(&world, "sandbox", service, &token).await);
        }
        assert_eq!(world.get("/sandbox/v1/me", Some(&token)).await.status, 401);

        let more = [both[0], both[1], ("scope", "usage:read")];
        let more = world.token_answer("sandbox", &who, &more).await;
        assert_snapshot!(more.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here, or not among this client's own scopes: usage:read"}"#);

        let again = [("resource", REPORTS); 3];
        let again = world.token("sandbox", &who, &again).await;
        assert_eq!(claims(&again)["aud"], REPORTS, "once is enough");
    }
}

#[actix_web::test]
async fn a_resource_that_is_not_registered_here_is_an_invalid_target() {
    for world in worlds().await {
        let operator = world.operator().await;
        operator
            .resource_server("sandbox", REPORTS, &["orders:read"], "ES256")
            .await;
        let of_live = "https://live.example";
        operator
            .resource_server("live", of_live, &["orders:read"], "ES256")
            .await;
        let who = client_at(&operator, &["orders:read"], &[REPORTS]).await;
        let base = &world.base;

        for unknown in [
            "https://nobody.example",
            "https://reports.example/api/",
            "https://reports.example/API",
            "https://reports.example/api?x=1",
            "https://reports.example:443/api",
            "https://reports.example",
            of_live,
            &format!("{base}/live/v1"),
            &format!("{base}/admin/v1"),
            &format!("{base}/sandbox/v1/"),
        ] {
            let asked = [("resource", unknown)];
            let refused = world.token_answer("sandbox", &who, &asked).await;
            assert_snapshot!(refused.line(), unknown, @r#"400 {"error":"invalid_target","error_description":"no resource server is registered under this resource"}"#);
            let beside = [("resource", REPORTS), ("resource", unknown)];
            let refused = world.token_answer("sandbox", &who, &beside).await;
            assert_eq!(refused.json()["error"], "invalid_target", "{unknown}");
        }
        for malformed in [
            "reports",
            "/api",
            "//reports.example/api",
            "https://reports.example/api#",
            "https://reports.example/api#part",
            "https://",
            " ",
        ] {
            let asked = [("resource", malformed)];
            let refused = world.token_answer("sandbox", &who, &asked).await;
            assert_snapshot!(refused.line(), malformed, @r#"400 {"error":"invalid_target","error_description":"resource must be an absolute URI without a fragment"}"#);
        }
    }
}

#[actix_web::test]
async fn each_kind_of_client_has_audiences_of_its_own() {
    for world in worlds().await {
        let operator = world.operator().await;
        // A name with characters that no description may hold.
        let odd = r#"urn:a"b\c"#;
        let server = operator
            .resource_server("sandbox", odd, &["orders:read"], "ES256")
            .await;
        let server = operator.issue(server["client_id"].as_str().unwrap()).await;
        let partner = client_at(&operator, &["orders:read"], &[]).await;
        let base = &world.base;

        let feed = format!("{base}/sandbox");
        let follower = world
            .token("sandbox", &server, &[("resource", &feed)])
            .await;
        assert_eq!(claims(&follower)["aud"], feed);
        let cases = [
            ("sandbox", &server, format!("{base}/sandbox/v1")),
            ("sandbox", &server, odd.to_owned()),
            ("sandbox", &partner, feed),
            (
                "admin",
                &world.operator_credential(),
                format!("{base}/admin"),
            ),
        ];
        let mut told = String::new();
        for (realm, who, resource) in cases {
            let asked = [("resource", resource.as_str())];
            let refused = world.token_answer(realm, who, &asked).await;
            told += &format!("{}\n", refused.line().replace(base.as_str(), "BASE"));
        }
        assert_snapshot!(told, @r#"
        400 {"error":"invalid_target","error_description":"BASE/sandbox/v1 is not for this client"}
        400 {"error":"invalid_target","error_description":"urn:a?b?c is not for this client"}
        400 {"error":"invalid_target","error_description":"BASE/sandbox is not for this client"}
        400 {"error":"invalid_target","error_description":"BASE/admin is not for this client"}
        "#);
    }
}

#[actix_web::test]
async fn each_audience_gets_the_algorithm_that_it_asked_for() {
    for world in worlds().await {
        let operator = world.operator().await;
        let audience = |alg: &str| format!("https://{}.example", alg.to_lowercase());
        let algorithms = ["ES256", "RS256", "PS256", "EdDSA"];
        let audiences = algorithms.map(audience);
        for (alg, audience) in algorithms.iter().zip(&audiences) {
            operator
                .resource_server("sandbox", audience, &["orders:read"], alg)
                .await;
        }
        let names: Vec<&str> = audiences.iter().map(String::as_str).collect();
        let who = client_at(&operator, &["orders:read"], &names).await;

        for (alg, audience) in algorithms.iter().zip(names) {
            let token = world
                .token("sandbox", &who, &[("resource", audience)])
                .await;
            let head = header(&token);
            assert_eq!(
                (&head["alg"], &head["typ"]),
                (&json!(alg), &json!("at+jwt"))
            );
            let keys = world.get("/sandbox/oauth2/jwks", None).await.expect(200);
            let key = keys["keys"]
                .as_array()
                .unwrap()
                .iter()
                .find(|key| key["kid"] == head["kid"]);
            assert_eq!(key.unwrap()["alg"], *alg);
            assert!(accepted(&world, "sandbox", audience, &token).await, "{alg}");
        }

        let mixed = [("resource", &*audiences[0]), ("resource", &*audiences[3])];
        let mixed = world.token_answer("sandbox", &who, &mixed).await;
        assert_snapshot!(mixed.line(), @r#"400 {"error":"invalid_target","error_description":"these resources want different signing algorithms: ask for one each"}"#);
        // The partner API keeps the realm's own algorithm.
        let own = world.token("sandbox", &who, &[]).await;
        assert_eq!(header(&own)["alg"], "ES256");
        world.get("/sandbox/v1/me", Some(&own)).await.expect(200);
    }
}

#[actix_web::test]
async fn the_servers_own_audiences_get_the_configured_algorithm() {
    for alg in ["EdDSA", "PS256"] {
        for world in worlds_with(&[("ONYX_SIGNING_ALG", alg)]).await {
            let who = world.sandbox_client(&["orders:read"]).await;
            let token = world.token("sandbox", &who, &[]).await;
            assert_eq!(header(&token)["alg"], alg);
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
            let openid: Value = world
                .get("/sandbox/.well-known/openid-configuration", None)
                .await
                .expect(200);
            assert_eq!(
                openid["id_token_signing_alg_values_supported"],
                json!([alg])
            );
        }
    }
}

#[actix_web::test]
async fn a_resource_that_no_registration_could_have_is_refused_unseen() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let long = format!("https://e.example/{}", "a".repeat(1024));
        let answer = world
            .token_answer("sandbox", &who, &[("resource", &long)])
            .await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!("invalid_target"))
        );
        let names: Vec<String> = (0..17)
            .map(|nth| format!("https://e.example/{nth}"))
            .collect();
        let many: Vec<(&str, &str)> = names
            .iter()
            .map(|name| ("resource", name.as_str()))
            .collect();
        let answer = world.token_answer("sandbox", &who, &many).await;
        assert_snapshot!(answer.line(), @r#"400 {"error":"invalid_target","error_description":"too many resources for one token"}"#);
    }
}
