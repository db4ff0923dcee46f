//! Redis goes, hangs and comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{LOST, Seen, UP, all_show, load, lost, partner, three_nodes};
use crate::support::redis::{PASSWORD, Redis};
use crate::support::world::{Engine, World};

const AWAY: &str = "Redis is away";
const BACK: &str = "Redis is back";

/// How often a node's log says something.
fn said(node: &World, what: &str) -> usize {
    node.log().matches(what).count()
}

async fn wait_until_said(node: &World, what: &str, times: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while said(node, what) < times {
        assert!(Instant::now() < deadline, "{what}: {}", node.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn a_redis_that_dies_under_load_costs_no_answer_and_each_node_keeps_to_its_share() {
    const BURST: u32 = 30;
    const PER_MINUTE: u32 = 900;
    let mut redis = Redis::start();
    let nodes = three_nodes(&redis).await;
    all_show(&nodes, UP, 1.0).await;
    let token = partner(&nodes, PER_MINUTE, BURST).await;
    let seen = Seen::default();
    let (burst, per_second) = (f64::from(BURST), f64::from(PER_MINUTE) / 60.0);
    for death in 1..=2 {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for node in &nodes {
            for _ in 0..2 {
                let stop = Arc::clone(&stop);
                let pause = |_| Duration::from_millis(20);
                tasks.push(load(node, token.clone(), seen.clone(), stop, pause).await);
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        redis.kill();
        all_show(&nodes, UP, 0.0).await;
        let from = Instant::now();
        let before = seen.count(200);
        tokio::time::sleep(Duration::from_secs(3)).await;
        // All shares together are no more than the whole, and no less than most of it.
        seen.assert_bound(burst, per_second, (from, Instant::now()));
        let through = (seen.count(200) - before) as f64;
        assert!(
            through >= per_second * 2.0,
            "{through} of {}",
            per_second * 3.0
        );
        redis.run();
        all_show(&nodes, UP, 1.0).await;
        let from = Instant::now();
        tokio::time::sleep(Duration::from_secs(2)).await;
        seen.assert_bound(burst, per_second, (from, Instant::now()));
        stop.store(true, Ordering::SeqCst);
        for task in tasks {
            task.await.unwrap();
        }
        // It is back when it has held for a while: without requests, which would let go of it where this machine stands
        // still for a moment.
        for node in &nodes {
            wait_until_said(node, BACK, death).await;
        }
    }
    seen.assert_only(&[200, 429]);
    assert!(seen.count(429) > 0);
    for node in &nodes {
        // Once each time that it was let go of, and at the start perhaps: not once a request.
        let lost = node.sample(LOST).await.unwrap() as usize;
        for what in [AWAY, BACK] {
            let count = said(node, what);
            assert!(
                (2..=lost + 1).contains(&count),
                "{count} of {lost}: {}",
                node.log()
            );
        }
        assert!(!node.log().contains(PASSWORD));
    }
}

#[actix_web::test]
async fn a_redis_that_hangs_is_waited_for_once() {
    let redis = Redis::start();
    let url = redis.url();
    let settings = [("ONYX_REDIS_URL", url.as_str())];
    for mut world in
        [Engine::Sqlite, Engine::Postgres].map(|engine| World::prepare(engine, &settings))
    {
        assert!(world.run(&["operator", "bootstrap"]).status.success());
        world.start().await;
        world.wait_for_sample(UP, 1.0).await;
        let nodes = [world];
        let token = partner(&nodes, 6000, 1000).await;
        let world = &nodes[0];
        redis.signal("STOP");
        let decisions = "onyx_shared_rates_duration_seconds_count";
        let before = world.sample(decisions).await.unwrap();
        for _ in 0..100 {
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        world.wait_for_sample(UP, 0.0).await;
        // Two sorts of limits are looked at for one answer, and the first that waits in vain is the last.
        let asked = world.sample(decisions).await.unwrap() - before;
        assert!(asked <= 2.0, "{asked} decisions waited");
        redis.signal("CONT");
        world.wait_for_sample(UP, 1.0).await;
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        assert!(world.sample(decisions).await.unwrap() > before + asked);
    }
}

#[actix_web::test]
async fn a_redis_that_is_late_now_and_then_is_tried_less_and_less_often_and_said_once() {
    let redis = Redis::start();
    let url = redis.url();
    let settings = [("ONYX_REDIS_URL", url.as_str())];
    for mut world in
        [Engine::Sqlite, Engine::Postgres].map(|engine| World::prepare(engine, &settings))
    {
        assert!(world.run(&["operator", "bootstrap"]).status.success());
        world.start().await;
        world.wait_for_sample(UP, 1.0).await;
        let nodes = [world];
        let token = partner(&nodes, 6000, 1000).await;
        let world = &nodes[0];
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Seen::default());
        let pause = |_| Duration::from_millis(10);
        let task = load(world, token.clone(), seen.clone(), Arc::clone(&stop), pause).await;
        let before = lost(&nodes).await;
        let (away, back) = (said(world, AWAY), said(world, BACK));
        let from = Instant::now();
        while from.elapsed() < Duration::from_secs(8) {
            // Longer than requests wait, and long enough to be found in time.
            for (signal, length) in [("STOP", 100), ("CONT", 60)] {
                redis.signal(signal);
                tokio::time::sleep(Duration::from_millis(length)).await;
            }
        }
        let let_go = lost(&nodes).await - before;
        // Pauses grow to a second within the first few, and end only with a connection that holds.
        let most = 9.0 + from.elapsed().as_secs_f64();
        assert!((1.0..=most).contains(&let_go), "{let_go} of {most}");
        assert!(said(world, AWAY) <= away + 1, "{}", world.log());
        assert!(said(world, BACK) <= back + 1, "{}", world.log());
        stop.store(true, Ordering::SeqCst);
        task.await.unwrap();
        seen.assert_only(&[200]);
        // In time again, it is back, and that is said where it was said to be away.
        world.wait_for_sample(UP, 1.0).await;
        wait_until_said(world, BACK, said(world, AWAY)).await;
        assert_eq!(said(world, AWAY), said(world, BACK));
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
    }
}

#[actix_web::test]
async fn nodes_start_without_redis_and_find_it_when_it_comes() {
    let mut redis = Redis::prepare();
    let url = redis.url();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut world = World::prepare(engine, &[("ONYX_REDIS_URL", &url)]);
        assert!(world.run(&["operator", "bootstrap"]).status.success());
        world.start().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        assert_eq!(world.sample(UP).await, Some(0.0));
        let doctor = |world: &World| {
            let said = world.run(&["doctor", "--json"]);
            assert_eq!(said.status.code(), Some(0), "{said:?}");
            let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
            let rows = said["data"].as_array().unwrap().clone();
            let row = rows
                .into_iter()
                .find(|row| row["check"] == "redis")
                .unwrap();
            assert!(!row.to_string().contains(PASSWORD), "{row}");
            row["state"].as_str().unwrap().to_owned()
        };
        assert_eq!(doctor(&world), "warning");
        redis.run();
        world.wait_for_sample(UP, 1.0).await;
        assert_eq!(doctor(&world), "ok");
        let shown = world.cli(&["config"]);
        assert!(
            shown.contains("redis_url = \"redis://:***@127.0.0.1:"),
            "{shown}"
        );
        assert_eq!(world.terminate(), Some(0));
        redis.kill();
    }
}

#[actix_web::test]
async fn a_redis_behind_tls_is_trusted_by_its_certificate_alone() {
    let redis = Redis::start_with_tls();
    let url = redis.url();
    let mut world = World::prepare(Engine::Sqlite, &[("ONYX_REDIS_URL", &url)]);
    assert!(world.run(&["operator", "bootstrap"]).status.success());
    world.start().await;
    // Nobody vouches for it.
    world.wait_for_sample(UP, 0.0).await;
    world.terminate();
    assert!(world.log().contains("Redis is away"), "{}", world.log());
    world.set("SSL_CERT_FILE", redis.certificate().to_str().unwrap());
    world.start().await;
    world.wait_for_sample(UP, 1.0).await;
    assert!(!world.log().contains(PASSWORD));
}
