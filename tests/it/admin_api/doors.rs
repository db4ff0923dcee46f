//! Who is let in, and to what.

use reqwest::Method;
use serde_json::json;

use super::{NOBODY, operator_scopes};
use crate::support::assert_snapshot;
use crate::support::world::{Answer, World, worlds};

/// Every verb of the admin API with the scope that it demands.
const ROUTES: [(&str, &str, &str); 28] = [
    ("GET", "/operators", "operators:write"),
    ("POST", "/operators", "operators:write"),
    ("GET", "/operators/{cl_adm}", "operators:write"),
    ("GET", "/partners", "partners:read"),
    ("POST", "/partners", "partners:write"),
    ("GET", "/partners/{ptn}", "partners:read"),
    ("POST", "/partners/{ptn}/approve", "partners:write"),
    ("POST", "/partners/{ptn}/reject", "partners:write"),
    ("GET", "/partners/{ptn}/scope-grants", "governance:write"),
    ("POST", "/partners/{ptn}/scope-grants", "governance:write"),
    ("POST", "/scope-grants/{grt}/approve", "grants:decide"),
    ("POST", "/scope-grants/{grt}/deny", "grants:decide"),
    ("GET", "/partners/{ptn}/clients", "clients:read"),
    ("POST", "/partners/{ptn}/clients", "clients:write"),
    ("GET", "/clients", "clients:read"),
    ("GET", "/clients/{cl_sbx}", "clients:read"),
    ("GET", "/clients/{cl_sbx}/scope-usage", "clients:read"),
    ("GET", "/recommendations", "clients:read"),
    ("POST", "/recommendations/{rec}/apply", "grants:decide"),
    ("GET", "/clients/{cl_sbx}/credentials", "clients:read"),
    ("POST", "/clients/{cl_sbx}/credentials", "credentials:issue"),
    ("POST", "/credentials/{crd}/revoke", "credentials:revoke"),
    ("POST", "/credentials/{crd}/rotate", "credentials:rotate"),
    (
        "POST",
        "/credentials/{crd}/finish-rotation",
        "credentials:rotate",
    ),
    (
        "POST",
        "/credentials/{crd}/undo-rotation",
        "credentials:rotate",
    ),
    ("GET", "/resource-servers", "resource-servers:write"),
    ("POST", "/resource-servers", "resource-servers:write"),
    ("GET", "/resource-servers/{rsv}", "resource-servers:write"),
];

/// The routes of the signing keys: they have no record in their path.
const KEY_ROUTES: [(&str, &str, &str); 3] = [
    ("GET", "/keys", "keys:manage"),
    ("POST", "/keys/rotate", "keys:manage"),
    ("POST", "/keys/{kid}/revoke", "keys:manage"),
];

/// A body that no verb takes: whoever gets past the door is told so, and changes nothing.
async fn knock(world: &World, (method, path): (&str, &str), token: Option<&str>) -> Answer {
    let path = path.replace('{', "").replace('}', &format!("_{NOBODY}"));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let is_post = method == Method::POST;
    let mut request = world.request(method, &format!("/admin/v1{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if is_post {
        request = request.json(&json!({ "nonsense": true }));
    }
    Answer::of(request.send().await.unwrap()).await
}

fn routes() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ROUTES.into_iter().chain(KEY_ROUTES)
}

#[actix_web::test]
async fn nobody_reaches_the_admin_api_without_a_token() {
    for world in worlds().await {
        for (method, path, _) in routes() {
            let answer = knock(&world, (method, path), None).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(
                answer.header("www-authenticate"),
                r#"Bearer realm="admin""#,
                "{method} {path}"
            );
        }
        let answer = world.get("/admin/v1/partners", None).await;
        assert_snapshot!(answer.problem(), @"401 token_missing: An access token is required.");
    }
}

#[actix_web::test]
async fn a_partners_token_opens_no_door_of_the_admin_api() {
    for world in worlds().await {
        let sandbox = world.sandbox_client(&["orders:read"]).await;
        let live = world.live_client(&["orders:read"]).await;
        let tokens = [
            world.token("sandbox", &sandbox, &[]).await,
            world.token("live", &live, &[]).await,
        ];
        for token in tokens {
            for (method, path, _) in routes() {
                let answer = knock(&world, (method, path), Some(&token)).await;
                assert_eq!(answer.status, 401, "{method} {path}");
                assert!(
                    answer
                        .header("www-authenticate")
                        .contains(r#"error="invalid_token""#)
                );
            }
        }
    }
}

#[actix_web::test]
async fn every_verb_demands_its_own_scope() {
    for world in worlds().await {
        let operator = world.operator().await;
        let everything = operator_scopes(&operator).await;
        for (method, path, scope) in routes() {
            let held: Vec<&str> = everything
                .iter()
                .map(String::as_str)
                .filter(|held| *held != scope)
                .collect();
            let token = world
                .token(
                    "admin",
                    &world.operator_credential(),
                    &[("scope", &held.join(" "))],
                )
                .await;
            let answer = knock(&world, (method, path), Some(&token)).await;
            assert_eq!(answer.status, 403, "{method} {path}");
            assert_eq!(answer.json()["code"], "insufficient_scope");
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.starts_with(r#"Bearer realm="admin", error="insufficient_scope""#)
                    && challenge.contains(&format!(r#"scope="{scope}""#)),
                "{challenge}"
            );

            let token = world
                .token("admin", &world.operator_credential(), &[("scope", scope)])
                .await;
            let answer = knock(&world, (method, path), Some(&token)).await;
            assert!(
                [200, 404, 422].contains(&answer.status),
                "{method} {path}: {}",
                answer.line()
            );
        }
    }
}

#[actix_web::test]
async fn another_method_is_told_what_the_path_takes() {
    for world in worlds().await {
        let operator = world.operator().await;
        let request = world
            .request(Method::DELETE, "/admin/v1/partners")
            .bearer_auth(&operator.token);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.header("allow"), "GET, HEAD, POST");
        assert_snapshot!(answer.problem(), @"405 method_not_allowed: this path takes GET, HEAD, POST");
    }
}
