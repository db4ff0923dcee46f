//! The life of clients: changed, suspended, resumed and revoked; bound to addresses; and single
//! tokens and audiences besides.

mod addresses;
mod edits;
mod operators;
mod states;
mod tokens;

use serde_json::{Value, json};

use crate::support::world::{Answer, Operator, World};

/// What was written to the feed, oldest first: kind, subject, reason.
fn revocations(world: &World, realm: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT kind || ' ' || id || ' ' || reason AS line
         FROM revocations WHERE realm = '{realm}' ORDER BY seq"
    ))
}

fn audit(world: &World, target: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT action || ' ' || details AS line FROM audit_events WHERE target = '{target}' ORDER BY id"
    ))
}

async fn step(operator: &Operator<'_>, client: &str, verb: &str) -> Answer {
    let body = json!({ "reason": "a drill" });
    operator
        .post(&format!("/clients/{client}/{verb}"), body)
        .await
}

async fn edit(operator: &Operator<'_>, client: &str, body: Value) -> Answer {
    operator.patch(&format!("/clients/{client}"), body).await
}
