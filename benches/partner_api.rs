//! Orders beside bare commits, and pages among many orders and few.
//!
//! `cargo bench --bench partner_api` places orders of 32 partners over 32 keep-alive connections at
//! the real server, in alternating rounds with bare commits of one row by the same database driver:
//! on SQLite over one connection, since it has one writer, on PostgreSQL over 32. Both are durable.
//! Then it fills two databases with orders of 1,000 partners and reads pages of 20 over 8 connections.
//! Last it asks for ids that are another partner's and for ids that nobody has, in turns over one connection.
//! Options after `--`:
//!
//!     --rounds 5 --seconds 3    how often and how long
//!     --orders 10000,1000000    among how many orders pages are read; 0: none are
//!     --only foreign            this part alone: place, read or foreign
//!     --database postgres://…   the URL of a server's fresh database instead of SQLite files; it
//!                               serves for placing, and --orders wants one size with it
//!     --connections 8           how many connections to it the server has

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
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, RunQueryDsl};
use onyx_auth::admin::AdminError;
use onyx_auth::admin::packages::{self, NewPackage};
use onyx_auth::app::App;
use onyx_auth::audit::Actor;
use onyx_auth::clock::Clock;
use onyx_auth::config::{Given, Settings};
use onyx_auth::domain::money::{Currency, Money};
use onyx_auth::domain::package::PackageStep;
use onyx_auth::store::Target;
use support::load::{is_whole, request};
use support::server::{Population, Server, environment, populate_by};

const CONNECTIONS: usize = 32;
const PARTNERS: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .map(|at| arguments[at + 1].as_str())
    };
    let rounds = option("--rounds").map_or(5, |n| n.parse().unwrap());
    let lasts = Duration::from_secs(option("--seconds").map_or(3, |n| n.parse().unwrap()));
    let database = Database {
        url: option("--database"),
        connections: option("--connections").unwrap_or("8"),
    };
    let is_wanted = |part: &str| option("--only").is_none_or(|only| only == part);
    if is_wanted("place") {
        place(database, rounds, lasts);
    }
    if is_wanted("foreign") {
        foreign(database, lasts);
    }
    if !is_wanted("read") {
        return;
    }
    let sizes = option("--orders").unwrap_or(if database.url.is_some() {
        "0"
    } else {
        "10000,1000000"
    });
    for size in sizes.split(',').map(|n| n.parse::<usize>().unwrap()) {
        if size > 0 {
            read(database, size, lasts);
        }
    }
}

/// Where orders are kept.
#[derive(Clone, Copy)]
struct Database<'a> {
    /// `None`: in a fresh SQLite file.
    url: Option<&'a str>,
    connections: &'a str,
}

fn settings(folder: &std::path::Path, database: Database<'_>) -> Vec<(String, String)> {
    let mut env = environment(folder, database.url);
    // The simulator would move orders on beside what is measured.
    env.push(("ONYX_ROLES".to_owned(), "auth,admin,api".to_owned()));
    let connections = database.connections.to_owned();
    env.push(("ONYX_DATABASE_CONNECTIONS".to_owned(), connections));
    env
}

fn app(env: &[(String, String)]) -> std::sync::Arc<App> {
    let given = Given {
        env: env.iter().cloned().collect(),
        ..Given::default()
    };
    App::build(Settings::load(&given).unwrap(), Clock::system()).unwrap()
}

/// A published package's id.
fn package(app: &App) -> String {
    let now = app.clock.now();
    let made = app.store.alone(now, |db| {
        let act = app.act(Actor::host());
        let new = NewPackage {
            name: "bench".to_owned(),
            description: "bench".to_owned(),
            price: Money::new(1900, Currency::Eur),
            validity_days: 30,
            region: "Europe".to_owned(),
            features: Vec::new(),
            included: None,
            viewers: None,
        };
        let id = packages::create(db, &act, new)?.package.id;
        packages::step(db, &act, &id, PackageStep::Publish, None)?;
        Ok::<_, AdminError>(id.to_string())
    });
    made.unwrap()
}

fn tokens(server: &Server, population: &Population) -> Vec<String> {
    let mut caller = Caller::to(&server.address);
    let ids = population.ids.iter();
    ids.map(|id| {
        let answer = caller.send(&request(id, &population.secret), "200");
        let start = answer.find("\"access_token\":\"").unwrap() + 16;
        let rest = &answer[start..];
        rest[..rest.find('"').unwrap()].to_owned()
    })
    .collect()
}

/// Orders placed a second, beside bare commits a second.
fn place(database: Database<'_>, rounds: usize, lasts: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let env = settings(folder.path(), database);
    let population = populate_by(&env, CONNECTIONS, 1);
    let (package, target) = {
        let app = app(&env);
        let package = package(&app);
        app.tokens.close();
        (package, app.store.target().clone())
    };
    let server = Server::start(&env);
    let tokens = tokens(&server, &population);
    bare_table(&target);
    println!(
        "{:>10} {:>10} {:>7} {:>8} {:>8}",
        "orders/s", "bare/s", "ratio", "p50 ms", "p99 ms"
    );
    let mut ratios = Vec::new();
    for round in 0..=rounds {
        let bare = bare(&target, lasts);
        let mut latencies = threads(CONNECTIONS, |nth| {
            let mut caller = Caller::to(&server.address);
            let (until, mut times) = (Instant::now() + lasts, Vec::new());
            let mut count = 0;
            while Instant::now() < until {
                let order = order(&package, &tokens[nth], &format!("{round}-{nth}-{count}"));
                times.push(caller.timed(&order, "201"));
                count += 1;
            }
            times
        });
        if round == 0 {
            // Caches fill.
            continue;
        }
        let rate = latencies.len() as f64 / lasts.as_secs_f64();
        latencies.sort();
        let at = |share: f64| at(&latencies, share);
        println!(
            "{rate:>10.0} {bare:>10.0} {:>7.2} {:>8.2} {:>8.2}",
            rate / bare,
            at(0.5),
            at(0.99)
        );
        ratios.push(rate / bare);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
}

fn order(package: &str, token: &str, key: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"package_id":"{package}","quantity":2,"partner_order_ref":"PO-{key}","metadata":{{"trip":"Oslo"}}}}"#
    );
    format!(
        "POST /sandbox/v1/orders HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: \"{key}\"\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Latencies of pages of 20 among so many orders.
fn read(database: Database<'_>, size: usize, lasts: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let env = settings(folder.path(), database);
    let population = populate_by(&env, PARTNERS, 1);
    {
        let app = app(&env);
        let package = package(&app);
        fill(&app, &package, size);
        app.tokens.close();
    }
    let server = Server::start(&env);
    let tokens = tokens(&server, &population);
    let round = || {
        let mut latencies = threads(8, |nth| {
            let mut caller = Caller::to(&server.address);
            let (until, mut times) = (Instant::now() + lasts, Vec::new());
            let mut count = nth * 131;
            while Instant::now() < until {
                let token = &tokens[count % PARTNERS];
                let page = format!(
                    "GET /sandbox/v1/orders?limit=20 HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
                );
                times.push(caller.timed(page.as_bytes(), "200"));
                count += 7;
            }
            times
        });
        latencies.sort();
        latencies
    };
    round();
    let latencies = round();
    println!(
        "{size:>9} orders: {} pages, p50 {:.2} ms, p99 {:.2} ms",
        latencies.len(),
        at(&latencies, 0.5),
        at(&latencies, 0.99)
    );
}

/// A path for each turn.
type Paths<'a> = &'a dyn Fn(usize) -> String;

/// How long it takes to be told that there is no such record: for what is another partner's, and for what
/// nobody has.
fn foreign(database: Database<'_>, lasts: Duration) {
    const ORDERS: usize = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let env = settings(folder.path(), database);
    let population = populate_by(&env, 2, 1);
    let package = {
        let app = app(&env);
        let package = package(&app);
        fill_of(&app, &package, ORDERS, 2);
        app.tokens.close();
        package
    };
    let server = Server::start(&env);
    let tokens = tokens(&server, &population);
    let mut caller = Caller::to(&server.address);
    // One real order of each, through the API, with what follows from it.
    let placed: Vec<String> = tokens
        .iter()
        .enumerate()
        .map(|(nth, token)| {
            let answer = caller.send(&order(&package, token, &format!("own-{nth}")), "201");
            let start = answer.find("\"id\":\"").unwrap() + 6;
            answer[start..start + 30].to_owned()
        })
        .collect();
    let ask = |token: &str, path: &str| {
        format!(
            "GET /sandbox/v1{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .into_bytes()
    };
    println!(
        "{:>22} {:>9} {:>9} {:>7}",
        "no such record", "foreign", "unknown", "ratio"
    );
    // Ids from the middle of what there is, and their neighbours that there are not.
    let unknown = |n: usize| format!("ord_01K{:023}", ORDERS * 10 + n);
    // Orders go round by the clients' ids: every other one is not the first client's.
    let odd = usize::from(population.ids[0] < population.ids[1]);
    let there = |n: usize| format!("ord_01K{n:023}");
    let stories: [(&str, Paths<'_>, Paths<'_>); 3] = [
        ("an order", &|_| format!("/orders/{}", placed[1]), &|n| {
            format!("/orders/{}", unknown(n))
        }),
        (
            "one of many orders",
            &|n| format!("/orders/{}", there(2 * (n % (ORDERS / 2)) + odd)),
            &|n| format!("/orders/{}", unknown(n)),
        ),
        (
            "an order by reference",
            &|_| "/orders/by-reference/PO-own-1".to_owned(),
            &|n| format!("/orders/by-reference/PO-no-{n}"),
        ),
    ];
    for (name, of_another, of_nobody) in stories {
        let (mut foreign, mut nobody) = (Vec::new(), Vec::new());
        let (until, mut n) = (Instant::now() + lasts, 0);
        while Instant::now() < until {
            foreign.push(caller.timed(&ask(&tokens[0], &of_another(n)), "404"));
            nobody.push(caller.timed(&ask(&tokens[0], &of_nobody(n)), "404"));
            n += 1;
        }
        foreign.sort();
        nobody.sort();
        let (foreign, nobody) = (at(&foreign, 0.5) * 1000.0, at(&nobody, 0.5) * 1000.0);
        println!(
            "{name:>22} {foreign:>6.1} µs {nobody:>6.1} µs {:>7.3}",
            foreign / nobody
        );
    }
}

/// Orders of all partners in turn, without what follows from them.
fn fill(app: &App, package: &str, size: usize) {
    fill_of(app, package, size, PARTNERS);
}

/// The same of so many partners.
fn fill_of(app: &App, package: &str, size: usize, partners: usize) {
    const BATCH: usize = 10_000;
    for start in (0..size).step_by(BATCH) {
        let now = app.clock.now();
        let filled = app.store.alone(now, |db| {
            // Ids in the order of their making, spread over the partners.
            let numbers = format!(
                "WITH RECURSIVE n(i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {}), \
                 c AS (SELECT id, partner_id, ROW_NUMBER() OVER (ORDER BY id) - 1 AS nth FROM clients WHERE kind = 'partner') \
                 INSERT INTO orders (partner_id, realm, id, client_id, credential_id, package_id, package_version, quantity, \
                 unit_amount, total_amount, currency, partner_order_ref, metadata, state, created_at, updated_at) \
                 SELECT c.partner_id, 'sandbox', 'ord_01K' || SUBSTR('00000000000000000000000' || CAST(n.i AS TEXT), -23), c.id, 'crd_01ARZ3NDEKTSV4RRFFQ69G5FAV', '{package}', 1, 1, \
                 1900, 1900, 'EUR', 'PO-' || n.i, '{{\"trip\":\"Oslo\"}}', 'fulfilled', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP \
                 FROM n JOIN c ON c.nth = n.i % {partners}",
                (start + BATCH).min(size)
            );
            let numbers = match app.store.target() {
                Target::Sqlite(_) => numbers,
                #[cfg(feature = "postgres")]
                Target::Postgres(_) => numbers.replace(
                    "SUBSTR('00000000000000000000000' || CAST(n.i AS TEXT), -23)",
                    "LPAD(CAST(n.i AS TEXT), 23, '0')",
                ),
            };
            diesel::sql_query(numbers).execute(&mut **db).map_err(onyx_auth::store::StoreError::from)?;
            Ok::<_, onyx_auth::store::StoreError>(())
        });
        filled.unwrap();
    }
}

fn bare_table(target: &Target) {
    let create = "CREATE TABLE bare_rows (id TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL)";
    connection(target)(create);
}

/// Bare commits of one row, a second.
fn bare(target: &Target, lasts: Duration) -> f64 {
    let writers = match target {
        Target::Sqlite(_) => 1,
        #[cfg(feature = "postgres")]
        Target::Postgres(_) => CONNECTIONS,
    };
    let counts = threads(writers, |_| {
        let mut run = connection(target);
        let (until, mut count) = (Instant::now() + lasts, 0u32);
        while Instant::now() < until {
            let id = onyx_auth::domain::secret::unguessable_id();
            run(&format!(
                "INSERT INTO bare_rows VALUES ('{id}', 'an order or so')"
            ));
            count += 1;
        }
        vec![count]
    });
    f64::from(counts.iter().sum::<u32>()) / lasts.as_secs_f64()
}

/// A connection of its own that runs statements, each in a transaction of its own.
fn connection(target: &Target) -> Box<dyn FnMut(&str)> {
    match target {
        Target::Sqlite(path) => {
            let mut conn = diesel::SqliteConnection::establish(path).unwrap();
            conn.batch_execute(
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
            )
            .unwrap();
            Box::new(move |statement| conn.batch_execute(statement).unwrap())
        }
        #[cfg(feature = "postgres")]
        Target::Postgres(url) => {
            let mut conn = diesel::PgConnection::establish(url).unwrap();
            conn.batch_execute("SET synchronous_commit = on").unwrap();
            Box::new(move |statement| conn.batch_execute(statement).unwrap())
        }
    }
}

fn threads<T: Send>(count: usize, work: impl Fn(usize) -> Vec<T> + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..count)
            .map(|nth| {
                scope.spawn({
                    let work = &work;
                    move || work(nth)
                })
            })
            .collect();
        started
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

fn at(sorted: &[Duration], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0
}

/// One keep-alive connection.
struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Caller {
    fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: vec![0; 64 * 1024],
        }
    }

    fn timed(&mut self, request: &[u8], status: &str) -> Duration {
        let sent = Instant::now();
        self.exchange(request, status);
        sent.elapsed()
    }

    fn send(&mut self, request: &[u8], status: &str) -> String {
        let filled = self.exchange(request, status);
        String::from_utf8_lossy(&self.buffer[..filled]).into_owned()
    }

    fn exchange(&mut self, request: &[u8], status: &str) -> usize {
        self.stream.write_all(request).unwrap();
        let mut filled = 0;
        while !is_whole(&self.buffer[..filled]) {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the server hung up");
            filled += read;
        }
        let answer = &self.buffer[..filled];
        assert_eq!(
            &answer[9..12],
            status.as_bytes(),
            "{}",
            String::from_utf8_lossy(answer)
        );
        filled
    }
}
