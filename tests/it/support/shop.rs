//! What it takes to order something.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::world::{Answer, Credential, Operator, World};

/// The scopes of who orders.
pub const SHOPPING: [&str; 3] = ["catalogue:read", "orders:create", "orders:read"];

static KEYS: AtomicUsize = AtomicUsize::new(0);

/// A package of 19.00 EUR.
pub fn package() -> Value {
    json!({
        "name": "Europe 5 GB",
        "description": "Data in 33 countries",
        "price": { "amount": 1900, "currency": "EUR" },
        "validity_days": 30,
        "region": "Europe",
        "features": ["5 GB", "hotspot"],
    })
}

/// The package with members of its own.
pub fn package_with(members: Value) -> Value {
    let mut package = package();
    for (name, value) in members.as_object().unwrap() {
        package[name] = value.clone();
    }
    package
}

impl Operator<'_> {
    /// A published package's id.
    pub async fn published(&self, body: Value) -> String {
        let drafted = self.post("/packages", body).await.expect(201);
        let id = drafted["id"].as_str().unwrap().to_owned();
        let path = format!("/packages/{id}/publish");
        self.post(&path, json!({})).await.expect(200);
        id
    }
}

/// A partner's client at the partner API.
pub struct Shopper<'a> {
    pub world: &'a World,
    pub who: Credential,
    pub env: &'static str,
    pub token: String,
}

impl World {
    /// A new partner's client of the sandbox.
    pub async fn shopper(&self) -> Shopper<'_> {
        let who = self.sandbox_client(&SHOPPING).await;
        self.shopper_as("sandbox", who).await
    }

    /// A new partner's client of live.
    pub async fn live_shopper(&self) -> Shopper<'_> {
        let who = self.live_client(&SHOPPING).await;
        self.shopper_as("live", who).await
    }

    pub async fn shopper_as(&self, env: &'static str, who: Credential) -> Shopper<'_> {
        let token = self.token(env, &who, &[]).await;
        Shopper {
            world: self,
            who,
            env,
            token,
        }
    }
}

impl Shopper<'_> {
    pub fn path(&self, path: &str) -> String {
        format!("/{}/v1{path}", self.env)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.world.get(&self.path(path), Some(&self.token)).await
    }

    /// A request that is not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.world.request(method, &self.path(path));
        request.bearer_auth(&self.token)
    }

    /// An order under a key, not sent yet.
    pub fn ordering(&self, key: &str, body: &Value) -> RequestBuilder {
        let request = self.request(Method::POST, "/orders");
        request.header("idempotency-key", key).json(body)
    }

    /// An order under a key.
    pub async fn order_under(&self, key: &str, body: &Value) -> Answer {
        Answer::of(self.ordering(key, body).send().await.unwrap()).await
    }

    /// An order under a key of its own.
    pub async fn order(&self, package: &str, quantity: i64, reference: &str) -> Answer {
        self.order_under(&fresh_key(), &order(package, quantity, reference))
            .await
    }

    /// Waits until an order has come to a state.
    pub async fn wait_for(&self, id: &str, state: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let order = self.get(&format!("/orders/{id}")).await.expect(200);
            if order["state"] == state {
                return order;
            }
            assert!(Instant::now() < deadline, "{order} is not {state}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A key that nobody used.
pub fn fresh_key() -> String {
    let nth = KEYS.fetch_add(1, Ordering::Relaxed);
    format!("\"key-{}-{nth}\"", std::process::id())
}

/// The body of an order.
pub fn order(package: &str, quantity: i64, reference: &str) -> Value {
    json!({ "package_id": package, "quantity": quantity, "partner_order_ref": reference })
}

/// A list's column.
pub fn column(list: &Value, name: &str) -> Vec<String> {
    let rows = list["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row[name].as_str().unwrap().to_owned())
        .collect()
}

/// What two answers must have in common to tell nothing apart: all but the request's id and the time.
pub fn bare(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| name != "onyx-request-id" && name != "date")
        .filter(|(name, _)| !name.starts_with("ratelimit"))
        .collect();
    headers.sort();
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    (answer.status, headers, body)
}
