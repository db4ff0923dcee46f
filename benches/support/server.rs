//! A database with as many clients as wanted, and the real server over it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel::{QueryResult, RunQueryDsl};
use onyx_auth::admin::grants::NewGrant;
use onyx_auth::admin::partners::NewPartner;
use onyx_auth::admin::{AdminError, grants, limits, partners};
use onyx_auth::app::App;
use onyx_auth::audit::Actor;
use onyx_auth::clock::Clock;
use onyx_auth::config::{Given, Settings};
use onyx_auth::domain::client::{ClientKind, ClientState};
use onyx_auth::domain::credential::{CredentialKind, CredentialState};
use onyx_auth::domain::id::{ClientId, CredentialId};
use onyx_auth::domain::limits::{Figures, Mode, Rate};
use onyx_auth::domain::partner::PartnerStep;
use onyx_auth::domain::realm::Realm;
use onyx_auth::domain::scope::ScopeSet;
use onyx_auth::domain::secret::PlainSecret;
use onyx_auth::store::clients::{self, Client};
use onyx_auth::store::credentials::{self, Credential};
use onyx_auth::store::{Db, StoreError};

const SCOPES: [&str; 4] = [
    "catalogue:read",
    "orders:create",
    "orders:read",
    "usage:read",
];
/// Clients of one partner.
const A_PARTNER: usize = 1000;

/// Clients that all have one secret, which makes a million of them quick to make.
pub struct Population {
    pub ids: Vec<String>,
    pub secret: String,
}

/// The settings of a server in a folder.
pub fn environment(folder: &Path, database: Option<&str>) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let sqlite = format!("sqlite://{}/onyx.db", folder.display());
    let listen = free_address();
    vec![
        pair("ONYX_DATABASE_URL", database.map_or(sqlite, str::to_owned)),
        pair("ONYX_KEYS_DIR", folder.join("keys").display().to_string()),
        pair("ONYX_BASE_URL", format!("http://{listen}")),
        pair("ONYX_LISTEN", listen),
        pair("ONYX_OPS_LISTEN", free_address()),
        pair("ONYX_LOG", "warn".to_owned()),
    ]
}

/// Fills a fresh database.
pub fn populate(env: &[(String, String)], size: usize) -> Population {
    populate_by(env, size, A_PARTNER)
}

/// The same with so many clients of each partner.
pub fn populate_by(env: &[(String, String)], size: usize, each: usize) -> Population {
    let given = Given {
        env: env.iter().cloned().collect(),
        ..Given::default()
    };
    let app = App::build(Settings::load(&given).unwrap(), Clock::system()).unwrap();
    let now = app.clock.now();
    let secret = PlainSecret::generate(Realm::Live).unwrap();
    let hash = app.master.hash_secret(secret.expose().as_bytes());
    let mut ids = Vec::with_capacity(size);
    while ids.len() < size {
        let count = each.min(size - ids.len());
        let made = app.store.alone(now, |db| {
            let act = app.act(Actor::host());
            let text = || "bench".to_owned();
            let new = NewPartner {
                name: text(),
                legal_name: text(),
                security_contact: text(),
            };
            let partner = partners::create(db, &act, new)?.id;
            partners::step(db, &act, &partner, PartnerStep::Approve, None)?;
            for scope in ScopeSet::of(&SCOPES).iter() {
                let new = NewGrant {
                    realm: Realm::Sandbox,
                    scope: scope.clone(),
                    resource: None,
                    purpose: text(),
                    lawful_basis: None,
                    data_classes: Vec::new(),
                    retention_days: 1,
                    expires_at: now.plus(Duration::from_secs(24 * 3600)),
                };
                grants::request(db, &act, &partner, new)?;
            }
            for realm in [Realm::Sandbox, Realm::Live] {
                limits::set(db, &act, &partner, unheld(realm))?;
            }
            let client = Client {
                id: ClientId::generate(Realm::Sandbox, now),
                realm: Realm::Sandbox,
                kind: ClientKind::Partner,
                partner_id: Some(partner.clone()),
                resource_server_id: None,
                name: text(),
                state: ClientState::Active,
                scopes: ScopeSet::of(&SCOPES),
                default_scopes: None,
                token_ttl: None,
                expires_at: None,
                created_by: text(),
                created_at: now,
                updated_at: now,
                ip_allowlist: None,
                self_rotation: None,
            };
            clients::insert(db, &client)?;
            let credential = Credential {
                id: CredentialId::generate(now),
                client_id: client.id.clone(),
                kind: CredentialKind::Secret,
                secret_hash: hash.clone(),
                pepper_version: 1,
                hint: secret.hint(),
                state: CredentialState::Active,
                expires_at: None,
                accepts_until: None,
                created_by: text(),
                created_at: now,
                revoked_at: None,
                revoked_by: None,
                revoked_reason: None,
                revoked_note: None,
                replaced_by: None,
                first_used_at: None,
                last_used_at: None,
                use_count: 0,
                last_used_ip: None,
            };
            credentials::insert(db, &credential)?;
            let made = copies(db, client.id.as_str(), credential.id.as_str(), count);
            let made = made.map_err(StoreError::from)?;
            Ok::<_, AdminError>(made)
        });
        ids.extend(made.unwrap());
    }
    app.close();
    Population {
        ids,
        secret: secret.expose().to_owned(),
    }
}

/// Copies a client and its credential until there are so many, under ids that end in their number; answers
/// all clients' ids. By the database itself: a million clients with statements of their own take too long to wait for.
fn copies(db: &mut Db, client: &str, credential: &str, count: usize) -> QueryResult<Vec<String>> {
    /// Of the number at an id's end; it is taken from a million and itself, which both engines print alike.
    const DIGITS: usize = 6;
    let head = |id: &str| id[..id.len() - DIGITS].to_owned();
    let numbered = |id: &str| format!("'{}' || SUBSTR(CAST(1000000 + n.i AS TEXT), 2)", head(id));
    let (client_id, credential_id) = (numbered(client), numbered(credential));
    let statements = [
        format!(
            "INSERT INTO clients (id, realm, kind, partner_id, name, state, scopes, created_by, created_at, \
             updated_at) \
             SELECT {client_id}, realm, kind, partner_id, name, state, scopes, created_by, created_at, updated_at \
             FROM n CROSS JOIN clients WHERE clients.id = '{client}'"
        ),
        format!(
            "INSERT INTO credentials (id, client_id, kind, secret_hash, pepper_version, hint, state, created_by, \
             created_at) \
             SELECT {credential_id}, {client_id}, kind, secret_hash, pepper_version, hint, state, created_by, \
             created_at FROM n CROSS JOIN credentials WHERE credentials.id = '{credential}'"
        ),
    ];
    if count > 1 {
        for statement in statements {
            diesel::sql_query(format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) {statement}"
            ))
            .execute(db)?;
        }
    }
    let copied = (1..count).map(|nth| format!("{}{nth:0DIGITS$}", head(client)));
    Ok(std::iter::once(client.to_owned()).chain(copied).collect())
}

/// Limits that no benchmark meets; they are charged like any others.
fn unheld(realm: Realm) -> limits::Wanted {
    limits::Wanted {
        realm,
        mode: Mode::Enforce,
        plan_id: None,
        figures: Some(Figures {
            requests_per_minute: Rate::HIGHEST,
            burst: Rate::HIGHEST,
            tokens_per_minute: Rate::HIGHEST,
            ..Figures::default()
        }),
        ends_at: None,
    }
}

/// A running server; stopped when dropped.
pub struct Server {
    child: Child,
    pub address: String,
    /// From the start of the process to the first answer that it is ready.
    pub ready_after: Duration,
}

impl Server {
    pub fn start(env: &[(String, String)]) -> Self {
        let value = |name: &str| {
            env.iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
                .unwrap()
        };
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_onyx-auth"))
            .arg("serve")
            .env_clear()
            .envs(env.iter().cloned())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let ops = value("ONYX_OPS_LISTEN");
        while !is_ready(&ops) {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "the server did not start"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Self {
            child,
            address: value("ONYX_LISTEN"),
            ready_after: started.elapsed(),
        }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in MiB.
    pub fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: f64 = line
            .and_then(|l| l.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(0.0);
        kib / 1024.0
    }
}

impl Drop for Server {
    /// Asked first: a build that counts what runs, for one that is made by it, writes its counts as it ends.
    fn drop(&mut self) {
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let until = Instant::now() + Duration::from_secs(10);
        while asked.is_ok() && matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

/// Whether the ops listener says ready.
fn is_ready(ops: &str) -> bool {
    exchange(
        ops,
        b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n",
    )
    .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// One request on a connection of its own.
fn exchange(address: &str, request: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
