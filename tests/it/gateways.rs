//! The configurations in `deploy/`, run by the real gateways against the real server.

mod gateway;
mod service;

use reqwest::Method;
use serde_json::json;

use crate::support::world::{Answer, Credential, World, worlds_with};
use gateway::Gateway;
use service::Service;

/// The audience that the configurations name.
const AUDIENCE: &str = "https://orders.example";
/// An address that clients are bound to and that no test comes from.
const ELSEWHERE: &str = "203.0.113.7";

/// Servers that believe what a gateway on this machine says of callers' addresses.
async fn trusting_worlds() -> Vec<World> {
    worlds_with(&[("ONYX_TRUSTED_PROXIES", "127.0.0.1/32")]).await
}

/// A client that may read orders, and one that may also place them.
async fn clients(world: &World) -> (Credential, Credential) {
    let operator = world.operator().await;
    let scopes = ["orders:create", "orders:read"];
    operator
        .resource_server("sandbox", AUDIENCE, &scopes, "ES256")
        .await;
    let partner = operator.partner().await;
    for scope in scopes {
        operator
            .sandbox_grant(&partner, scope, Some(AUDIENCE))
            .await;
    }
    let reader = operator.client(&partner, "sandbox", &["orders:read"]).await;
    (reader, operator.client(&partner, "sandbox", &scopes).await)
}

async fn token(world: &World, who: &Credential) -> String {
    world.token("sandbox", who, &[("resource", AUDIENCE)]).await
}

/// Asks through the gateway.
async fn ask(
    world: &World,
    gateway: &Gateway,
    method: Method,
    authorization: Option<&str>,
    headers: &[(&str, &str)],
) -> Answer {
    let url = format!("http://{}/orders/7?limit=1&scope=mine", gateway.address);
    let mut request = world.http.request(method.clone(), url);
    if method == Method::POST {
        request = request.body("an order");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    Answer::of(request.send().await.unwrap()).await
}

/// What every gateway must do: who passes, what the service is told, who is refused and how.
async fn guards(mut world: World, start: fn(&World, &Service) -> Gateway, when_down: u16) {
    let service = Service::start();
    let gateway = start(&world, &service);
    let (reader, writer) = clients(&world).await;
    let reads = format!("Bearer {}", token(&world, &reader).await);
    let writes = format!("Bearer {}", token(&world, &writer).await);

    // The service hears who calls from the server, whatever the caller says of itself.
    let forged = [
        ("Onyx-Partner-Id", "forged"),
        ("onyx-partner-id", "forged"),
        ("onyx_partner_id", "forged"),
        ("Onyx-Scope", "forged"),
        ("Onyx-Env", "forged"),
        ("Onyx-Token-Id", "forged"),
    ];
    let passed = ask(&world, &gateway, Method::GET, Some(&reads), &forged).await;
    assert_eq!(passed.status, 200, "{}", passed.text);
    assert!(!passed.text.contains("forged"), "{}", passed.text);
    assert!(passed.text.starts_with("GET /orders/7?limit=1&scope=mine "));
    for (name, value) in [
        ("onyx-partner-id", reader.partner_id.as_str()),
        ("onyx-client-id", &reader.client_id),
        ("onyx-credential-id", &reader.credential_id),
        ("onyx-env", "sandbox"),
        ("onyx-scope", "orders:read"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(service::values(&passed.text, name), [value], "{name}");
    }
    assert_eq!(service::values(&passed.text, "onyx-token-id").len(), 1);
    let placed = ask(&world, &gateway, Method::POST, Some(&writes), &[]).await;
    assert_eq!(placed.status, 200, "{}", placed.text);
    assert!(placed.text.ends_with("an order"), "{}", placed.text);
    assert_eq!(service.hits(), 2);

    // Nobody else gets there.
    let bare = ask(&world, &gateway, Method::GET, None, &forged).await;
    let realm = "Bearer realm=\"sandbox\"";
    assert_eq!(
        (bare.status, bare.header("www-authenticate")),
        (401, realm),
        "{bare:?}"
    );
    let wrong = ask(&world, &gateway, Method::GET, Some("Bearer a.b.c"), &[]).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.header("www-authenticate").contains("invalid_token"));
    let lacks = ask(&world, &gateway, Method::POST, Some(&reads), &[]).await;
    assert_eq!(lacks.status, 403);
    let challenge = lacks.header("www-authenticate");
    assert!(challenge.contains("insufficient_scope"), "{challenge}");
    assert!(challenge.contains("orders:create"), "{challenge}");
    let malformed = ask(&world, &gateway, Method::GET, Some("Bearer a b"), &[]).await;
    assert!([400, 401].contains(&malformed.status), "{malformed:?}");
    let challenge = malformed.header("www-authenticate");
    assert!(challenge.contains("invalid_request"), "{malformed:?}");

    let operator = world.operator().await;
    operator.revoke(&reader.credential_id).await.expect(200);
    let revoked = ask(&world, &gateway, Method::GET, Some(&reads), &[]).await;
    assert_eq!(revoked.status, 401);
    assert!(revoked.header("www-authenticate").contains("revoked"));

    drop(operator);
    world.kill();
    let down = ask(&world, &gateway, Method::GET, Some(&writes), &[]).await;
    assert_eq!(down.status, when_down, "{down:?}");
    assert_eq!(service.hits(), 2);

    // Nobody needs to start the gateway again.
    world.start().await;
    let passed = ask(&world, &gateway, Method::GET, Some(&writes), &[]).await;
    assert_eq!(passed.status, 200, "{passed:?}");
}

/// A client that is bound to an address is judged by the one that the gateway sees.
async fn says_where_from(world: &World, start: fn(&World, &Service) -> Gateway) {
    let service = Service::start();
    let gateway = start(world, &service);
    let (bound, _) = clients(world).await;
    let operator = world.operator().await;
    let path = format!("/clients/{}", bound.client_id);
    let allow = |address: &str| json!({ "ip_allowlist": [address] });
    operator.patch(&path, allow(ELSEWHERE)).await.expect(200);

    let token = async || {
        let request = world.request(Method::POST, "/sandbox/oauth2/token");
        let request = request
            .basic_auth(&bound.client_id, Some(&bound.secret))
            .header("x-forwarded-for", ELSEWHERE)
            .form(&[("grant_type", "client_credentials"), ("resource", AUDIENCE)]);
        let answer = Answer::of(request.send().await.unwrap()).await.expect(200);
        format!("Bearer {}", answer["access_token"].as_str().unwrap())
    };
    let held = token().await;
    let by = format!("for={ELSEWHERE}");
    for forged in [
        &[][..],
        &[("x-forwarded-for", ELSEWHERE)],
        &[("forwarded", by.as_str())],
        &[("x-forwarded-for", ELSEWHERE), ("forwarded", by.as_str())],
    ] {
        let refused = ask(world, &gateway, Method::GET, Some(&held), forged).await;
        assert_eq!(refused.status, 403, "{forged:?}: {refused:?}");
    }
    assert_eq!(service.hits(), 0);

    let both = json!({ "ip_allowlist": [ELSEWHERE, "127.0.0.1"] });
    operator.patch(&path, both).await.expect(200);
    let held = token().await;
    let passed = ask(world, &gateway, Method::GET, Some(&held), &[]).await;
    assert_eq!(passed.status, 200, "{passed:?}");
}

#[actix_web::test]
async fn nginx_lets_in_who_may_says_who_it_is_and_refuses_all_others() {
    for world in trusting_worlds().await {
        guards(world, gateway::nginx, 503).await;
    }
}

#[actix_web::test]
async fn nginx_tells_the_server_where_a_caller_is_and_believes_no_caller() {
    for world in trusting_worlds().await {
        says_where_from(&world, gateway::nginx).await;
    }
}

#[actix_web::test]
async fn caddy_lets_in_who_may_says_who_it_is_and_refuses_all_others() {
    for world in trusting_worlds().await {
        guards(world, gateway::caddy, 502).await;
    }
}

#[actix_web::test]
async fn caddy_tells_the_server_where_a_caller_is_and_believes_no_caller() {
    for world in trusting_worlds().await {
        says_where_from(&world, gateway::caddy).await;
    }
}

#[actix_web::test]
async fn what_envoy_asks_is_answered_and_its_callers_query_decides_nothing() {
    let envoy = gateway::deployed("envoy/envoy.yaml");
    let prefix = envoy.split("path_prefix: \"").nth(1).unwrap();
    let prefix = prefix.split('"').next().unwrap();
    let prefix = prefix.replace("/live/", "/sandbox/");
    for world in trusting_worlds().await {
        let (reader, _) = clients(&world).await;
        let token = token(&world, &reader).await;
        let ask = async |path: &str| {
            let answer = world.get(&format!("{prefix}{path}"), Some(&token)).await;
            answer.status
        };
        for path in [
            "/orders/7",
            "/orders?limit=1&page=2",
            "/?",
            "/a//b?c=/d",
            "/orders?id=1&id=2&path=/",
            "/orders?limit=1&aud=https://x.example&scope=",
        ] {
            assert_eq!(ask(path).await, 200, "{path}");
        }
        for forged in ["access_token=a"] {
            let path = format!("/orders?limit=1&{forged}");
            assert_eq!(ask(&path).await, 400, "{path}");
        }
        let needs_more = format!(
            "{}/orders?x=1&scope=orders:read",
            prefix.replace("orders:read", "orders:create")
        );
        let lacks = world.get(&needs_more, Some(&token)).await;
        assert_eq!(lacks.status, 403);
    }
}
