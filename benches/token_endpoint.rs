//! The token endpoint beside a bare handler that only signs.
//!
//! `cargo bench --bench token_endpoint` fills a database with 100,000 clients, starts the real server
//! over it, and drives both it and the bare handler in alternating rounds over 64 keep-alive
//! connections. Options after `--`:
//!
//!     --clients 1000,100000,1000000   the sizes to measure, one after the other
//!     --active 10000                  how many of the clients ask for tokens [default: all]
//!     --rounds 5 --seconds 4          how often and how long
//!     --database postgres://…         another database than a fresh SQLite file
//!     --records                       what the request log, the audit trail and the worker cost instead
//!
//! With `--records` two real servers take turns: one with everything on, one without request log and
//! worker. Beside the tokens, a caller of the partner API and somebody who guesses secrets keep both
//! busy writing records.
//!
//! Beside rates it prints processor time: microseconds a token of the server, of the bare handler and
//! of the load generator. Other work on the machine changes rates at once, and these hardly.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code,
    reason = "a benchmark that cannot be set up should stop at once; other benchmarks use the rest"
)]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onyx_auth::domain::Algorithm;
use onyx_auth::domain::secret::unguessable_id;
use onyx_auth::keys::generate;
use support::cpu;
use support::load::{Beside, Round, drive, requests};
use support::server::{Server, environment, free_address, populate};

const CONNECTIONS: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .map(|at| arguments[at + 1].as_str())
    };
    if let Some(address) = option("--bare") {
        return bare(address);
    }
    let sizes = option("--clients")
        .unwrap_or("100000")
        .split(',')
        .map(|size| size.parse::<usize>().unwrap());
    let rounds = option("--rounds").map_or(5, |n| n.parse().unwrap());
    let lasts = Duration::from_secs(option("--seconds").map_or(4, |n| n.parse().unwrap()));
    let active = option("--active").map(|n| n.parse::<usize>().unwrap());

    if arguments.iter().any(|a| a == "--records") {
        let size = option("--clients").map_or(1000, |size| size.parse().unwrap());
        return records(size, rounds, lasts);
    }
    println!(
        "{} connections, {rounds} rounds of {} s; fsync takes {:.0} µs",
        CONNECTIONS,
        lasts.as_secs(),
        fsync()
    );
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>7} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>9} {:>9}",
        "clients",
        "active",
        "tokens/s",
        "bare/s",
        "ratio",
        "p50 ms",
        "p99 ms",
        "p99/p50",
        "ours µs",
        "bare µs",
        "load µs",
        "ready ms",
        "RSS MiB"
    );
    for size in sizes {
        measure(
            size,
            active.unwrap_or(size).min(size),
            rounds,
            lasts,
            option("--database"),
        );
    }
}

fn measure(size: usize, active: usize, rounds: usize, lasts: Duration, database: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let env = environment(folder.path(), database);
    let mut population = populate(&env, size);
    // Spread over the whole table.
    population.ids = population
        .ids
        .into_iter()
        .step_by(size / active)
        .take(active)
        .collect();
    let requests = requests(&population);

    let server = Server::start(&env);
    let bare_address = free_address();
    let bare = Bare(
        Command::new(std::env::current_exe().unwrap())
            .args(["--bare", &bare_address])
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    while std::net::TcpStream::connect(&bare_address).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drive(
        &bare_address,
        &requests,
        CONNECTIONS,
        Duration::from_secs(1),
    );
    drive(&server.address, &requests, CONNECTIONS, lasts);
    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bares.push(Turn::of(bare.0.id(), || {
            drive(&bare_address, &requests, CONNECTIONS, lasts)
        }));
        ours.push(Turn::of(server.id(), || {
            drive(&server.address, &requests, CONNECTIONS, lasts)
        }));
    }
    let ratios = ours
        .iter()
        .zip(&bares)
        .map(|(ours, bare)| ours.round.rate / bare.round.rate)
        .collect();
    let (p50, p99) = (
        figure(&ours, |t| t.round.p50),
        figure(&ours, |t| t.round.p99),
    );
    println!(
        "{size:>9} {active:>9} {:>9.0} {:>9.0} {:>7.2} {p50:>8.2} {p99:>8.2} {:>8.1} {:>7.1} {:>7.1} {:>7.1} {:>9.0} {:>9.1}",
        figure(&ours, |t| t.round.rate),
        figure(&bares, |t| t.round.rate),
        median(ratios),
        p99 / p50,
        figure(&ours, |t| t.server),
        figure(&bares, |t| t.server),
        figure(&ours, |t| t.load),
        server.ready_after.as_secs_f64() * 1000.0,
        server.resident(),
    );
}

/// Prints what keeping records costs the token endpoint.
fn records(size: usize, rounds: usize, lasts: Duration) {
    let off = [
        ("ONYX_REQUEST_LOG", "false"),
        ("ONYX_ROLES", "auth,admin,api"),
    ];
    let sides = [&[][..], &off[..]].map(|more| {
        let folder = tempfile::tempdir().unwrap();
        let mut env = environment(folder.path(), None);
        env.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let population = populate(&env, size);
        (folder, Server::start(&env), population)
    });
    let mut turns = [Vec::new(), Vec::new()];
    let mut written = [0, 0];
    for round in 0..=rounds {
        for (nth, (_, server, population)) in sides.iter().enumerate() {
            let requests = requests(population);
            let beside = Beside::start(&server.address, population);
            let turn = Turn::of(server.id(), || {
                drive(&server.address, &requests, CONNECTIONS, lasts)
            });
            written[nth] += beside.stop();
            // The first round warms both up.
            if round > 0 {
                turns[nth].push(turn);
            }
        }
    }
    let ratios = turns[0].iter().zip(&turns[1]);
    let ratios = ratios
        .map(|(on, off)| on.round.rate / off.round.rate)
        .collect();
    println!(
        "{} connections, {rounds} rounds of {} s, {size} clients; fsync takes {:.0} µs",
        CONNECTIONS,
        lasts.as_secs(),
        fsync()
    );
    println!(
        "{:>8} {:>9} {:>8} {:>8} {:>9} {:>13}",
        "records", "tokens/s", "p50 ms", "p99 ms", "server µs", "calls beside"
    );
    for (name, turns, written) in [
        ("on", &turns[0], written[0]),
        ("off", &turns[1], written[1]),
    ] {
        println!(
            "{name:>8} {:>9.0} {:>8.2} {:>8.2} {:>9.1} {written:>13}",
            figure(turns, |t| t.round.rate),
            figure(turns, |t| t.round.p50),
            figure(turns, |t| t.round.p99),
            figure(turns, |t| t.server),
        );
    }
    println!("ratio of rates, median of rounds: {:.2}", median(ratios));
}

/// The bare handler's process; killed when dropped.
struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One side's turn: what it did, and the processor time a token that it and the load took for it.
struct Turn {
    round: Round,
    server: f64,
    load: f64,
}

impl Turn {
    fn of(server: u32, load: impl FnOnce() -> Round) -> Self {
        let before = (cpu::spent(server), cpu::spent(std::process::id()));
        let round = load();
        let after = (cpu::spent(server), cpu::spent(std::process::id()));
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / round.tokens as f64;
        Self {
            server: each(after.0 - before.0),
            load: each(after.1 - before.1),
            round,
        }
    }
}

fn figure(turns: &[Turn], of: impl Fn(&Turn) -> f64) -> f64 {
    median(turns.iter().map(of).collect())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What one fsync costs here, in microseconds: a durable token cannot be cheaper than its share of one.
fn fsync() -> f64 {
    use std::io::Write;
    let mut file = tempfile::tempfile().unwrap();
    let started = Instant::now();
    for _ in 0..200 {
        file.write_all(&[0; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    started.elapsed().as_secs_f64() * 1e6 / 200.0
}

/// A handler that signs an equal JWT with a parsed key, and does nothing else.
fn bare(address: &str) {
    let pkcs8 = generate::pkcs8(Algorithm::Es256).unwrap();
    let key =
        web::Data::new(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap());
    let address = address.to_owned();
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || {
            App::new()
                .app_data(key.clone())
                .default_service(web::to(sign))
        })
        .bind(address)
        .unwrap()
        .run()
        .await
        .unwrap();
    });
}

async fn sign(key: web::Data<EcdsaKeyPair>, _form: web::Bytes) -> HttpResponse {
    let now = chrono::Utc::now().timestamp();
    let client = "cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let claims = format!(
        r#"{{"iss":"http://127.0.0.1:41234/sandbox","sub":"{client}","client_id":"{client}","aud":"http://127.0.0.1:41234/sandbox/v1","scope":"catalogue:read orders:create orders:read usage:read","iat":{now},"nbf":{now},"exp":{},"jti":"{}","partner_id":"ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV","env":"sandbox","credential_id":"crd_01ARZ3NDEKTSV4RRFFQ69G5FAV","rsn":0}}"#,
        now + 300,
        unguessable_id(),
    );
    let header =
        r#"{"alg":"ES256","kid":"vkzuTDivvIL4bL0vWZ5wy_jovPKSz9coYem-4b4UNTI","typ":"at+jwt"}"#;
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.sign(&SystemRandom::new(), token.as_bytes()).unwrap();
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
    HttpResponse::Ok().json(serde_json::json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 300,
        "scope": "catalogue:read orders:create orders:read usage:read",
    }))
}
