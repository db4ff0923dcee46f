//! Events on their way to fifty receivers.
//!
//! `cargo bench --bench webhooks` runs the real server with fifty partners, each with an endpoint at a
//! receiver of its own in this process. It writes events into the server's database as other nodes would,
//! durably, and notes when they were committed and when they came in. Three things are measured: how many
//! deliveries a second are sustained while there is more to send; the delay from commit to receipt at 500
//! events a second; and the same of the other forty-five while five receivers never answer. The last two
//! alternate. Options after `--`:
//!
//!     --rounds 3 --seconds 15   how often and how long
//!     --events 20000            how many are sent as fast as can be
//!     --rate 500                events a second
//!     --database postgres://…   the URL of a server's fresh database instead of an SQLite file

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code,
    reason = "a benchmark that cannot be set up should stop at once; other benchmarks use the rest"
)]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diesel::RunQueryDsl;
use onyx_auth::app::App;
use onyx_auth::clock::Clock;
use onyx_auth::config::{Given, Settings};
use onyx_auth::domain::id::{EventId, PartnerId, WebhookEndpointId};
use onyx_auth::domain::realm::Realm;
use onyx_auth::domain::webhook::{EndpointState, EventType, EventTypes, SignatureKind};
use onyx_auth::keys::webhook::WebhookSecret;
use onyx_auth::store::webhook_endpoints::{self, Endpoint};
use onyx_auth::store::webhook_secrets::{self, Sealed};
use onyx_auth::store::{StoreError, clients};
use support::server::{Server, environment, populate_by};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PARTNERS: usize = 50;
/// One in ten hangs.
const HANGING: usize = 10;
/// How often events are committed.
const BEAT: Duration = Duration::from_millis(20);

/// What the receivers saw.
#[derive(Default)]
struct Seen {
    hang: AtomicBool,
    count: AtomicUsize,
    /// When which event first came.
    came: Mutex<HashMap<String, Instant>>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|a| a == name);
        at.map(|at| arguments[at + 1].as_str())
    };
    let number =
        |name: &str, otherwise: usize| option(name).map_or(otherwise, |n| n.parse().unwrap());
    let (rounds, seconds) = (number("--rounds", 3), number("--seconds", 15));
    let (events, rate) = (number("--events", 20_000), number("--rate", 500));
    let database = option("--database");

    let folder = tempfile::tempdir().unwrap();
    let mut env = environment(folder.path(), database);
    env.push(("ONYX_WEBHOOK_ALLOW_LOOPBACK".to_owned(), "true".to_owned()));
    let population = populate_by(&env, PARTNERS, 1);
    let seen = Arc::new(Seen::default());
    let ports = receivers(&seen);
    let bench = Bench::prepare(&env, &population.ids, &ports, seen);
    let _server = Server::start(&env);
    // Claims are made, connections opened, caches filled.
    let warm = bench.steady(rate, Duration::from_secs(3), |_| true);
    println!("warm-up: {} events", warm.len());

    let sustained = bench.sustained(events);
    println!("sustained: {sustained:.0} deliveries/s of {events} to {PARTNERS} receivers");
    println!(
        "{:>22} {:>8} {:>8} {:>8} {:>8}",
        format!("at {rate} events/s"),
        "p50 ms",
        "p99 ms",
        "max ms",
        "events"
    );
    let lasts = Duration::from_secs(seconds as u64);
    let others = |nth: usize| !nth.is_multiple_of(HANGING);
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let all = bench.steady(rate, lasts, others);
        show("all answer", &all);
        bench.seen.hang.store(true, Ordering::Relaxed);
        let hanging = bench.steady(rate, lasts, others);
        bench.seen.hang.store(false, Ordering::Relaxed);
        show("one in ten hangs", &hanging);
        ratios.push(at(&hanging, 0.99) / at(&all, 0.99));
        // What hung comes to its end, and what waited behind it goes out.
        std::thread::sleep(Duration::from_secs(18));
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "median ratio of the others' p99: {:.2}",
        ratios[ratios.len() / 2]
    );
}

fn show(what: &str, sorted: &[Duration]) {
    println!(
        "{what:>22} {:>8.1} {:>8.1} {:>8.1} {:>8}",
        at(sorted, 0.5),
        at(sorted, 0.99),
        at(sorted, 1.0),
        sorted.len()
    );
}

fn at(sorted: &[Duration], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0
}

struct Bench {
    app: Arc<App>,
    runtime: tokio::runtime::Runtime,
    partners: Vec<PartnerId>,
    seen: Arc<Seen>,
}

impl Bench {
    /// An endpoint for each partner, active, as if it had answered its challenge.
    fn prepare(env: &[(String, String)], ids: &[String], ports: &[u16], seen: Arc<Seen>) -> Self {
        let given = Given {
            env: env.iter().cloned().collect(),
            ..Given::default()
        };
        let app = App::build(Settings::load(&given).unwrap(), Clock::system()).unwrap();
        let now = app.clock.now();
        let made = app.store.alone(now, |db| {
            let mut partners = Vec::new();
            for (id, port) in ids.iter().zip(ports) {
                let client = clients::find(db, &id.parse().unwrap())?.unwrap();
                let partner = client.partner_id.unwrap();
                let endpoint = Endpoint {
                    partner_id: partner.clone(),
                    realm: Realm::Sandbox,
                    id: WebhookEndpointId::generate(now),
                    url: format!("http://127.0.0.1:{port}/"),
                    event_types: EventTypes::read(&[EventType::All]).unwrap(),
                    signature: SignatureKind::V1,
                    state: EndpointState::Active,
                    disabled_reason: None,
                    created_at: now,
                    updated_at: now,
                    verified_at: Some(now),
                    activated_at: Some(now),
                    failing_since: None,
                    warned: 0,
                    cursor: 0,
                    next_at: None,
                    lease_owner: None,
                    lease_until: None,
                };
                let secret = WebhookSecret::generate(SignatureKind::V1).unwrap();
                let sealed = Sealed {
                    partner_id: partner.clone(),
                    realm: Realm::Sandbox,
                    endpoint_id: endpoint.id.clone(),
                    version: 1,
                    sealed: secret.seal(&app.master, &endpoint.id).unwrap(),
                    public_key: None,
                    created_at: now,
                    usable_until: None,
                };
                webhook_endpoints::insert(db, &endpoint.tenant(), &endpoint)?;
                webhook_secrets::insert(db, &endpoint.tenant(), &sealed)?;
                partners.push(partner);
            }
            Ok::<_, StoreError>(partners)
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            app,
            runtime: runtime.unwrap(),
            partners: made.unwrap(),
            seen,
        }
    }

    /// Commits events of the partners in turn; answers their ids, with whose they are.
    fn commit(&self, first: usize, count: usize) -> Vec<(usize, String)> {
        let now = self.app.clock.now();
        let at = now.to_string().replace('T', " ").replace('Z', "");
        let mut ids = Vec::with_capacity(count);
        let mut statements = Vec::with_capacity(2 * count);
        for nth in (first..first + count).map(|nth| nth % PARTNERS) {
            let (partner, id) = (&self.partners[nth], EventId::generate(now).to_string());
            statements.push(format!(
                "INSERT INTO event_counters (partner_id, realm, value) VALUES ('{partner}', 'sandbox', 1) \
                 ON CONFLICT (partner_id, realm) DO UPDATE SET value = event_counters.value + 1"
            ));
            statements.push(format!(
                "INSERT INTO events (partner_id, realm, seq, id, kind, created_at, data) \
                 SELECT partner_id, realm, value, '{id}', 'order.accepted', '{at}', \
                 '{{\"order_id\":\"ord_01ARZ3NDEKTSV4RRFFQ69G5FAV\"}}' FROM event_counters \
                 WHERE partner_id = '{partner}' AND realm = 'sandbox'"
            ));
            ids.push((nth, id));
        }
        let written = self.app.store.write(move |db| {
            for statement in statements {
                diesel::sql_query(statement).execute(db)?;
            }
            Ok::<_, StoreError>(())
        });
        self.runtime.block_on(written).unwrap();
        ids
    }

    /// Deliveries a second while there is more to send.
    fn sustained(&self, events: usize) -> f64 {
        const BATCH: usize = 1000;
        let before = self.seen.count.load(Ordering::Relaxed);
        let began = Instant::now();
        for first in (0..events).step_by(BATCH) {
            self.commit(first, BATCH.min(events - first));
        }
        while self.seen.count.load(Ordering::Relaxed) < before + events {
            assert!(
                began.elapsed() < Duration::from_secs(600),
                "not all have come"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        events as f64 / began.elapsed().as_secs_f64()
    }

    /// Delays from commit to receipt, sorted, of the events of some partners.
    fn steady(
        &self,
        rate: usize,
        lasts: Duration,
        counts: impl Fn(usize) -> bool,
    ) -> Vec<Duration> {
        let each = (rate as f64 * BEAT.as_secs_f64()).round() as usize;
        let mut committed = Vec::new();
        let (began, mut beat) = (Instant::now(), 0);
        while began.elapsed() < lasts {
            let ids = self.commit(beat as usize * each, each);
            let now = Instant::now();
            committed.extend(ids.into_iter().map(|(nth, id)| (nth, id, now)));
            beat += 1;
            std::thread::sleep((began + BEAT * beat).saturating_duration_since(Instant::now()));
        }
        committed.retain(|(nth, ..)| counts(*nth));
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let came = self.seen.came.lock().unwrap();
            if committed.iter().all(|(_, id, _)| came.contains_key(id)) {
                let delay = |(_, id, at): &(usize, String, Instant)| {
                    came[id].saturating_duration_since(*at)
                };
                let mut delays: Vec<Duration> = committed.iter().map(delay).collect();
                delays.sort();
                return delays;
            }
            let left = committed
                .iter()
                .filter(|(_, id, _)| !came.contains_key(id))
                .count();
            drop(came);
            assert!(
                Instant::now() < deadline,
                "{left} of {} have not come",
                committed.len()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Receivers on a thread of their own; answers their ports.
fn receivers(seen: &Arc<Seen>) -> Vec<u16> {
    let sockets: Vec<std::net::TcpListener> = (0..PARTNERS)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let ports = sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap().port());
    let ports = ports.collect();
    let seen = Arc::clone(seen);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            for (nth, socket) in sockets.into_iter().enumerate() {
                socket.set_nonblocking(true).unwrap();
                let socket = TcpListener::from_std(socket).unwrap();
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    loop {
                        let (stream, _) = socket.accept().await.unwrap();
                        tokio::spawn(receive(stream, nth, Arc::clone(&seen)));
                    }
                });
            }
            std::future::pending::<()>().await;
        });
    });
    ports
}

/// One connection: notes each message's id, and answers.
async fn receive(mut stream: TcpStream, nth: usize, seen: Arc<Seen>) {
    let _ = stream.set_nodelay(true);
    let (mut buffer, mut filled) = (vec![0u8; 16 * 1024], 0);
    loop {
        let Some(length) = message(&buffer[..filled]) else {
            match stream.read(&mut buffer[filled..]).await {
                Ok(read) if read > 0 => filled += read,
                _ => return,
            }
            continue;
        };
        let now = Instant::now();
        let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("webhook-id: "));
        let id = id.unwrap().trim().to_owned();
        if seen.came.lock().unwrap().insert(id, now).is_none() {
            seen.count.fetch_add(1, Ordering::Relaxed);
        }
        if seen.hang.load(Ordering::Relaxed) && nth.is_multiple_of(HANGING) {
            return std::future::pending().await;
        }
        buffer.copy_within(length..filled, 0);
        filled -= length;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// The length of the whole message that a buffer begins with. `None`: it is not all there.
fn message(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head])
        .unwrap()
        .to_ascii_lowercase();
    let length = text
        .split("content-length: ")
        .nth(1)?
        .split("\r\n")
        .next()?;
    let length = head + length.parse::<usize>().unwrap();
    (buffer.len() >= length).then_some(length)
}
