//! How soon a change on one node counts on another.
//!
//! `cargo bench --bench changes` starts the real server, makes changes through an application of its
//! own on the same database, and asks the server without pause until each has its effect: a new
//! secret that gets a token, a revoked one that gets none. It prints the distribution of the time
//! from a change's answer to the first answer that shows it. Options after `--`:
//!
//!     --rounds 250              one secret issued and revoked in each
//!     --database postgres://…   another database than a fresh SQLite file (`--features postgres`)

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
use std::time::{Duration, Instant};

use onyx_auth::admin::{AdminError, credentials};
use onyx_auth::app::App;
use onyx_auth::audit::Actor;
use onyx_auth::clock::Clock;
use onyx_auth::config::{Given, Settings};
use onyx_auth::domain::credential::RevocationReason;
use onyx_auth::domain::id::ClientId;
use rand::RngExt;
use support::load::{is_whole, request};
use support::server::{Server, environment, populate};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .map(|at| arguments[at + 1].as_str())
    };
    let rounds = option("--rounds").map_or(250, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let env = environment(folder.path(), option("--database"));
    let population = populate(&env, 1);
    let client: ClientId = population.ids[0].parse().unwrap();
    let server = Server::start(&env);
    let mut asker = Asker(TcpStream::connect(&server.address).unwrap());
    asker.0.set_nodelay(true).unwrap();
    // From where a client was right before, it is looked at however often it is wrong.
    let known = request(client.as_str(), &population.secret);
    asker.until(&["200"], &known);

    let (mut issued, mut revoked) = (Vec::new(), Vec::new());
    actix_web::rt::System::new().block_on(async {
        let given = Given {
            env: env.iter().cloned().collect(),
            ..Given::default()
        };
        let node = App::build(Settings::load(&given).unwrap(), Clock::system()).unwrap();
        for _ in 0..rounds {
            // At any moment between two looks at the news.
            let pause = rand::rng().random_range(0..20_000);
            std::thread::sleep(Duration::from_micros(pause));
            let secret = issue(&node, &client).await;
            let with = request(client.as_str(), secret.secret.expose());
            issued.push(asker.until(&["200"], &with));
            revoke(&node, secret.credential.id).await;
            revoked.push(asker.until(&["401", "429"], &with));
        }
    });
    println!(
        "{:>8} {:>7} {:>8} {:>8} {:>8}",
        "change", "times", "p50 ms", "p99 ms", "most ms"
    );
    for (name, mut times) in [("issued", issued), ("revoked", revoked)] {
        times.sort();
        let at = |share: f64| {
            let time = times[((times.len() - 1) as f64 * share) as usize];
            time.as_secs_f64() * 1000.0
        };
        println!(
            "{name:>8} {:>7} {:>8.2} {:>8.2} {:>8.2}",
            times.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

async fn issue(node: &Arc<App>, client: &ClientId) -> credentials::Issued {
    let (app, client) = (Arc::clone(node), client.clone());
    let issued = node.carry_out(Actor::host(), move |db, act| {
        credentials::issue(db, &app.master, act, &client, None)
    });
    issued.await.unwrap()
}

async fn revoke(node: &Arc<App>, id: onyx_auth::domain::id::CredentialId) {
    let revoked = node.carry_out(Actor::host(), move |db, act| {
        let reason = RevocationReason::Other;
        credentials::revoke(db, act, &id, reason, None)?;
        Ok::<_, AdminError>(())
    });
    revoked.await.unwrap();
}

/// Asks the other node over one connection.
struct Asker(TcpStream);

impl Asker {
    /// How long it takes until an answer has one of these statuses.
    fn until(&mut self, statuses: &[&str], request: &[u8]) -> Duration {
        let changed = Instant::now();
        while !statuses.contains(&self.status(request).as_str()) {
            assert!(
                changed.elapsed() < Duration::from_secs(10),
                "never {statuses:?}"
            );
        }
        changed.elapsed()
    }

    fn status(&mut self, request: &[u8]) -> String {
        self.0.write_all(request).unwrap();
        let (mut buffer, mut filled) = ([0; 8192], 0);
        while !is_whole(&buffer[..filled]) {
            let read = self.0.read(&mut buffer[filled..]).unwrap();
            assert!(read > 0, "the server hung up");
            filled += read;
        }
        String::from_utf8_lossy(&buffer[9..12]).into_owned()
    }
}
