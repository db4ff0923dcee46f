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
        on("DELETE", "").is(204),
    ]
}
