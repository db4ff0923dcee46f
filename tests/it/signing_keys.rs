//! Signing keys: what one signed is dead from its revocation on, and a rotation disturbs nobody.

mod lists;
mod revoking;
mod rotating;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::world::{Answer, Credential, Operator, World, header};

const AUDIENCE: &str = "https://orders.acme.example";

const DAY: Duration = Duration::from_secs(24 * 3600);

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

async fn revoke(operator: &Operator<'_>, kid: &str) -> Answer {
    let path = format!("/keys/{kid}/revoke");
    operator.post(&path, json!({ "reason": "stolen" })).await
}

async fn published(world: &World, realm: &str) -> Vec<String> {
    let jwks = world.get(&format!("/{realm}/oauth2/jwks"), None).await;
    let jwks = jwks.expect(200);
    let kids = jwks["keys"].as_array().unwrap().iter();
    kids.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

async fn status(world: &World, token: &str) -> u16 {
    world.get("/sandbox/v1/me", Some(token)).await.status
}

/// Asks until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < deadline, "it never came that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A service with its credential, and a partner's client that holds a scope at it.
async fn service_and_client(world: &World) -> (Credential, Credential) {
    let operator = world.operator().await;
    let server = operator
        .resource_server("sandbox", AUDIENCE, &["stock:read"], "ES256")
        .await;
    let service = operator.issue(server["client_id"].as_str().unwrap()).await;
    let partner = operator.partner().await;
    operator
        .sandbox_grant(&partner, "stock:read", Some(AUDIENCE))
        .await;
    let client = operator.client(&partner, "sandbox", &["stock:read"]).await;
    (service, client)
}
