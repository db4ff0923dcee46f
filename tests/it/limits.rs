//! How fast a partner may ask: buckets, what is told of them, and who sets them.

mod buckets;
mod figures;
mod told;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::{Answer, Operator};

/// Figures that hold nobody down.
fn wide() -> Value {
    json!({ "requests_per_minute": 600_000, "burst": 100_000, "tokens_per_minute": 600_000 })
}

/// A body that sets these figures in the sandbox.
fn set_to(figures: Value) -> Value {
    let mut body = json!({ "realm": "sandbox", "mode": "enforce" });
    for (name, value) in figures.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn set(operator: &Operator<'_>, partner: &str, body: Value) -> Answer {
    let path = format!("/partners/{partner}/limits");
    operator.send(Method::PUT, &path, body).await
}

/// The limits in force in the sandbox.
async fn in_force(operator: &Operator<'_>, partner: &str) -> Value {
    let path = format!("/partners/{partner}/limits?realm=sandbox");
    let list = operator.get(&path).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    list["data"][0].clone()
}

/// The limit, what remains of it, and the seconds, as `RateLimit` tells.
fn told(answer: &Answer) -> (String, u64, u64) {
    let text = answer.header("ratelimit");
    let mut parts = text.split(';');
    let name = parts.next().unwrap().trim_matches('"').to_owned();
    let mut number = |key: &str| {
        let part = parts.next().unwrap_or_else(|| panic!("{answer:?}"));
        part.strip_prefix(key).unwrap().parse().unwrap()
    };
    (name, number("r="), number("t="))
}

fn line_without_id(answer: &Answer) -> String {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    format!("{} {body}", answer.status)
}

async fn until(wanted: &str, mut look: impl AsyncFnMut() -> String) {
    let started = Instant::now();
    loop {
        let seen = look().await;
        if seen == wanted {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{seen}, not {wanted}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
