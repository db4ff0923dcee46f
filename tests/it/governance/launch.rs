//! Launch reviews: checks, waivers, decisions, and who may make them.

mod checks;
mod decisions;
mod races;

use serde_json::{Value, json};

use super::text;
use crate::support::world::{Answer, Operator};

fn passed() -> Value {
    json!({ "state": "passed", "evidence": "filed as PR-7" })
}

fn waived() -> Value {
    json!({ "state": "waived", "reason": "not in this version" })
}

/// The checks as `name state`, in the order of the answer.
fn checks(review: &Value) -> Vec<String> {
    let checks = review["checks"].as_array().unwrap().iter();
    checks
        .map(|check| format!("{} {}", text(check, "check"), text(check, "state")))
        .collect()
}

async fn request(operator: &Operator<'_>, partner: &str) -> Answer {
    let path = format!("/partners/{partner}/launch-review");
    operator.post(&path, json!({})).await
}

async fn review(operator: &Operator<'_>, partner: &str) -> Value {
    let path = format!("/partners/{partner}/launch-review");
    operator.get(&path).await.expect(200)
}
