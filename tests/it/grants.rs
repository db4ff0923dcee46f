//! The life of scope grants: asked for by one, decided by another, ended by a hand or by time.

mod deciding;
mod life;
mod showing;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::world::{Answer, Operator, World};

/// Every admin scope that has to do with grants and operators.
const DECIDER: [&str; 4] = [
    "governance:write",
    "grants:decide",
    "operators:write",
    "partners:read",
];

fn id(record: &Value) -> String {
    record["id"].as_str().unwrap().to_owned()
}

/// What was written to the feed, oldest first: kind, subject, scope, reason.
fn revocations(world: &World, realm: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT kind || ' ' || id || ' ' || COALESCE(scope, '-') || ' ' || reason AS line
         FROM revocations WHERE realm = '{realm}' ORDER BY seq"
    ))
}

/// What the audit trail says of a subject: who did what, by name.
fn audit(world: &World, target: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT actor || ' ' || action AS line FROM audit_events WHERE target = '{target}' ORDER BY actor, action"
    ))
}

fn events(world: &World, partner: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT seq || ' ' || kind || ' ' || data AS line FROM events
         WHERE partner_id = '{partner}' ORDER BY realm, seq"
    ))
}

/// A live grant that waits for a decision.
async fn requested(operator: &Operator<'_>, partner: &str, realm: &str) -> String {
    let asked = operator.request_grant(partner, realm, "orders:read", None);
    id(&asked.await.expect(201))
}

fn acting(operator: &Operator<'_>, grant: &str, verb: &str) -> RequestBuilder {
    let body = match verb {
        "revoke" => json!({ "reason": "no longer needed" }),
        _ => json!({}),
    };
    operator.posting(&format!("/scope-grants/{grant}/{verb}"), &body)
}

async fn act(operator: &Operator<'_>, grant: &str, verb: &str) -> Answer {
    Answer::of(acting(operator, grant, verb).send().await.unwrap()).await
}
