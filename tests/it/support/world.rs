//! A server of its own for each story: the real binary, a fresh database, free ports.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

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

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// `401 {"error":…}`: for snapshots.
    pub fn line(&self) -> String {
        format!("{} {}", self.status, self.text)
    }

    /// A problem as people read it: status, code and sentence, then each bad member, then what else it says.
    pub fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let body = self.json();
        let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
        assert_eq!(body["status"], self.status);
        assert_eq!(text(&body, "request_id"), self.header("onyx-request-id"));
        let mut lines = vec![format!(
            "{} {}: {}",
            self.status,
            text(&body, "code"),
            text(&body, "detail")
        )];
        for fault in body["errors"].as_array().into_iter().flatten() {
            let (pointer, code) = (text(fault, "pointer"), text(fault, "code"));
            lines.push(format!("  {pointer} {code}: {}", text(fault, "detail")));
        }
        if let (Some(state), Some(allowed)) = (body.get("state"), body.get("allowed")) {
            lines.push(format!("  state {state}, allowed {allowed}"));
        }
        lines.join("\n")
    }

    /// The JSON of an answer that must have this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }
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

    /// Runs SQL on this world's database; answers the column `line` of each row.
    pub fn lines(&self, query: &str) -> Vec<String> {
        match self.engine {
            Engine::Sqlite => {
                use diesel::prelude::*;
                let path = self.path().join("data/onyx.db");
                let mut db = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                let rows = diesel::sql_query(query).load::<Line>(&mut db).unwrap();
                rows.into_iter().map(|row| row.line).collect()
            }
            Engine::Postgres => {
                let rows = psql(&self.database_url(), query);
                rows.lines().map(str::to_owned).collect()
            }
        }
    }

    /// The same on PostgreSQL, after statements in the same session.
    pub fn lines_behind(&self, statements: &str, query: &str) -> Vec<String> {
        let rows = psql(&self.database_url(), &format!("{statements}; {query}"));
        rows.lines().map(str::to_owned).collect()
    }

    /// Changes this world's database behind the server's back.
    pub fn execute(&self, statement: &str) {
        match self.engine {
            Engine::Sqlite => {
                use diesel::prelude::*;
                let path = self.path().join("data/onyx.db");
                let mut db = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                // The server writes too.
                let patience = diesel::sql_query("PRAGMA busy_timeout = 10000");
                patience.execute(&mut db).unwrap();
                diesel::sql_query(statement).execute(&mut db).unwrap();
            }
            Engine::Postgres => {
                psql(&self.database_url(), statement);
            }
        }
    }

    /// Changes this world's database behind the server's back; the error is the database's own.
    pub fn try_execute(&self, statement: &str) -> Result<(), String> {
        match self.engine {
            Engine::Sqlite => {
                use diesel::prelude::*;
                let path = self.path().join("data/onyx.db");
                let mut db = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                // The server writes too.
                let patience = diesel::sql_query("PRAGMA busy_timeout = 10000");
                patience.execute(&mut db).unwrap();
                let done = diesel::sql_query(statement).execute(&mut db);
                done.map(|_| ()).map_err(|error| error.to_string())
            }
            Engine::Postgres => try_psql(&self.database_url(), statement).map(|_| ()),
        }
    }

    /// Takes down the triggers that guard the audit trail's tables, as somebody may who owns the database.
    pub fn take_down_the_audit_fence(&self) {
        let triggers = match self.engine {
            Engine::Sqlite => {
                "SELECT name AS line FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit%'"
            }
            Engine::Postgres => {
                "SELECT t.tgname || ' ON ' || c.relname AS line FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
                 WHERE c.relnamespace = current_schema()::regnamespace AND t.tgname LIKE 'audit%' AND NOT t.tgisinternal"
            }
        };
        let triggers = self.lines(triggers);
        assert!(triggers.len() >= 6);
        for trigger in triggers {
            self.execute(&format!("DROP TRIGGER {trigger}"));
        }
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
            sql(&format!("DROP SCHEMA {schema} CASCADE"));
        }
    }
}

/// An operator at the admin API.
pub struct Operator<'a> {
    pub world: &'a World,
    pub token: String,
}

impl Operator<'_> {
    pub async fn get(&self, path: &str) -> Answer {
        self.world
            .get(&format!("/admin/v1{path}"), Some(&self.token))
            .await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        let request = self
            .world
            .request(Method::POST, &format!("/admin/v1{path}"));
        Answer::of(
            request
                .bearer_auth(&self.token)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// An approved partner's id.
    pub async fn partner(&self) -> String {
        let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example" });
        let partner = self.post("/partners", body).await.expect(201);
        let id = partner["id"].as_str().unwrap().to_owned();
        self.post(&format!("/partners/{id}/approve"), json!({}))
            .await
            .expect(200);
        id
    }

    /// Gives a partner limits that no test meets, for stories that ask as often as they can.
    pub async fn widen_limits(&self, partner: &str) {
        for realm in ["sandbox", "live"] {
            let body = json!({
                "realm": realm, "mode": "enforce",
                "requests_per_minute": 10_000_000, "burst": 1_000_000, "tokens_per_minute": 10_000_000,
            });
            self.send(Method::PUT, &format!("/partners/{partner}/limits"), body)
                .await
                .expect(200);
        }
    }

    /// Asks for a grant that ends in 30 days.
    pub async fn request_grant(
        &self,
        partner: &str,
        realm: &str,
        scope: &str,
        resource: Option<&str>,
    ) -> Answer {
        self.request_grant_until(
            partner,
            realm,
            scope,
            resource,
            Duration::from_secs(30 * 24 * 3600),
        )
        .await
    }

    /// Asks for a grant that ends after a while.
    pub async fn request_grant_until(
        &self,
        partner: &str,
        realm: &str,
        scope: &str,
        resource: Option<&str>,
        lasts: Duration,
    ) -> Answer {
        let body = json!({
            "realm": realm,
            "scope": scope,
            "resource": resource,
            "purpose": "showing orders to the customer who made them",
            "lawful_basis": "contract",
            "data_classes": ["orders"],
            "retention_days": 30,
            "expires_at": in_future(lasts),
        });
        self.post(&format!("/partners/{partner}/scope-grants"), body)
            .await
    }

    /// A sandbox grant, approved at once by policy.
    pub async fn sandbox_grant(&self, partner: &str, scope: &str, resource: Option<&str>) {
        let grant = self
            .request_grant(partner, "sandbox", scope, resource)
            .await
            .expect(201);
        assert_eq!(
            (grant["state"].as_str(), grant["decided_by"].as_str()),
            (Some("approved"), Some("policy"))
        );
    }

    /// Registers an audience; its `client_id` is that of its own client.
    pub async fn resource_server(
        &self,
        realm: &str,
        identifier: &str,
        scopes: &[&str],
        alg: &str,
    ) -> Value {
        let body = json!({ "realm": realm, "identifier": identifier, "name": "a service", "scopes": scopes, "signing_alg": alg });
        self.post("/resource-servers", body).await.expect(201)
    }

    /// A client of a partner with a secret.
    pub async fn client(&self, partner: &str, realm: &str, scopes: &[&str]) -> Credential {
        let body = json!({ "realm": realm, "name": "backend", "scopes": scopes });
        self.client_with(partner, body).await
    }

    /// The same with a body of one's own.
    pub async fn client_with(&self, partner: &str, body: Value) -> Credential {
        let client = self
            .post(&format!("/partners/{partner}/clients"), body)
            .await
            .expect(201);
        Credential {
            partner_id: partner.to_owned(),
            ..self.issue(client["id"].as_str().unwrap()).await
        }
    }

    /// Issues a secret.
    pub async fn issue(&self, client: &str) -> Credential {
        let issued = self
            .post(
                &format!("/clients/{client}/credentials"),
                json!({ "kind": "secret" }),
            )
            .await;
        let issued = issued.expect(201);
        Credential {
            partner_id: String::new(),
            client_id: client.to_owned(),
            credential_id: issued["id"].as_str().unwrap().to_owned(),
            secret: issued["secret"].as_str().unwrap().to_owned(),
        }
    }

    /// `PATCH`.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        let path = format!("/admin/v1{path}");
        let request = self.world.request(Method::PATCH, &path);
        let request = request.bearer_auth(&self.token).json(&body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// `POST`, not sent yet.
    pub fn posting(&self, path: &str, body: &Value) -> RequestBuilder {
        let path = format!("/admin/v1{path}");
        let request = self.world.request(Method::POST, &path);
        request.bearer_auth(&self.token).json(body)
    }

    /// An operator of this one's making, with a token.
    pub async fn puppet(&self, scopes: &[&str]) -> Self {
        let made = self
            .post("/operators", json!({ "name": "made", "scopes": scopes }))
            .await
            .expect(201);
        let credential = self.issue(made["id"].as_str().unwrap()).await;
        let world = self.world;
        Self {
            world,
            token: world.token("admin", &credential, &[]).await,
        }
    }

    /// The operator's client id.
    pub fn id(&self) -> String {
        claims(&self.token)["client_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Revokes a credential.
    pub async fn revoke(&self, credential: &str) -> Answer {
        self.post(
            &format!("/credentials/{credential}/revoke"),
            json!({ "reason": "compromised" }),
        )
        .await
    }
}

/// Sends requests all at once; answers in the order of asking.
pub async fn at_once(requests: impl IntoIterator<Item = RequestBuilder>) -> Vec<Answer> {
    let sent: Vec<_> = requests
        .into_iter()
        .map(|request| {
            actix_web::rt::spawn(async { Answer::of(request.send().await.unwrap()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The header of a token, unverified.
pub fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, nth: usize) -> Value {
    use base64::Engine as _;
    let bytes =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(nth).unwrap());
    serde_json::from_slice(&bytes.unwrap()).unwrap()
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

/// The PostgreSQL server that `./test` starts.
pub fn postgres() -> String {
    std::env::var("ONYX_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("ONYX_TEST_POSTGRES is not set: run the tests with ./test, which starts a PostgreSQL server for them")
    })
}

/// Runs SQL on the PostgreSQL server.
pub fn sql(statements: &str) {
    psql(&postgres(), statements);
}

/// One row of a query whose only column is `line`.
#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

fn psql(database: &str, statements: &str) -> String {
    try_psql(database, statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
}

fn try_psql(database: &str, statements: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args([
            "-qAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            database,
            "-c",
            statements,
        ])
        .output()
        .expect("psql: install postgresql-client");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8(output.stdout).unwrap())
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
