//! Rates that several nodes share in Redis: never more than one node would let through, and no harm while it is away.

mod away;
mod nodes;
mod script;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::receiver::LOOPBACK;
use crate::support::redis::Redis;
use crate::support::world::{Engine, World};

const UP: &str = "onyx_shared_rates_up";

const LOST: &str = "onyx_shared_rates_lost_total";

/// A node's requests, each with when it was sent and when it was answered.
#[derive(Clone, Default)]
struct Seen(Arc<std::sync::Mutex<Vec<(Instant, Instant, u16)>>>);

impl Seen {
    fn count(&self, status: u16) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, _, seen)| *seen == status)
            .count()
    }

    /// Every answer was one of these.
    fn assert_only(&self, statuses: &[u16]) {
        let all = self.0.lock().unwrap();
        let others: Vec<_> = all
            .iter()
            .filter(|(_, _, status)| !statuses.contains(status))
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }

    /// Of what lay within two moments, no window has more than `burst` and `per_second` for its length, and two per
    /// cent. What began and ended within a window was let through in it.
    fn assert_bound(&self, burst: f64, per_second: f64, (from, to): (Instant, Instant)) {
        let all = self.0.lock().unwrap();
        let mut through: Vec<(Instant, Instant)> = all
            .iter()
            .filter(|(sent, answered, status)| *status == 200 && *sent >= from && *answered <= to)
            .map(|(sent, answered, _)| (*sent, *answered))
            .collect();
        through.sort();
        let mut ends: Vec<Instant> = through.iter().map(|(_, answered)| *answered).collect();
        ends.sort();
        for end in ends {
            let mut within = 0;
            for (sent, answered) in through.iter().rev() {
                if *answered > end {
                    continue;
                }
                within += 1;
                let window = (end - *sent).as_secs_f64();
                let most = (burst + per_second * window) * 1.02;
                assert!(
                    f64::from(within) <= most,
                    "{within} in {window} s, and no more than {most} may be"
                );
            }
        }
    }
}

/// Asks for orders at a node until it is told to stop, with a pause that the nth request has.
async fn load(
    world: &World,
    token: String,
    seen: Seen,
    stop: Arc<AtomicBool>,
    pause: impl Fn(u32) -> Duration + 'static,
) -> actix_web::rt::task::JoinHandle<()> {
    let (http, url) = (
        world.http.clone(),
        format!("{}/sandbox/v1/orders", world.base),
    );
    actix_web::rt::spawn(async move {
        let mut nth = 0;
        while !stop.load(Ordering::SeqCst) {
            let sent = Instant::now();
            let answer = http.get(&url).bearer_auth(&token).send().await.unwrap();
            let status = answer.status().as_u16();
            answer.bytes().await.unwrap();
            seen.0.lock().unwrap().push((sent, Instant::now(), status));
            nth += 1;
            tokio::time::sleep(pause(nth)).await;
        }
    })
}

/// Three nodes on one PostgreSQL that share a Redis.
async fn three_nodes(redis: &Redis) -> Vec<World> {
    let url = redis.url();
    let settings = [("ONYX_REDIS_URL", url.as_str()), LOOPBACK];
    let mut world = World::prepare(Engine::Postgres, &settings);
    assert!(world.run(&["operator", "bootstrap"]).status.success());
    world.start().await;
    let (second, third) = (
        world.neighbour_with(&settings).await,
        world.neighbour_with(&settings).await,
    );
    let nodes = vec![world, second, third];
    for node in &nodes {
        node.wait_for_sample("onyx_nodes", 3.0).await;
    }
    nodes
}

async fn all_show(nodes: &[World], series: &str, value: f64) {
    for node in nodes {
        node.wait_for_sample(series, value).await;
    }
}

async fn lost(nodes: &[World]) -> f64 {
    let mut sum = 0.0;
    for node in nodes {
        sum += node.sample(LOST).await.unwrap();
    }
    sum
}

/// A partner with this rate, known to all nodes, and its bucket full: a token.
async fn partner(nodes: &[World], per_minute: u32, burst: u32) -> String {
    let operator = nodes[0].operator().await;
    let who = nodes[0].sandbox_client(&["orders:read"]).await;
    let rates = json!({ "requests_per_minute": per_minute, "burst": burst });
    operator.allow(&who.partner_id, "enforce", rates).await;
    let token = nodes[0].token("sandbox", &who, &[]).await;
    for node in nodes {
        loop {
            let me = node.get("/sandbox/v1/me", Some(&token)).await;
            if me
                .header("ratelimit-policy")
                .contains(&format!("q={burst};"))
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let refill = f64::from(burst) / f64::from(per_minute) * 60.0;
    tokio::time::sleep(Duration::from_secs_f64(refill.min(1.0))).await;
    token
}
