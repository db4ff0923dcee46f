//! A database that says nothing for longer than anybody waits: what it was told before it fell silent it is not told
//! again.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::proxy::Proxy;
use crate::support::world::{Credential, Engine, World, postgres};

/// When a process first puts on record what it added up.
const ROUND: Duration = Duration::from_secs(60);
/// Longer than whoever writes waits for a turn and for an answer.
const SILENCE: Duration = Duration::from_secs(16);

async fn until(moment: Instant) {
    tokio::time::sleep(moment.saturating_duration_since(Instant::now())).await;
}

async fn until_ready(world: &World) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let ready = format!("{}/readyz", world.ops);
    while !world
        .http
        .get(&ready)
        .send()
        .await
        .unwrap()
        .status()
        .is_success()
    {
        assert!(Instant::now() < deadline, "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What is on record of a client: how often its secret was used, and how often it was refused.
fn on_record(world: &World, who: &Credential) -> (Vec<String>, u64) {
    let id = &who.client_id;
    let used = world.lines(&format!(
        "SELECT use_count AS line FROM credentials WHERE client_id = '{id}'"
    ));
    let refused = world.lines(&format!(
        "SELECT details AS line FROM audit_events WHERE actor = '{id}' AND action = 'authentication.refused'"
    ));
    let count = |details: &String| {
        let details: Value = serde_json::from_str(details).unwrap();
        details["count"].as_u64().unwrap()
    };
    (used, refused.iter().map(count).sum())
}

#[actix_web::test]
async fn a_database_that_falls_silent_is_told_once_of_each_use_and_of_each_refusal() {
    // An embedded database does not fall silent.
    let mut near = World::prepare(Engine::Postgres, &[]);
    assert!(near.run(&["operator", "bootstrap"]).status.success());
    near.start().await;
    let server = postgres();
    let address = server.split('@').nth(1).unwrap().split('/').next().unwrap();
    let line = Proxy::to(address);
    let through = near.database_url().replace(address, &line.address);
    let who = near.sandbox_client(&["orders:read"]).await;
    let started = Instant::now();
    let mut far = near
        .neighbour_with(&[("ONYX_DATABASE_URL", &through)])
        .await;
    let ready = Instant::now();
    let wrong = Credential {
        secret: "onyx_sbx_sk_wrong".to_owned(),
        ..who.clone()
    };
    for _ in 0..5 {
        let refused = far.token_answer("sandbox", &wrong, &[]).await;
        assert_eq!(refused.status, 401);
    }
    // Uses are written by the second, and refusals by the minute: the silence begins before either, and lasts.
    until(started + ROUND - Duration::from_secs(2)).await;
    for _ in 0..20 {
        far.token("sandbox", &who, &[]).await;
    }
    line.hold();
    until(ready + ROUND + SILENCE).await;
    line.release();
    until_ready(&far).await;
    assert_eq!(far.terminate(), Some(0));
    assert_eq!(on_record(&near, &who), (vec!["20".to_owned()], 5));
}
