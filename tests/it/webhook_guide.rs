//! The receivers of `docs/webhooks.md`, run as they are printed there against real deliveries.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::receiver::LOOPBACK;
use crate::support::world::{Credential, World, days_away, free_address, worlds_with};

const PYPI: &str = "standardwebhooks==1.1.0";
const NPM: &str = "standardwebhooks@1.1.1";
const SCOPES: [&str; 2] = ["events:replay", "webhooks:manage"];

/// The one program in a language that the page prints.
fn printed(language: &str) -> String {
    let page = include_str!("../../docs/webhooks.md");
    let fence = format!("```{language}\n");
    let mut programs = page.split(&fence).skip(1);
    let program = programs.next().unwrap().split("```\n").next().unwrap();
    assert!(programs.next().is_none(), "two programs in {language}");
    program.to_owned()
}

/// A receiver in a folder of its own.
struct Program {
    folder: TempDir,
    address: String,
    command: Box<dyn Fn() -> Command>,
    process: Child,
    processed: Arc<Mutex<Vec<String>>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Program {
    async fn start(folder: TempDir, command: impl Fn() -> Command + 'static) -> Self {
        std::fs::write(folder.path().join("webhook-secret"), "").unwrap();
        let address = free_address();
        let processed = Arc::default();
        let process = run(&folder, &address, &processed, command());
        let program = Self {
            folder,
            address,
            command: Box::new(command),
            process,
            processed,
        };
        program.listens().await;
        program
    }

    /// Killed, and started anew.
    async fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = run(
            &self.folder,
            &self.address,
            &self.processed,
            (self.command)(),
        );
        self.listens().await;
    }

    async fn listens(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(&self.address).await.is_err() {
            assert!(Instant::now() < deadline, "it does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it said it has processed: ids.
    fn processed(&self) -> Vec<String> {
        self.processed.lock().unwrap().clone()
    }

    /// Waits until it has processed all of these, in whatever order, each once and nothing else.
    async fn has_processed(&self, ids: &[String]) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let mut wanted = ids.to_vec();
        wanted.sort();
        loop {
            let mut done = self.processed();
            done.sort();
            if done.len() >= wanted.len() {
                assert_eq!(done, wanted);
                return;
            }
            assert!(Instant::now() < deadline, "{done:?}, not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn run(
    folder: &TempDir,
    address: &str,
    processed: &Arc<Mutex<Vec<String>>>,
    mut command: Command,
) -> Child {
    let mut process = command
        .current_dir(folder.path())
        .env("PORT", address.rsplit(':').next().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let processed = Arc::clone(processed);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(rest) = line.strip_prefix("processed ") {
                let id = rest.split(' ').next().unwrap().to_owned();
                processed.lock().unwrap().push(id);
            }
        }
    });
    process
}

/// Leaves a partner's credential where the command line looks for it.
fn keep(world: &World, who: &Credential) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = world.path().join("data/demo.json");
    let file =
        json!({ "server": world.base, "client_id": who.client_id, "client_secret": who.secret });
    std::fs::write(&path, file.to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn json_of(world: &World, arguments: &[&str]) -> Value {
    let told = world.cli(&[arguments, &["--json"]].concat());
    serde_json::from_str(&told).unwrap()
}

/// Makes events; answers their ids.
fn trigger(world: &World, kinds: &[&str]) -> Vec<String> {
    let made = kinds
        .iter()
        .map(|kind| world.cli(&["webhook", "trigger", kind, "--field", "id"]));
    made.collect()
}

/// The story of a receiver, whatever it is written in.
async fn receives(world: World, mut program: Program) {
    let who = world.sandbox_client(&SCOPES).await;
    // No warning comes in between.
    let later = days_away(300);
    world.execute(&format!("UPDATE scope_grants SET expires_at = '{later}'"));
    keep(&world, &who);
    let url = format!("http://{}/hooks", program.address);
    let secret = program.file("first");
    let secret = secret.to_str().unwrap();

    // Before it has the secret it believes nobody, then it answers the challenge.
    let made = json_of(
        &world,
        &["webhook", "create", "--url", &url, "--secret-file", secret],
    );
    assert_eq!(
        (&made["state"], &made["challenge"]["status"]),
        (&json!("pending"), &json!(401))
    );
    assert_eq!(made["secret"], Value::Null);
    let id = made["id"].as_str().unwrap();
    let take = |from: &Path| std::fs::copy(from, program.file("webhook-secret")).unwrap();
    take(&program.file("first"));
    let active = json_of(&world, &["webhook", "challenge", id]);
    assert_eq!(active["state"], "active");

    let mut ids = trigger(
        &world,
        &["order.accepted", "order.fulfilled", "invoice.opened"],
    );
    program.has_processed(&ids).await;
    world.cli(&["webhook", "test", id]);

    // Both secrets sign: with the old one still in place nothing is refused, nor with the new one.
    let fresh = program.file("second");
    let fresh = fresh.to_str().unwrap();
    world.cli(&["webhook", "rotate-secret", id, "--secret-file", fresh]);
    ids.extend(trigger(&world, &["order.failed"]));
    program.has_processed(&ids).await;
    std::fs::copy(program.file("second"), program.file("webhook-secret")).unwrap();
    ids.extend(trigger(&world, &["credential.rotated"]));
    program.has_processed(&ids).await;
    // The old one ends: what only the new one signs is taken too.
    let third = program.file("third");
    let third = third.to_str().unwrap();
    world.cli(&[
        "webhook",
        "rotate-secret",
        id,
        "--overlap-seconds",
        "0",
        "--secret-file",
        third,
    ]);
    std::fs::copy(program.file("third"), program.file("webhook-secret")).unwrap();
    ids.extend(trigger(&world, &["order.cancelled"]));
    program.has_processed(&ids).await;

    // All of it once more, before and after it was killed: nothing is processed again.
    for cursor in ["one", "two"] {
        let listen = ["webhook", "listen", "--forward-to", &url, "--secret", third];
        let whole = ["--cursor", cursor, "--after", "0", "--exit"];
        let taken = world.cli(&[&listen[..], &whole[..]].concat());
        assert_eq!(taken.lines().count(), ids.len(), "{taken}");
        assert!(taken.lines().all(|line| line.ends_with(" 200")), "{taken}");
        program.restart().await;
    }
    ids.extend(trigger(&world, &["order.preparing"]));
    program.has_processed(&ids).await;

    // Nobody else is believed.
    let forged = world
        .http
        .post(&url)
        .header("webhook-id", "evt_forged")
        .header(
            "webhook-timestamp",
            chrono::Utc::now().timestamp().to_string(),
        )
        .header(
            "webhook-signature",
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        )
        .body(
            r#"{"id":"evt_forged","type":"order.accepted","seq":99,"data":{"order_id":"ord_1"}}"#,
        );
    assert_eq!(forged.send().await.unwrap().status().as_u16(), 401);
    ids.extend(trigger(&world, &["order.accepted"]));
    program.has_processed(&ids).await;
}

#[actix_web::test]
async fn the_pages_python_receiver_processes_each_event_once() {
    for world in worlds_with(&[LOOPBACK]).await {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("receiver.py"), printed("python")).unwrap();
        let installed = folder.path().join("installed");
        let pip = Command::new("/usr/bin/python3")
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--target"])
            .arg(&installed)
            .arg(PYPI)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&pip.stderr);
        assert!(pip.status.success(), "apt-get install python3-pip? {said}");
        let program = Program::start(folder, move || {
            let mut command = Command::new("/usr/bin/python3");
            command.arg("receiver.py").env("PYTHONPATH", &installed);
            command
        });
        receives(world, program.await).await;
    }
}

#[actix_web::test]
async fn the_pages_node_receiver_processes_each_event_once() {
    for world in worlds_with(&[LOOPBACK]).await {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("receiver.mjs"), printed("javascript")).unwrap();
        let npm = Command::new("npm")
            .args(["install", "--no-save", "--no-package-lock", "--no-audit"])
            .args(["--no-fund", "--prefix"])
            .arg(folder.path())
            .arg(NPM)
            .output()
            .unwrap_or_else(|error| panic!("npm: {error}: apt-get install nodejs npm"));
        let said = String::from_utf8_lossy(&npm.stderr);
        assert!(npm.status.success(), "{said}");
        let program = Program::start(folder, || {
            let mut command = Command::new("node");
            command.arg("receiver.mjs");
            command
        });
        receives(world, program.await).await;
    }
}

#[actix_web::test]
async fn the_pages_rust_receiver_processes_each_event_once() {
    assert_eq!(
        printed("rust"),
        include_str!("../../examples/webhook_receiver.rs")
    );
    let built =
        Path::new(env!("CARGO_BIN_EXE_onyx-auth")).with_file_name("examples/webhook_receiver");
    assert!(built.exists(), "cargo build --example webhook_receiver");
    for world in worlds_with(&[LOOPBACK]).await {
        let (folder, built) = (tempfile::tempdir().unwrap(), built.clone());
        let program = Program::start(folder, move || Command::new(&built));
        receives(world, program.await).await;
    }
}
