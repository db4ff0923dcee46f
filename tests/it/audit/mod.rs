//! The audit trail: events get their places, proofs hold, and what was done to rows behind the
//! server's back is found and named.

mod listing;
mod proofs;
mod retention;
mod tampering;
mod verifying;

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::support::world::World;

/// Waits until every event has its place.
pub async fn settled(world: &World) {
    let waiting =
        "SELECT id AS line FROM audit_events WHERE leaf_index IS NULL AND set_aside IS NULL";
    until("events wait for their places for ever", || {
        world.lines(waiting).is_empty()
    })
    .await;
}

/// Waits until something holds.
pub async fn until(otherwise: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{otherwise}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs `audit verify` with more arguments.
pub fn verify(world: &World, more: &[&str]) -> Output {
    world.run(&[&["audit", "verify"], more].concat())
}

/// What a verification that must fail says.
pub fn complaint(world: &World, more: &[&str]) -> String {
    let output = verify(world, more);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{:?}: {told}", world.engine);
    assert!(output.stdout.is_empty());
    told
}

/// A verification that must find nothing.
pub fn passes(world: &World, more: &[&str]) -> serde_json::Value {
    let output = verify(world, &[more, &["--json"]].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{:?}: {told}", world.engine);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Writes an export to a file of the world's; answers its path and its text.
pub fn exported(world: &World, name: &str) -> (PathBuf, String) {
    world.cli(&["audit", "export", name]);
    let path = world.path().join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

/// The ids of events with a place, in its order.
pub fn sequenced(world: &World) -> Vec<String> {
    world.lines(
        "SELECT id AS line FROM audit_events WHERE leaf_index IS NOT NULL ORDER BY leaf_index",
    )
}
