//! Events, the endpoints that are told of them, their deliveries and replays.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Document, Story};
use crate::support::receiver::Receiver;

impl Story<'_> {
    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }
}

/// What there is to do with an endpoint, at a real receiver.
pub(super) async fn endpoints(document: &mut Document<'_>, story: &Story<'_>) {
    let receiver = Receiver::start().await;
    let wanted = json!({ "url": receiver.url("/in"), "event_types": ["*"] });
    let made = document
        .ask(story.post("/webhook-endpoints", &wanted), 201)
        .await
        .json();
    let id = made["id"].as_str().unwrap();
    let one = format!("/webhook-endpoints/{id}");
    let bad = json!({ "url": "https://10.0.0.1/", "event_types": [] });
    document
        .ask(story.post("/webhook-endpoints", &bad), 422)
        .await;
    document.ask(story.get("/webhook-endpoints"), 200).await;
    document
        .ask(story.get("/webhook-endpoints?state=lost"), 400)
        .await;
    document.ask(story.get(&one), 200).await;
    let change = json!({ "event_types": ["order.accepted"] });
    let change = story.request(Method::PATCH, &one).json(&change);
    document.ask(change, 200).await;
    let everything = json!({ "event_types": ["*"] });
    let change = story.request(Method::PATCH, &one).json(&everything);
    document.ask(change, 200).await;
    for verb in ["test", "verify", "disable", "enable"] {
        let path = format!("{one}/{verb}");
        document.ask(story.post(&path, &json!({})), 200).await;
        let nobodys = format!("/webhook-endpoints/x/{verb}");
        document.ask(story.post(&nobodys, &json!({})), 404).await;
    }
    document
        .ask(story.post(&format!("{one}/enable"), &json!({})), 409)
        .await;
    let rotation = json!({ "overlap_seconds": 60 });
    let rotate = format!("{one}/rotate-secret");
    document.ask(story.post(&rotate, &rotation), 201).await;
    events(document, story).await;
    let told = receiver.wait_for(1).await;
    let deliveries = format!("{one}/deliveries");
    loop {
        let page = document.ask(story.get(&deliveries), 200).await.json();
        if !page["data"].as_array().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    document
        .ask(
            story.get(&format!("{deliveries}?event_id={}", told[0].id())),
            200,
        )
        .await;
    document
        .ask(story.get(&format!("{deliveries}?state=lost")), 400)
        .await;
    replays(document, story, id).await;
    document.ask(story.request(Method::DELETE, &one), 204).await;
    document.ask(story.get(&one), 404).await;
}

async fn events(document: &mut Document<'_>, story: &Story<'_>) {
    let trigger = json!({ "type": "order.accepted" });
    let event = document.ask(story.post("/events", &trigger), 201).await;
    let event = event.json();
    let unknown = json!({ "type": "order.lost" });
    document.ask(story.post("/events", &unknown), 422).await;
    let id = event["id"].as_str().unwrap();
    document.ask(story.get(&format!("/events/{id}")), 200).await;
    document.ask(story.get("/events/x"), 404).await;
    document
        .ask(story.get("/events?after_seq=0&limit=2"), 200)
        .await;
    document
        .ask(story.get("/events?after_seq=4000000"), 410)
        .await;
    document.ask(story.get("/events?after_seq=x"), 400).await;
}

async fn replays(document: &mut Document<'_>, story: &Story<'_>, endpoint: &str) {
    let mut wanted = json!({ "endpoint_id": endpoint, "only": "all", "dry_run": true });
    let previewed = document.ask(story.post("/replays", &wanted), 201).await;
    let previewed = previewed.json();
    let replay = format!("/replays/{}", previewed["id"].as_str().unwrap());
    document.ask(story.get(&replay), 200).await;
    document
        .ask(story.post(&format!("{replay}/run"), &json!({})), 200)
        .await;
    document
        .ask(story.post(&format!("{replay}/run"), &json!({})), 409)
        .await;
    let other = document.ask(story.post("/replays", &wanted), 201).await;
    let other = format!("/replays/{}", other.json()["id"].as_str().unwrap());
    document
        .ask(story.post(&format!("{other}/cancel"), &json!({})), 200)
        .await;
    wanted["only"] = json!("some");
    document.ask(story.post("/replays", &wanted), 422).await;
    document.ask(story.get("/replays/x"), 404).await;
    for step in ["run", "cancel"] {
        let nobodys = format!("/replays/x/{step}");
        document.ask(story.post(&nobodys, &json!({})), 404).await;
    }
}
