//! How partners come, what is agreed with them, who lets them into live, and how they go.

mod agreements;
mod commands;
mod launch;
mod live;
mod partners;

use serde_json::Value;

use crate::support::world::{Answer, Operator, World};

/// The bytes that a client gets who is not to have a token.
const INVALID_CLIENT: &str =
    r#"401 {"error":"invalid_client","error_description":"client authentication failed"}"#;

/// What an illegal step is answered: state and what is allowed from it.
fn illegal(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["code"]),
        (409, &Value::from("illegal_transition")),
        "{answer:?}"
    );
    format!("{} to {}", body["state"], body["allowed"])
}

/// What the audit trail says of a target: action, actor and details; in the order of changes.
fn trail(world: &World, target: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT action || ' ' || actor || ' ' || details AS line FROM audit_events WHERE target = '{target}' ORDER BY at, id"
    ))
}

/// What is refused from now on: realm, kind and id, in order.
fn revocations(world: &World) -> Vec<String> {
    world.lines("SELECT realm || ' ' || kind || ' ' || id AS line FROM revocations ORDER BY seq")
}

/// An operator's client id.
fn who(operator: &Operator<'_>) -> String {
    let claims = crate::support::world::claims(&operator.token);
    claims["client_id"].as_str().unwrap().to_owned()
}

/// The text of a member.
fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}
