//! Leaked secrets: reported by anybody, revoked within moments, and found in files.

mod cases;
mod ends;
mod reports;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::{Answer, Operator, World};

/// The form of a secret that nobody has: its checksum is right.
fn unknown_secret(nth: u32) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let text = format!("onyx_live_sk_{nth:043}");
    // CRC-32/ISO-HDLC, bit by bit, so that the test owes the server nothing.
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    let mut rest = !crc;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    text + std::str::from_utf8(&digits).unwrap()
}

async fn report(world: &World, secrets: &[&str]) -> Answer {
    let body = json!({ "secrets": secrets }).to_string();
    report_body(world, body).await
}

async fn report_body(world: &World, body: String) -> Answer {
    let request = world
        .request(Method::POST, "/leaks")
        .header("content-type", "application/json")
        .body(body);
    Answer::of(request.send().await.unwrap()).await
}

/// Asks until it holds; a few seconds are more than enough.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn all_done(operator: &Operator<'_>) {
    eventually("all reports are done", async || {
        let left = operator.get("/leak-reports?state=received").await;
        left.expect(200)["data"].as_array().unwrap().is_empty()
    })
    .await;
}

async fn reports(operator: &Operator<'_>) -> Vec<Value> {
    let list = operator.get("/leak-reports?limit=100").await.expect(200);
    list["data"].as_array().unwrap().clone()
}

async fn reviews(operator: &Operator<'_>, query: &str) -> Vec<Value> {
    let list = operator.get(&format!("/reviews?{query}")).await.expect(200);
    list["data"].as_array().unwrap().clone()
}

fn lines(world: &World, table: &str, columns: &str, rest: &str) -> Vec<String> {
    world.lines(&format!("SELECT {columns} AS line FROM {table} {rest}"))
}

/// What was done to something, in the order of the alphabet: one transaction has one time.
fn actions(world: &World, target: &str) -> Vec<String> {
    lines(
        world,
        "audit_events",
        "action",
        &format!("WHERE target = '{target}' ORDER BY action"),
    )
}
