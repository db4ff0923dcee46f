//! Nodes come and go under load: what is valid is answered, by whoever is there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::listener::Listener;
use crate::support::mesh::Mesh;
use crate::support::world::{Answer, Credential, Engine, World, claims, worlds_with};

/// What callers know of a node, as a load balancer does that asks whether it is ready.
struct Backend {
    base: String,
    ops: String,
    is_ready: AtomicBool,
    /// Whether it was killed: what was under way there may be lost.
    is_killed: AtomicBool,
}

/// The callers' side: who is ready, and what was answered.
struct Front {
    backends: Vec<Backend>,
    turn: AtomicUsize,
    is_over: AtomicBool,
    tokens: Mutex<BTreeSet<String>>,
    calls: AtomicUsize,
    lost: AtomicUsize,
    http: reqwest::Client,
}

impl Front {
    /// A node that is ready, each in its turn.
    fn backend(&self) -> &Backend {
        let ready: Vec<_> = self
            .backends
            .iter()
            .filter(|one| one.is_ready.load(Ordering::SeqCst))
            .collect();
        let all: Vec<_> = self.backends.iter().collect();
        let among = if ready.is_empty() { all } else { ready };
        among[self.turn.fetch_add(1, Ordering::SeqCst) % among.len()]
    }

    /// Sends a request to some node that takes it. `None`: it was under way on a node that was killed.
    async fn send(
        &self,
        request: impl Fn(&reqwest::Client, &str) -> reqwest::RequestBuilder,
    ) -> Option<Answer> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < deadline, "no node takes a request");
            let backend = self.backend();
            let sent = request(&self.http, &backend.base).send().await;
            let error = match sent {
                Ok(answer) => {
                    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
                    match answer.text().await {
                        Ok(text) => {
                            return Some(Answer {
                                status,
                                headers,
                                text,
                            });
                        }
                        Err(error) => error,
                    }
                }
                // Nobody is there: another is asked, as a load balancer does.
                Err(error) if error.is_connect() => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                Err(error) => error,
            };
            assert!(
                backend.is_killed.load(Ordering::SeqCst),
                "a node that was not killed lost a request: {error:?}"
            );
            self.lost.fetch_add(1, Ordering::SeqCst);
            return None;
        }
    }

    /// Fetches tokens and calls with them until it is over.
    async fn call(&self, who: &Credential) {
        while !self.is_over.load(Ordering::SeqCst) {
            let asked = self.send(|http, base| {
                http.post(format!("{base}/sandbox/oauth2/token"))
                    .basic_auth(&who.client_id, Some(&who.secret))
                    .form(&[("grant_type", "client_credentials")])
            });
            let Some(answer) = asked.await else { continue };
            let token = answer.expect(200)["access_token"]
                .as_str()
                .unwrap()
                .to_owned();
            let jti = claims(&token)["jti"].as_str().unwrap().to_owned();
            self.tokens.lock().unwrap().insert(jti);
            for path in ["v1/me", "oauth2/verify"] {
                let called = self.send(|http, base| {
                    http.get(format!("{base}/sandbox/{path}"))
                        .bearer_auth(&token)
                });
                if let Some(answer) = called.await {
                    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
                    self.calls.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }

    /// Asks a node whether it is ready, again and again.
    async fn watch(&self, backend: &Backend) {
        while !self.is_over.load(Ordering::SeqCst) {
            let asked = self
                .http
                .get(format!("{}/readyz", backend.ops))
                .send()
                .await;
            let is_ready = asked.is_ok_and(|answer| answer.status().is_success());
            backend.is_ready.store(is_ready, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[actix_web::test]
async fn nodes_come_and_go_under_load_and_no_valid_request_is_refused() {
    let mut mesh = Mesh::start(Engine::Postgres, 3, &[]).await;
    let who = mesh.nodes[0].sandbox_client(&["orders:read"]).await;
    let operator = mesh.nodes[0].operator().await;
    operator.widen_limits(&who.partner_id).await;
    let backends = mesh.nodes.iter().map(|node| Backend {
        base: node.base.clone(),
        ops: node.ops.clone(),
        is_ready: AtomicBool::new(true),
        is_killed: AtomicBool::new(false),
    });
    let front = Arc::new(Front {
        backends: backends.collect(),
        turn: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        tokens: Mutex::default(),
        calls: AtomicUsize::new(0),
        lost: AtomicUsize::new(0),
        // Each request on a connection of its own: a kept one can break under a request.
        http: reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap(),
    });
    let callers: Vec<_> = (0..12)
        .map(|_| {
            let (front, who) = (Arc::clone(&front), who.clone());
            actix_web::rt::spawn(async move { front.call(&who).await })
        })
        .collect();
    let watchers: Vec<_> = (0..3)
        .map(|nth| {
            let front = Arc::clone(&front);
            actix_web::rt::spawn(async move { front.watch(&front.backends[nth]).await })
        })
        .collect();

    for round in 0..6 {
        let nth = round % 3;
        let backend = &front.backends[nth];
        let node = &mut mesh.nodes[nth];
        tokio::time::sleep(Duration::from_millis(300)).await;
        if round % 2 == 0 {
            node.signal("TERM");
            assert_eq!(ended(node).await, Some(0), "{}", node.log());
        } else {
            backend.is_killed.store(true, Ordering::SeqCst);
            node.kill();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        node.start().await;
        // What was under way has long been lost by now.
        tokio::time::sleep(Duration::from_millis(300)).await;
        backend.is_killed.store(false, Ordering::SeqCst);
    }
    front.is_over.store(true, Ordering::SeqCst);
    for task in callers.into_iter().chain(watchers) {
        task.await.unwrap();
    }
    // In flight on a killed node is at most what each caller had asked.
    let (calls, lost) = (
        front.calls.load(Ordering::SeqCst),
        front.lost.load(Ordering::SeqCst),
    );
    assert!(calls > 100, "{calls} calls");
    assert!(lost <= 3 * 12, "{lost} lost of {calls}");
    // What was answered is on record, whoever answered it and however it ended.
    let recorded: BTreeSet<String> = mesh.nodes[0]
        .lines("SELECT jti AS line FROM issued_tokens")
        .into_iter()
        .collect();
    let tokens = front.tokens.lock().unwrap();
    let missing: Vec<_> = tokens.difference(&recorded).collect();
    assert!(missing.is_empty(), "{} of {}", missing.len(), tokens.len());
}

/// Waits for a server's exit code without holding up the callers.
async fn ended(node: &mut World) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !node.has_ended() {
        assert!(Instant::now() < deadline, "it does not stop");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    node.ended()
}

#[actix_web::test]
async fn a_server_that_is_told_to_stop_answers_what_is_under_way_and_sends_listeners_elsewhere() {
    for mut world in worlds_with(&[("ONYX_DRAIN_DELAY", "2")]).await {
        let operator = world.operator().await;
        let server = operator
            .resource_server("sandbox", "https://stock.acme.example", &["a"], "ES256")
            .await;
        let service = operator.issue(server["client_id"].as_str().unwrap()).await;
        drop(operator);
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &service, &[]).await;
        let mut listener = Listener::open(&world, "sandbox", &token, None).await;
        listener.next("heartbeat").await;
        // A poll that would wait for a minute.
        let waiting = world
            .request(
                reqwest::Method::GET,
                "/sandbox/oauth2/revocations?after=0&wait=60",
            )
            .bearer_auth(&token)
            .send();
        let waiting = actix_web::rt::spawn(waiting);
        tokio::time::sleep(Duration::from_millis(200)).await;

        world.signal("TERM");
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let asked = world.http.get(format!("{}/readyz", world.ops)).send().await;
            let told: Answer = Answer::of(asked.unwrap()).await;
            if told.status == 503 {
                let told = told.json();
                assert_eq!(told["ready"], false);
                assert_eq!(told["reasons"], json!(["stopping"]));
                break;
            }
            assert!(Instant::now() < deadline, "it stays ready");
        }
        // Not ready, and yet whoever comes is served; the next time elsewhere.
        let served = world.token_answer("sandbox", &who, &[]).await;
        let given: Value = served.expect(200);
        assert_eq!(served.header("connection"), "close");
        let mut blocks = Vec::new();
        while let Some(block) = listener.block().await {
            blocks.push(block);
        }
        let last = blocks.last().unwrap();
        assert!(last.starts_with("retry: "), "{blocks:?}");
        let polled = Answer::of(waiting.await.unwrap().unwrap())
            .await
            .expect(200);
        assert_eq!(polled["cursor"], 0);
        assert_eq!(ended(&mut world).await, Some(0), "{}", world.log());

        world.start().await;
        let jti = claims(given["access_token"].as_str().unwrap())["jti"].clone();
        let recorded = world.lines("SELECT jti AS line FROM issued_tokens");
        assert!(recorded.iter().any(|line| jti == line.as_str()));
    }
}
