//! A server of its own for each story: the real binary, a fresh database, free ports.

mod answer;
mod database;
mod operator;

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

pub use answer::{Answer, at_once, claims, header};
pub use database::{postgres, sql};
pub use operator::Operator;

/// Scopes of the partner API, as the contract lists them.
pub const PARTNER_SCOPES: [&str; 8] = [
    "catalogue:read",
    "events:replay",
    "invoices:read",
    "ledger:read",
    "orders:create",
    "orders:read",
    "usage:read",
    "webhooks:manage",
];

/// Numbers for the files of second operators.
static SECONDS: AtomicUsize = AtomicUsize::new(0);

/// Which engine a world stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A folder, a database, and perhaps a running server.
pub struct World {
    pub engine: Engine,
    pub base: String,
    pub ops: String,
    pub http: reqwest::Client,
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
    server: Option<Child>,
    schema: Option<String>,
}

/// A client with its secret.
#[derive(Clone, Debug)]
pub struct Credential {
    pub partner_id: String,
    pub client_id: String,
    pub credential_id: String,
    pub secret: String,
}

/// Fresh worlds with a running server and a bootstrapped operator, one an engine.
pub async fn worlds() -> Vec<World> {
    worlds_with(&[]).await
}

/// The same with settings.
pub async fn worlds_with(settings: &[(&str, &str)]) -> Vec<World> {
    let mut worlds = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut world = World::prepare(engine, settings);
        let made = world.run(&["operator", "bootstrap"]);
        assert!(
            made.status.success(),
            "bootstrap: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        world.start().await;
        worlds.push(world);
    }
    worlds
}

impl World {
    /// A folder, a fresh database and free ports; nothing runs yet.
    pub fn prepare(engine: Engine, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (listen, ops) = (free_address(), free_address());
        let mut env = vec![
            ("ONYX_LISTEN".to_owned(), listen.clone()),
            ("ONYX_OPS_LISTEN".to_owned(), ops.clone()),
            ("ONYX_BASE_URL".to_owned(), format!("http://{listen}")),
        ];
        let mut schema = None;
        if engine == Engine::Postgres {
            let name = format!(
                "w{}",
                folder
                    .path()
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .trim_start_matches(".tmp")
            );
            let name = name.to_ascii_lowercase();
            sql(&format!("CREATE SCHEMA {name}"));
            env.push((
                "ONYX_DATABASE_URL".to_owned(),
                format!("{}?options=-csearch_path%3D{name}", postgres()),
            ));
            schema = Some(name);
        }
        env.extend(
            settings
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Self {
            engine,
            base: format!("http://{listen}"),
            ops: format!("http://{ops}"),
            http: http.build().unwrap(),
            folder,
            env,
            server: None,
            schema,
        }
    }

    /// Another running server on the same database, with the same keys and the same issuer.
    pub async fn neighbour(&self) -> Self {
        self.neighbour_with(&[]).await
    }

    /// The same with settings.
    pub async fn neighbour_with(&self, settings: &[(&str, &str)]) -> Self {
        let keys = self.path().join("keys").display().to_string();
        let sqlite = format!("sqlite://{}/data/onyx.db", self.path().display());
        let mut other = Self::prepare(Engine::Sqlite, &[]);
        other.engine = self.engine;
        let database = match self.engine {
            Engine::Sqlite => sqlite,
            Engine::Postgres => self.database_url(),
        };
        let issuer = self.setting("ONYX_BASE_URL").to_owned();
        for (name, value) in [
            ("ONYX_BASE_URL", issuer.as_str()),
            ("ONYX_KEYS_DIR", &keys),
            ("ONYX_DATABASE_URL", &database),
        ] {
            other.set(name, value);
        }
        settings
            .iter()
            .for_each(|(name, value)| other.set(name, value));
        // Operators' credentials are found where the first left them.
        std::fs::create_dir(other.path().join("data")).unwrap();
        std::fs::copy(
            self.path().join("data/operator.json"),
            other.path().join("data/operator.json"),
        )
        .unwrap();
        other.start().await;
        other
    }

    /// The folder that the server runs in.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Changes a setting for what is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// A setting that this world was prepared with.
    pub fn setting(&self, name: &str) -> &str {
        let known = self.env.iter().rev().find(|(known, _)| known == name);
        known.map_or("", |(_, value)| value.as_str())
    }

    /// The database's URL.
    pub fn database_url(&self) -> String {
        let known = self
            .env
            .iter()
            .find(|(name, _)| name == "ONYX_DATABASE_URL");
        known.map_or_else(
            || "sqlite://data/onyx.db".to_owned(),
            |(_, url)| url.clone(),
        )
    }

    /// The binary with this world's settings, ready for arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onyx-auth"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .stdin(Stdio::null());
        for kept in ["PATH", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.envs(self.env.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; answers what it printed.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs a command with something on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(&mut self) {
        self.start_as(self.command(&["serve"])).await;
    }

    /// The same by a command of one's own, which becomes the server.
    pub async fn start_as(&mut self, mut command: Command) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        self.server = Some(command.stderr(log).stdout(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(ready) = self.http.get(format!("{}/readyz", self.ops)).send().await
                && ready.status().is_success()
            {
                return;
            }
            let ended = self.server.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the server did not start:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The running server's process.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// The name of this world's schema on PostgreSQL.
    pub fn schema(&self) -> &str {
        self.schema.as_deref().unwrap()
    }

    /// Kills the server: SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Asks the server to end (SIGTERM) and waits for its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended()
    }

    /// Sends the server a signal.
    pub fn signal(&self, name: &str) {
        let server = self.server.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &server]).status();
        assert!(sent.unwrap().success());
    }

    /// Whether the server has ended.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.server.as_mut().unwrap().try_wait();
        ended.unwrap().is_some()
    }

    /// Waits for the server's exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.server.take().unwrap().wait().unwrap().code()
    }

    fn log_path(&self) -> PathBuf {
        self.path().join("server.log")
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// A request to a path of the public listener.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// `GET` with an optional bearer token.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let request = self.request(Method::GET, path);
        let request = if let Some(token) = token {
            request.bearer_auth(token)
        } else {
            request
        };
        Answer::of(request.send().await.unwrap()).await
    }

    /// Sends bytes as they are, on a connection of their own; answers the status line and all that follows.
    pub fn raw(&self, bytes: &[u8]) -> String {
        use std::io::Read;
        let address = self.base.trim_start_matches("http://");
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        // The server may answer, and hang up, before it has read everything.
        let _ = socket.write_all(bytes);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// `POST` of a form to a realm's token endpoint, authenticated by the form.
    pub async fn token_form(&self, realm: &str, form: &[(&str, &str)]) -> Answer {
        let request = self
            .request(Method::POST, &format!("/{realm}/oauth2/token"))
            .form(form);
        Answer::of(request.send().await.unwrap()).await
    }

    /// A token request with a credential in HTTP Basic, and more parameters.
    pub async fn token_answer(
        &self,
        realm: &str,
        who: &Credential,
        more: &[(&str, &str)],
    ) -> Answer {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend_from_slice(more);
        let request = self.request(Method::POST, &format!("/{realm}/oauth2/token"));
        let request = request
            .basic_auth(&who.client_id, Some(&who.secret))
            .form(&form);
        Answer::of(request.send().await.unwrap()).await
    }

    /// A token that must be given.
    pub async fn token(&self, realm: &str, who: &Credential, more: &[(&str, &str)]) -> String {
        let answer = self.token_answer(realm, who, more).await.expect(200);
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// The bootstrapped operator's credential.
    pub fn operator_credential(&self) -> Credential {
        self.credential_file("data/operator.json")
    }

    /// What a credential file in the world's folder holds.
    pub fn credential_file(&self, name: &str) -> Credential {
        let file = std::fs::read_to_string(self.path().join(name)).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        let text = |name: &str| file[name].as_str().unwrap().to_owned();
        Credential {
            partner_id: String::new(),
            client_id: text("client_id"),
            credential_id: String::new(),
            secret: text("client_secret"),
        }
    }

    /// The bootstrapped operator with a token.
    pub async fn operator(&self) -> Operator<'_> {
        let token = self.token("admin", &self.operator_credential(), &[]).await;
        Operator { world: self, token }
    }

    /// Another operator with every admin scope, whom the first neither made nor gave a credential.
    pub async fn second_operator(&self) -> Operator<'_> {
        let file = format!("second-{}.json", SECONDS.fetch_add(1, Ordering::Relaxed));
        self.cli(&["operator", "recover", "--out", &file]);
        let credential = self.credential_file(&file);
        let token = self.token("admin", &credential, &[]).await;
        Operator { world: self, token }
    }

    /// An approved partner with approved sandbox grants and a sandbox client with a secret.
    pub async fn sandbox_client(&self, scopes: &[&str]) -> Credential {
        let operator = self.operator().await;
        let partner = operator.partner().await;
        for scope in scopes {
            operator.sandbox_grant(&partner, scope, None).await;
        }
        operator.client(&partner, "sandbox", scopes).await
    }

    /// A partner that is ready for live, with grants decided by a second operator, and a live client with a secret.
    pub async fn live_client(&self, scopes: &[&str]) -> Credential {
        let (operator, second) = (self.operator().await, self.second_operator().await);
        let partner = operator.partner().await;
        for scope in scopes {
            let asked = operator
                .request_grant(&partner, "live", scope, None)
                .await
                .expect(201);
            let id = asked["id"].as_str().unwrap();
            second
                .post(&format!("/scope-grants/{id}/approve"), json!({}))
                .await
                .expect(200);
        }
        operator.ready_for_live(&second, &partner).await;
        operator.client(&partner, "live", scopes).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {:?} server's log ---\n{}", self.engine, self.log());
        }
        if let Some(schema) = &self.schema {
            database::drop_schema(schema);
        }
    }
}

/// An RFC 3339 time this far ahead.
pub fn in_future(ahead: Duration) -> String {
    let ahead = chrono::TimeDelta::from_std(ahead).unwrap();
    (chrono::Utc::now() + ahead).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A time some days from now, past or ahead, as both engines write it.
pub fn days_away(days: i64) -> String {
    let moment = chrono::Utc::now() + chrono::TimeDelta::days(days);
    moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// An address of this machine that nobody listens on.
///
/// Its port is below those that the system hands out by itself, one of which could be
/// somebody's before the server binds it, and each process looks in a place of its own.
pub fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (std::process::id() * 32 + nth) % 22_000;
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}
