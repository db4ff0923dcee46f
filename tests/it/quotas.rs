//! Quotas: how much a partner may use on a day and in a month, counted durably and never exceeded.

mod orders;
mod requests;
mod told;

use serde_json::Value;

use crate::support::world::{Answer, World};

/// No simulator: orders of the sandbox stay where they are put.
const STILL: [(&str, &str); 1] = [("ONYX_ROLES", "auth,admin,api")];

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// A refusal for a quota: its code, and that it says when to come again.
fn refusal(answer: &Answer) -> String {
    assert_eq!(answer.status, 429, "{}", answer.text);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=31 * 86_400).contains(&wait), "{wait}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    assert_eq!(body["type"], QUOTA_EXCEEDED);
    body["code"].as_str().unwrap().to_owned()
}

/// What `/me` says is left of a limit.
fn left(me: &Value, limit: &str) -> Option<(u64, u64)> {
    let left = me["limits"]["left"].as_array().unwrap();
    let of = left.iter().find(|one| one["limit"] == limit)?;
    Some((
        of["remaining"].as_u64().unwrap(),
        of["quota"].as_u64().unwrap(),
    ))
}

/// The counters that orders have moved.
fn of_orders(world: &World, partner: &str) -> Vec<String> {
    let mut counters = world.counters(partner);
    counters.retain(|line| line.starts_with("orders") || line.starts_with("spend"));
    counters
}

fn statuses(answers: &[Answer], status: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

/// Waits until a node has heard of a limit.
async fn until_told(world: &World, token: &str, limit: &str, quota: u64) {
    for _ in 0..200 {
        let me = world.get("/sandbox/v1/me", Some(token)).await.expect(200);
        if left(&me, limit).is_some_and(|(_, of)| of == quota) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{limit} is not {quota}");
}
