//! The part of the story that is told about where partners are told of events.

use serde_json::json;

use super::shop::bearer;
use super::story::{Ask, step};

/// All that is done with an endpoint. Its URL holds payload, and its receiver answers with a canary.
pub(super) fn endpoints(realm: &str) -> Vec<Ask> {
    let path = format!("/{realm}/v1/webhook-endpoints");
    let all = |method: &str| step(format!("{method} {path}"), bearer(realm));
    let on = |method: &str, verb: &str| {
        let one = format!("{method} {path}/{{id={realm}.endpoint}}{verb}");
        step(one, bearer(realm))
    };
    let replays = |method: &str, rest: &str| {
        step(format!("{method} /{realm}/v1/replays{rest}"), bearer(realm))
    };
    let replay = json!({
        "endpoint_id": format!("${realm}.endpoint"), "only": "all", "dry_run": true,
        "from": "2026-01-01T00:00:00Z",
    });
    vec![
        all("POST")
            .json(json!({ "url": "$receiver", "event_types": ["order.accepted", "invoice.paid"] }))
            .is(201)
            .keep("/id", format!("{realm}.endpoint")),
        all("GET"),
        on("GET", ""),
        on("PATCH", "").json(json!({ "url": "$other_receiver", "event_types": ["order.failed"] })),
        on("POST", "/verify").json(json!({})),
        on("POST", "/rotate-secret")
            .json(json!({ "overlap_seconds": 60 }))
            .is(201),
        on("POST", "/test").json(json!({})),
        on("POST", "/disable").json(json!({})),
        on("POST", "/enable").json(json!({})),
        on("GET", "/deliveries"),
        replays("POST", "")
            .json(replay.clone())
            .is(201)
            .keep("/id", format!("{realm}.replay")),
        replays("GET", &format!("/{{id={realm}.replay}}")),
        replays("POST", &format!("/{{id={realm}.replay}}/run")).json(json!({})),
        replays("POST", "")
            .json(replay)
            .is(201)
            .keep("/id", format!("{realm}.other_replay")),
        replays("POST", &format!("/{{id={realm}.other_replay}}/cancel")).json(json!({})),
        on("DELETE", "").is(204),
    ]
}
