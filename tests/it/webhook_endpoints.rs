//! Webhook endpoints: set up, verified, changed, given new secrets, switched off and on; all at a real receiver.

mod challenge;
mod secrets;
mod targets;
mod upkeep;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::shop::Shopper;
use crate::support::world::{Answer, World};

const SCOPES: [&str; 1] = ["webhooks:manage"];

impl World {
    /// A partner's client that sets webhooks up.
    async fn developer(&self) -> Shopper<'_> {
        let who = self.sandbox_client(&SCOPES).await;
        self.shopper_as("sandbox", who).await
    }
}

impl Shopper<'_> {
    async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, &format!("/webhook-endpoints{path}"));
        Answer::of(request.json(&body).send().await.unwrap()).await
    }

    /// Sets an endpoint up for all events, whatever comes of its challenge.
    async fn set_up(&self, url: &str) -> Value {
        let body = json!({ "url": url, "event_types": ["*"] });
        self.send(Method::POST, "", body).await.expect(201)
    }

    /// Does something with an endpoint.
    async fn act(&self, endpoint: &Value, verb: &str) -> Answer {
        let path = format!("/{}/{verb}", text(endpoint, "id"));
        self.send(Method::POST, &path, json!({})).await
    }

    async fn change(&self, endpoint: &Value, change: Value) -> Answer {
        let path = format!("/{}", text(endpoint, "id"));
        self.send(Method::PATCH, &path, change).await
    }

    async fn shown(&self, endpoint: &Value) -> Value {
        let path = format!("/webhook-endpoints/{}", text(endpoint, "id"));
        self.get(&path).await.expect(200)
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

/// What came of a message, without how long it took.
fn outcome(attempt: &Value) -> String {
    assert!(attempt["milliseconds"].is_u64(), "{attempt}");
    let class = attempt["class"].as_str().unwrap_or("-");
    let members = attempt.as_object().unwrap();
    assert_eq!(members.len(), 4, "{attempt}");
    format!("{} {class} {}", attempt["succeeded"], attempt["status"])
}
