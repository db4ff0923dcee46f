//! What limits cost, and what they are good for.
//!
//! `cargo bench --bench limits` prints three things:
//!
//! - how long a decision takes with 100,000 partners' buckets alive, on one thread and on two, by the clock
//!   and in processor time, which other work on the machine hardly changes, and what a partner takes of memory;
//! - how many tokens a second the real server gives with limits on and off, in alternating rounds over 64
//!   keep-alive connections;
//! - how long the others' tokens take, each at an even pace, while one partner asks at 100 times its limit
//!   and while it does not, in alternating rounds.
//!
//! Options after `--`:
//!
//!     --only decisions|tokens|fairness    one of the three
//!     --buckets 100000                    how many partners' buckets are alive
//!     --rounds 5 --seconds 4              how often and how long

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code,
    reason = "a benchmark that cannot be set up should stop at once; other benchmarks use the rest"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use onyx_auth::admin::AdminError;
use onyx_auth::admin::limits::{self, Wanted};
use onyx_auth::app::App;
use onyx_auth::audit::Actor;
use onyx_auth::clock::Clock;
use onyx_auth::config::{Given, Settings};
use onyx_auth::domain::id::{ClientId, PartnerId};
use onyx_auth::domain::instant::Instant as Moment;
use onyx_auth::domain::limits::{Figures, Limits, Mode, Percent, RouteClass};
use onyx_auth::domain::realm::Realm;
use onyx_auth::limits::{Ask, Local, Moment as Tick, Part};
use support::cpu;
use support::load::{drive, is_whole, request, requests};
use support::server::{Population, Server, environment, populate, populate_by};

const CONNECTIONS: usize = 64;
/// What the loud partner may ask for a second, and how many times that it does.
const ALLOWED: u32 = 10;
const TIMES: u32 = 100;
/// The quiet ones, and how often each asks.
const QUIET: usize = 16;
const PACE: Duration = Duration::from_millis(100);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .map(|at| arguments[at + 1].as_str())
    };
    let rounds = option("--rounds").map_or(5, |n| n.parse().unwrap());
    let lasts = Duration::from_secs(option("--seconds").map_or(4, |n| n.parse().unwrap()));
    let buckets = option("--buckets").map_or(100_000, |n| n.parse().unwrap());
    let wanted = |name| option("--only").is_none_or(|only| only == name);
    if wanted("decisions") {
        decisions(buckets);
    }
    if wanted("tokens") {
        tokens(rounds, lasts);
    }
    if wanted("fairness") {
        fairness(rounds, lasts);
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = status.split(' ').nth(1).unwrap();
    pages.parse::<usize>().unwrap() * 4096
}

/// Decisions among many live buckets: each request is another partner's than the one before.
fn decisions(buckets: usize) {
    let at = Moment::from_epoch_seconds(1_800_000_000);
    let partners: Vec<(PartnerId, ClientId)> = (0..buckets)
        .map(|_| (PartnerId::generate(at), ClientId::generate(Realm::Live, at)))
        .collect();
    // One is drained in an hour and more: all of them stay alive.
    let whole = Figures {
        requests_per_minute: 1,
        burst: 1_000_000,
        ..Figures::default()
    };
    let shared = Figures {
        client_share: Percent::new(50).unwrap(),
        reads_share: Percent::new(50).unwrap(),
        ..whole.clone()
    };
    println!(
        "{:>9} {:>12} {:>8} {:>12} {:>13} {:>12} {:>10}",
        "partners",
        "buckets each",
        "threads",
        "ns decision",
        "processor ns",
        "decisions/s",
        "bytes each"
    );
    for (name, figures) in [("1", whole), ("3", shared)] {
        let limits = Limits {
            figures,
            ..Limits::default()
        };
        let local = Local::default();
        let decide = |nth: usize, now: u64| {
            let (partner, client) = &partners[nth % partners.len()];
            let ask = Ask {
                partner,
                realm: Realm::Live,
                part: Part::Client(client),
                class: RouteClass::Read,
                limits: &limits,
            };
            local
                .decide(&ask, Tick::at(Duration::from_nanos(now)))
                .fits()
        };
        let before = resident();
        (0..buckets).for_each(|nth| assert!(decide(nth, 0)));
        let each = (resident().saturating_sub(before)) / buckets;
        for threads in [1, 2] {
            let many = 2_000_000;
            let (mut runs, mut processor) = (Vec::new(), Vec::new());
            for run in 1..=5u64 {
                let (started, before) = (Instant::now(), cpu::spent(std::process::id()));
                std::thread::scope(|scope| {
                    for thread in 0..threads {
                        scope.spawn(move || {
                            // A step that is prime to the number visits all, and none twice in a row.
                            let passed = (0..many)
                                .filter(|nth| {
                                    decide(thread + nth * 7_919, run * 1_000_000 + *nth as u64)
                                })
                                .count();
                            assert_eq!(passed, many);
                        });
                    }
                });
                let spent = cpu::spent(std::process::id()).saturating_sub(before);
                runs.push(started.elapsed().as_nanos() as f64 / many as f64);
                processor.push(spent.as_nanos() as f64 / (many * threads) as f64);
            }
            let (nanos, processor) = (median(runs), median(processor));
            println!(
                "{buckets:>9} {name:>12} {threads:>8} {nanos:>12.0} {processor:>13.0} {:>12.0} {each:>10}",
                1e9 / nanos * threads as f64
            );
        }
        assert_eq!(local.sweep(Tick::default()), buckets);
    }
}

/// Tokens a second with limits on and off.
fn tokens(rounds: usize, lasts: Duration) {
    let sides = ["true", "false"].map(|on| {
        let folder = tempfile::tempdir().unwrap();
        let mut env = environment(folder.path(), None);
        env.push(("ONYX_RATE_LIMITS".to_owned(), on.to_owned()));
        let population = populate(&env, 1_000);
        let server = Server::start(&env);
        let requests = requests(&population);
        drive(
            &server.address,
            &requests,
            CONNECTIONS,
            Duration::from_secs(1),
        );
        (folder, server, requests)
    });
    let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..rounds {
        let mut now = [0.0; 2];
        // Who goes first takes turns, too.
        for nth in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (_, server, requests) = &sides[nth];
            now[nth] = drive(&server.address, requests, CONNECTIONS, lasts).rate;
            rates[nth].push(now[nth]);
        }
        ratios.push(now[0] / now[1]);
    }
    let [on, off] = rates.map(median);
    println!("\n{:>12} {:>12} {:>7}", "limits on/s", "off/s", "ratio");
    println!("{on:>12.0} {off:>12.0} {:>7.3}", median(ratios));
}

fn app(env: &[(String, String)]) -> Arc<App> {
    let given = Given {
        env: env.iter().cloned().collect(),
        ..Given::default()
    };
    App::build(Settings::load(&given).unwrap(), Clock::system()).unwrap()
}

/// Holds a client's partner to so many tokens a second.
fn hold(env: &[(String, String)], client: &str, a_second: u32) {
    let app = app(env);
    let client: ClientId = client.parse().unwrap();
    let now = app.clock.now();
    let done = app.store.alone(now, |db| {
        let act = app.act(Actor::host());
        let partner = onyx_auth::store::clients::find(db, &client)?
            .and_then(|client| client.partner_id)
            .unwrap();
        let wanted = Wanted {
            realm: Realm::Sandbox,
            mode: Mode::Enforce,
            plan_id: None,
            figures: Some(Figures {
                tokens_per_minute: 60 * a_second,
                burst: a_second,
                ..Figures::default()
            }),
            ends_at: None,
        };
        limits::set(db, &act, &partner, wanted).map(drop)
    });
    done.map_err(|error: AdminError| error.to_string()).unwrap();
    app.close();
}

/// What the others notice of one partner that asks far too often.
fn fairness(rounds: usize, lasts: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let env = environment(folder.path(), None);
    let population = populate_by(&env, QUIET + 1, 1);
    hold(&env, &population.ids[0], ALLOWED);
    let server = Server::start(&env);
    // Warm.
    quiet(&server.address, &population, Duration::from_secs(1));
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut given, mut refused) = (0, 0);
    for _ in 0..rounds {
        let calm = quiet(&server.address, &population, lasts);
        let stop = AtomicBool::new(false);
        let loud = std::thread::scope(|scope| {
            let one = scope.spawn(|| loud(&server.address, &population, &stop));
            let loud = quiet(&server.address, &population, lasts);
            stop.store(true, Ordering::Relaxed);
            let (passed, held) = one.join().unwrap();
            given += passed;
            refused += held;
            loud
        });
        ratios.push(loud.1 / calm.1);
        alone.push(calm);
        beside.push(loud);
    }
    println!(
        "\none partner asks {} times a second, {TIMES} times its limit: {given} given, {refused} refused",
        ALLOWED * TIMES
    );
    println!("{:>9} {:>8} {:>8}", "others", "p50 ms", "p99 ms");
    for (name, turns) in [("without", &alone), ("with", &beside)] {
        println!(
            "{name:>9} {:>8.2} {:>8.2}",
            median(turns.iter().map(|t| t.0).collect()),
            median(turns.iter().map(|t| t.1).collect())
        );
    }
    println!("p99 with/without, median of rounds: {:.2}", median(ratios));
}

/// A connection that sends whole requests; the answer's first line.
struct Line(TcpStream, Vec<u8>);

impl Line {
    fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream, vec![0; 8192])
    }

    fn status(&mut self, request: &[u8]) -> String {
        self.0.write_all(request).unwrap();
        let mut filled = 0;
        while !is_whole(&self.1[..filled]) {
            let read = self.0.read(&mut self.1[filled..]).unwrap();
            assert!(read > 0, "the server hung up");
            filled += read;
        }
        String::from_utf8_lossy(&self.1[9..12]).into_owned()
    }
}

/// The others' p50 and p99 in milliseconds, each asking at an even pace.
fn quiet(address: &str, population: &Population, lasts: Duration) -> (f64, f64) {
    let started = Instant::now();
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..QUIET)
            .map(|nth| {
                scope.spawn(move || {
                    let asked = request(&population.ids[nth + 1], &population.secret);
                    let (mut line, mut times) = (Line::to(address), Vec::new());
                    let first = started + PACE * nth as u32 / QUIET as u32;
                    for turn in 0.. {
                        let due = first + PACE * turn;
                        if due >= started + lasts {
                            break;
                        }
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        // From when it was due: who is held up by the one before waits, too.
                        let status = line.status(&asked);
                        assert_eq!(status, "200");
                        times.push(due.elapsed().as_secs_f64() * 1000.0);
                    }
                    times
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    (at(0.5), at(0.99))
}

/// The partner that asks far too often: how many it was given, and how many refused.
fn loud(address: &str, population: &Population, stop: &AtomicBool) -> (usize, usize) {
    const LINES: u32 = 4;
    let asked = request(&population.ids[0], &population.secret);
    let pace = Duration::from_secs(1) * LINES / (ALLOWED * TIMES);
    let counts: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..LINES)
            .map(|_| {
                scope.spawn(|| {
                    let (mut line, mut counts) = (Line::to(address), (0, 0));
                    let started = Instant::now();
                    for turn in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let due = started + pace * turn;
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        match line.status(&asked).as_str() {
                            "200" => counts.0 += 1,
                            "429" => counts.1 += 1,
                            other => panic!("{other}"),
                        }
                    }
                    counts
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    counts
        .into_iter()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}
