//! Canaries: secrets, tokens, headers and payload are planted at every route, in success and in failure, at
//! the loudest log level, and must be found nowhere but in the one answer that is meant to show them.
//!
//! The route table drives it. A new route needs a line in `canary/story.rs` that asks it for what it is
//! there for; what can be sent wrongly is worked out from the documents. Panics are provoked in
//! `src/http/trace/tests.rs`, by handlers that no server has.

mod driver;
mod ledger;
mod shop;
mod story;
mod telling;
mod webhooks;

use std::process::Command;

use ledger::{Leak, Ledger};

use crate::support::receiver::{LOOPBACK, Receiver};
use crate::support::world::{Engine, World, worlds_with};

/// Libraries by name, so that not even a filter that asks for their confidences gets them.
const LOUD: &str = "trace,h2=trace,hyper=trace,hyper_util=trace,rustls=trace,reqwest=trace,actix_http=trace,\
                    actix_web=trace,diesel=trace,tokio=trace";

#[actix_web::test]
async fn no_canary_is_told_where_lines_are_text() {
    for world in worlds_with(&[LOOPBACK, ("ONYX_LOG", LOUD)]).await {
        no_canary_is_told(&world, "TRACE").await;
    }
}

#[actix_web::test]
async fn no_canary_is_told_where_lines_are_json() {
    let settings = [LOOPBACK, ("ONYX_LOG", LOUD), ("ONYX_LOG_FORMAT", "json")];
    for world in worlds_with(&settings).await {
        no_canary_is_told(&world, "\"level\":\"TRACE\"").await;
    }
}

/// Asks every route for what it is there for, so that there is something of every kind.
pub async fn ask_everything(world: &World) {
    let receiver = Receiver::start().await;
    telling::tell(world, &mut Ledger::default(), &receiver).await;
}

async fn no_canary_is_told(world: &World, loudest: &str) {
    let mut ledger = Ledger::default();
    let receiver = Receiver::start().await;
    let (kept, asked) = telling::tell(world, &mut ledger, &receiver).await;
    let routes = driver::routes(world).await;
    let names: Vec<_> = routes.iter().map(driver::Route::name).collect();
    let untold: Vec<_> = names.iter().filter(|name| !asked.contains(name)).collect();
    assert!(
        untold.is_empty(),
        "these routes have no canary: ask each of them in tests/it/canary/story.rs: {untold:#?}"
    );
    let gone: Vec<_> = asked.iter().filter(|name| !names.contains(name)).collect();
    assert!(
        gone.is_empty(),
        "the story asks for what is no route: {gone:#?}"
    );
    for route in &routes {
        let token = match route.path.split('/').nth(1) {
            Some("sandbox") => "sandbox.token",
            Some("live") => "live.token",
            _ => "operator",
        };
        driver::drive(world, &mut ledger, route, &kept[token]).await;
    }
    beyond_routes(world, &mut ledger);
    assert!(ledger.count() > 9 * routes.len(), "{}", ledger.count());

    let log = world.log();
    assert!(log.contains(loudest) && log.contains("POST /sandbox/oauth2/token"));
    let metrics = world
        .http
        .get(format!("{}/metrics", world.ops))
        .send()
        .await
        .unwrap();
    let metrics = metrics.bytes().await.unwrap().to_vec();
    let process = |what: &str| std::fs::read(format!("/proc/{}/{what}", world.pid())).unwrap();
    let places = [
        ("the log", log.into_bytes(), false),
        ("the metrics", metrics, false),
        ("the command line", process("cmdline"), false),
        ("the environment", process("environ"), false),
        ("the database", database(world), true),
    ];
    for (place, bytes, _) in &places {
        assert!(!bytes.is_empty(), "{place}");
    }
    let leaks = ledger.leaks(&places);
    let shown: Vec<String> = leaks
        .iter()
        .take(40)
        .map(|Leak { canary, place }| format!("{canary}: in {place}"))
        .collect();
    assert!(
        leaks.is_empty(),
        "{} leaks, among them:\n{}",
        leaks.len(),
        shown.join("\n")
    );
    // The look is no blind one: what the story stored for its owner is found in the database.
    let stored = ledger.leaks(&[("the database", database(world), false)]);
    assert!(stored.len() > 20, "{}", stored.len());
}

/// What reaches no route: unknown paths, and what is no HTTP.
fn beyond_routes(world: &World, ledger: &mut Ledger) {
    let mut plant = || ledger.plant("what reaches no route").replace('/', "-");
    let heads = [
        format!("GET /{} HTTP/1.1\r\nHost: {}\r\n", plant(), plant()),
        format!(
            "POST /leaks HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n",
            plant()
        ),
        format!(
            "POST /leaks HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: {}\r\n",
            plant()
        ),
        format!("{} / HTTP/1.1\r\nHost: t\r\n", plant().replace('+', "-")),
        format!("GET / HTTP/{}\r\nHost: t\r\n", plant()),
        format!("GET / HTTP/1.1\r\nHost: t\r\n{} {}\r\n", plant(), plant()),
        format!(
            "GET /healthz HTTP/1.1\r\nHost: t\r\nExpect: {}\r\nUpgrade: {}\r\n",
            plant(),
            plant()
        ),
    ];
    for head in heads {
        let answer = world.raw(format!("{head}Connection: close\r\n\r\n").as_bytes());
        assert!(!answer.contains("Cnry"), "{answer}");
    }
}

/// Everything that the database holds: all the files of SQLite, with what they have freed and not yet
/// overwritten; a dump of PostgreSQL's schema.
fn database(world: &World) -> Vec<u8> {
    match world.engine {
        Engine::Sqlite => {
            let files = std::fs::read_dir(world.path().join("data")).unwrap();
            let files = files.map(|file| file.unwrap().path());
            let of_database =
                files.filter(|path| path.file_name().unwrap().to_string_lossy().contains(".db"));
            of_database
                .flat_map(|path| std::fs::read(path).unwrap())
                .collect()
        }
        Engine::Postgres => {
            let dumped = Command::new("pg_dump")
                .args(["--schema", world.schema(), "-d", &world.database_url()])
                .output()
                .expect("pg_dump: install postgresql-client");
            assert!(
                dumped.status.success(),
                "{}",
                String::from_utf8_lossy(&dumped.stderr)
            );
            dumped.stdout
        }
    }
}
