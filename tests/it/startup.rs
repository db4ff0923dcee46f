//! A server starts, or says in one line why it does not, and ends when it is told to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;

use crate::support::assert_snapshot;
use crate::support::world::{Engine, World, free_address, worlds};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// `exit 2` and what was said, with the world's own addresses and folder taken out.
fn told(world: &World, output: &Output) -> String {
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let said = said
        .replace(world.setting("ONYX_LISTEN"), "LISTEN")
        .replace(world.setting("ONYX_OPS_LISTEN"), "OPS_LISTEN")
        .replace(world.path().to_str().unwrap(), "FOLDER");
    format!(
        "exit {}\n{}",
        output.status.code().unwrap(),
        said.trim_end()
    )
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Runs `openssl` in a world's folder.
fn openssl(world: &World, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(world.path())
        .output()
        .expect("openssl: install the package openssl");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn all_problems_of_the_configuration_are_told_at_once() {
    let world = World::prepare(
        Engine::Sqlite,
        &[
            ("ONYX_TOKEN_TTL", "5"),
            ("ONYX_SIGNING_ALG", "HS256"),
            ("ONYX_LISTN", "127.0.0.1:1"),
            ("ONYX_BASE_URL", "http://auth.example.com"),
            ("ONYX_DATABASE_URL", "mysql://u:hunter2@db/onyx"),
            ("ONYX_TLS_CERT", "cert.pem"),
        ],
    );
    std::fs::write(
        world.path().join("onyx.toml"),
        "log_format = \"xml\"\ntoken_tll = 60\n",
    )
    .unwrap();
    for command in ["serve", "migrate", "config", "quickstart"] {
        assert_snapshot!(told(&world, &world.run(&[command])), @"
        exit 2
        onyx-auth: token_tll in onyx.toml: unknown setting; did you mean token_ttl?
        onyx-auth: ONYX_LISTN: unknown setting; did you mean ONYX_LISTEN?
        onyx-auth: ONYX_BASE_URL: must be https, since its host is not loopback
        onyx-auth: ONYX_DATABASE_URL: must start with sqlite:// or postgres://
        onyx-auth: ONYX_SIGNING_ALG: must be one of ES256, RS256, PS256, EdDSA
        onyx-auth: ONYX_TOKEN_TTL: must be a number from 60 to 900
        onyx-auth: log_format in onyx.toml: must be text or json
        onyx-auth: tls_key: must be set together with tls_cert
        ");
    }
    assert!(!world.path().join("data").exists() && !world.path().join("keys").exists());
}

#[test]
fn one_wrong_setting_is_one_line() {
    let world = World::prepare(Engine::Sqlite, &[]);
    let mut lines = Vec::new();
    for (name, value) in [
        ("ONYX_LOG", "onyx=loud"),
        ("ONYX_ROLES", "auth,cook"),
        ("ONYX_LISTEN", "localhost"),
        ("ONYX_MAX_STALENESS", "0"),
        ("ONYX_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("ONYX_SANDBOX_AUTO_APPROVE", "perhaps"),
        ("ONYX_TLS_CLIENT_CA", "ca.pem"),
        ("ONYX_NONSENSE", "1"),
        ("ONYX_DATABASE_URL", "onyx.db"),
    ] {
        let output = world.command(&["serve"]).env(name, value).output().unwrap();
        lines.push(told(&world, &output));
    }
    let flag = world.run(&["serve", "--token-ttl", "901"]);
    lines.push(told(&world, &flag));
    let file = world.run(&["serve", "--config", "nowhere.toml"]);
    lines.push(told(&world, &file));
    assert_snapshot!(lines.join("\n").replace("exit 2\nonyx-auth: ", ""), @"
    ONYX_LOG: must be a log filter such as info or onyx_auth=debug (error parsing logger filter: invalid logging spec 'loud')
    ONYX_ROLES: must be a list of auth, admin, api, worker
    ONYX_LISTEN: must be an address like 127.0.0.1:8080
    ONYX_MAX_STALENESS: must be a number from 1 to 3600
    ONYX_TRUSTED_PROXIES: must be a list of networks like 10.0.0.0/8
    ONYX_SANDBOX_AUTO_APPROVE: must be true or false
    ONYX_TLS_CLIENT_CA: client certificates are not supported by this version
    ONYX_NONSENSE: unknown setting; `onyx-auth config` lists all
    ONYX_DATABASE_URL: must start with sqlite:// or postgres://
    --token-ttl: must be a number from 60 to 900
    nowhere.toml: cannot be read: No such file or directory (os error 2)
    ");
}

#[test]
fn a_variable_that_is_no_text_matters_only_if_it_is_a_setting() {
    let world = World::prepare(Engine::Sqlite, &[]);
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let other = world.command(&["config"]).env("OTHER", bytes).output();
    assert!(other.unwrap().status.success());
    let ours = world
        .command(&["config"])
        .env("ONYX_KEYS_DIR", bytes)
        .output();
    assert_snapshot!(told(&world, &ours.unwrap()), @"
    exit 2
    onyx-auth: ONYX_KEYS_DIR: must be UTF-8
    ");
}

/// Where the feature is missing, the same command says so.
#[cfg(not(feature = "postgres"))]
#[test]
fn a_build_without_postgresql_names_the_feature() {
    let world = World::prepare(
        Engine::Sqlite,
        &[("ONYX_DATABASE_URL", "postgres://u:hunter2@db/onyx")],
    );
    for command in ["serve", "migrate", "config"] {
        assert_snapshot!(told(&world, &world.run(&[command])), @"
        exit 2
        onyx-auth: ONYX_DATABASE_URL: this build has no PostgreSQL; build with `--features postgres` (system libpq) or `--features postgres-bundled`
        ");
    }
}

#[test]
fn the_effective_settings_are_printed_with_the_password_masked() {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    let printed = world.cli(&["config", "--token-ttl", "60"]);
    let printed = printed
        .replace(world.setting("ONYX_LISTEN"), "LISTEN")
        .replace(world.setting("ONYX_OPS_LISTEN"), "OPS_LISTEN");
    assert_snapshot!(printed, @r#"
    listen = "LISTEN"
    ops_listen = "OPS_LISTEN"
    base_url = "http://LISTEN"
    database_url = "sqlite://data/onyx.db"
    keys_dir = "keys"
    master_key_file = "keys/master.key"
    signing_alg = "ES256"
    roles = "auth,admin,api,worker"
    log = "info"
    log_format = "text"
    database_connections = 8
    token_ttl = 60
    max_staleness = 5
    client_cache = 100000
    feed_listeners = 2000
    max_connections = 10000
    connections_per_address = 2000
    drain_delay = 1
    sandbox_auto_approve = true
    sandbox_secret_days = 365
    live_secret_days = 90
    unused_days = 90
    key_rotation_days = 90
    rate_limits = true
    request_log = true
    request_log_days = 90
    token_record_days = 1
    events_days = 30
    idempotency_days = 1
    audit_days = 400
    personal_days = 30
    webhook_allow_loopback = false
    "#);

    let json: serde_json::Value = serde_json::from_str(&world.cli(&["config", "--json"])).unwrap();
    assert_eq!(
        (&json["token_ttl"], &json["roles"]),
        (&300.into(), &"auth,admin,api,worker".into())
    );
    assert_eq!(world.cli(&["config", "--field", "token_ttl"]), "300");

    // What was printed is itself a settings file.
    std::fs::write(world.path().join("again.toml"), world.cli(&["config"])).unwrap();
    assert_eq!(
        world.cli(&["config", "--config", "again.toml"]),
        world.cli(&["config"])
    );

    for url in [
        "postgres://onyx:hunter2@db/onyx?sslmode=require",
        "postgresql://onyx@db/onyx?password=hunter2",
        "postgres://onyx:100%25hunter2@db/onyx",
        "postgres://onyx:hunter2@/onyx?host=/run",
    ] {
        world.set("ONYX_DATABASE_URL", url);
        let output = world.run(&["config"]);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(
            !String::from_utf8(output.stderr)
                .unwrap()
                .contains("hunter2")
        );
    }
}

#[test]
fn an_address_that_is_taken_is_told_with_its_key() {
    for (variable, key) in [
        ("ONYX_LISTEN", "listen"),
        ("ONYX_ADMIN_LISTEN", "admin_listen"),
        ("ONYX_OPS_LISTEN", "ops_listen"),
    ] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let world = World::prepare(Engine::Sqlite, &[(variable, &address)]);
        let output = world.run(&["serve"]);
        assert_eq!(
            told(&world, &output)
                .replace(&address, "LISTEN")
                .replace("OPS_LISTEN", "LISTEN"),
            format!(
                "exit 2\nonyx-auth: {key}: cannot listen on LISTEN: Address already in use (os error 98)"
            )
        );
        assert!(!world.path().join("data").exists() && !world.path().join("keys").exists());
    }
}

#[test]
fn a_database_that_does_not_answer_is_told_with_its_key() {
    let nobody = free_address();
    let world = World::prepare(
        Engine::Sqlite,
        &[(
            "ONYX_DATABASE_URL",
            &format!("postgres://onyx:hunter2@{nobody}/onyx"),
        )],
    );
    let output = world.run(&["migrate"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said
        .lines()
        .rfind(|line| line.starts_with("onyx-auth: database_url: cannot connect"));
    assert!(last.is_some() && !said.contains("hunter2"), "{said}");

    let world = World::prepare(
        Engine::Sqlite,
        &[("ONYX_DATABASE_URL", "sqlite://keys.txt/onyx.db")],
    );
    std::fs::write(world.path().join("keys.txt"), "a file, no folder").unwrap();
    let said = told(&world, &world.run(&["serve"]));
    assert!(
        said.starts_with("exit 2\nonyx-auth: database_url: cannot create keys.txt/onyx.db: "),
        "{said}"
    );
}

#[cfg(feature = "postgres")]
#[test]
fn a_database_password_that_is_not_percent_encoded_is_not_repeated() {
    for password in ["100%hunter2", "hunter2%", "%00hunter2", "%zzhunter2"] {
        let url = format!("postgres://onyx:{password}@127.0.0.1:1/onyx");
        let world = World::prepare(Engine::Sqlite, &[("ONYX_DATABASE_URL", &url)]);
        assert_snapshot!(told(&world, &world.run(&["migrate"])), @"
        exit 2
        onyx-auth: ONYX_DATABASE_URL: must have each % of a name or password written as %25
        ");
    }
}

#[actix_web::test]
async fn a_first_start_makes_what_it_needs_for_its_owner_alone() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        world.start().await;
        let master = world.path().join("keys/master.key");
        assert_eq!(
            (mode(&master), mode(&world.path().join("keys"))),
            (0o600, 0o700)
        );
        if engine == Engine::Sqlite {
            assert_eq!(mode(&world.path().join("data/onyx.db")), 0o600);
            assert_eq!(mode(&world.path().join("data/onyx.db-wal")), 0o600);
        }
        let answer = world.http.get(format!("{}/readyz", world.ops)).send().await;
        let ready: serde_json::Value = answer.unwrap().json().await.unwrap();
        assert_eq!(
            (&ready["ready"], &ready["reasons"]),
            (&json!(true), &json!([]))
        );
        for (nth, name) in ["news", "database", "journal"].iter().enumerate() {
            let check = &ready["checks"][nth];
            assert_eq!(
                (&check["name"], &check["state"]),
                (&json!(name), &json!("ok"))
            );
        }
        let answer = world
            .http
            .get(format!("{}/healthz", world.ops))
            .send()
            .await;
        assert_eq!(answer.unwrap().text().await.unwrap(), "ok\n");
        assert_eq!(world.get("/readyz", None).await.status, 404);
    }
}

/// The kids of a server's three realms.
async fn kids(http: &reqwest::Client, base: &str) -> Vec<String> {
    let mut kids = Vec::new();
    for realm in ["sandbox", "live", "admin"] {
        let answer = http.get(format!("{base}/{realm}/oauth2/jwks")).send().await;
        let jwks: serde_json::Value = answer.unwrap().json().await.unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        kids.extend(
            keys.iter()
                .map(|key| key["kid"].as_str().unwrap().to_owned()),
        );
    }
    kids
}

#[actix_web::test]
async fn a_second_start_finds_the_keys_of_the_first() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        world.start().await;
        let first = kids(&world.http, &world.base).await;
        assert_eq!(first.len(), 3);
        assert_eq!(world.terminate(), Some(0));
        world.start().await;
        assert_eq!(kids(&world.http, &world.base).await, first);
    }
}

#[actix_web::test]
async fn servers_that_start_at_once_on_a_fresh_database_share_its_keys() {
    for engine in ENGINES {
        let world = World::prepare(engine, &[]);
        let started: Vec<_> = (0..4)
            .map(|nth| {
                let (listen, ops) = (free_address(), free_address());
                let log = std::fs::File::create(world.path().join(format!("{nth}.log"))).unwrap();
                let server = world
                    .command(&["serve"])
                    .env("ONYX_LISTEN", &listen)
                    .env("ONYX_OPS_LISTEN", &ops)
                    .stderr(log)
                    .spawn()
                    .unwrap();
                (server, format!("http://{listen}"), format!("http://{ops}"))
            })
            .collect();
        let mut seen = Vec::new();
        for (nth, (mut server, base, ops)) in started.into_iter().enumerate() {
            let log = || std::fs::read_to_string(world.path().join(format!("{nth}.log"))).unwrap();
            loop {
                let ready = world.http.get(format!("{ops}/readyz")).send().await;
                if ready.is_ok_and(|ready| ready.status().is_success()) {
                    break;
                }
                assert!(
                    server.try_wait().unwrap().is_none(),
                    "{engine:?}: {}",
                    log()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            seen.push(kids(&world.http, &base).await);
            server.kill().unwrap();
            server.wait().unwrap();
        }
        assert_eq!(seen[0].len(), 3);
        assert!(seen.iter().all(|kids| *kids == seen[0]), "{engine:?}");
        let migrations = world.lines("SELECT version AS line FROM __diesel_schema_migrations");
        let mut once = migrations.clone();
        once.dedup();
        assert_eq!(migrations, once);
    }
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    for engine in ENGINES {
        let world = World::prepare(engine, &[]);
        world.cli(&["migrate"]);
        world.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231235959')");
        for command in ["serve", "migrate"] {
            assert_snapshot!(told(&world, &world.run(&[command])), @"
            exit 2
            onyx-auth: the database has migration 99991231235959, which this program does not know: run a newer onyx-auth
            ");
        }
        assert!(!world.path().join("keys").exists());
    }
}

/// A world whose database remembers its master key, and the key's text.
fn with_sealed_keys(engine: Engine) -> (World, String) {
    let world = World::prepare(engine, &[("ONYX_LOG", "error")]);
    world.cli(&["operator", "bootstrap"]);
    let key = std::fs::read_to_string(world.path().join("keys/master.key")).unwrap();
    (world, key)
}

#[actix_web::test]
async fn a_master_key_that_is_gone_is_not_made_anew() {
    for engine in ENGINES {
        let (mut world, key) = with_sealed_keys(engine);
        let sealed = "SELECT sealed_key AS line FROM signing_keys ORDER BY kid";
        let before = world.lines(sealed);
        assert_eq!(before.len(), 3);
        let file = world.path().join("keys/master.key");
        std::fs::remove_file(&file).unwrap();
        for command in [&["serve"][..], &["operator", "recover"]] {
            assert_snapshot!(told(&world, &world.run(command)), @"
            exit 2
            onyx-auth: master_key_file: keys/master.key does not exist, and the database holds keys sealed under it; put the file back from your backup (nothing was written)
            ");
        }
        assert!(!file.exists());
        assert_eq!(world.lines(sealed), before);

        // Put back, it serves as before.
        std::fs::write(&file, key).unwrap();
        set_mode(&file, 0o600);
        world.start().await;
        world.operator().await;
        assert_eq!(world.lines(sealed), before);
    }
}

#[test]
fn another_master_key_than_the_databases_is_refused() {
    for engine in ENGINES {
        let (world, key) = with_sealed_keys(engine);
        let file = world.path().join("keys/master.key");
        let other = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
        assert_ne!(key, other);
        std::fs::write(&file, other).unwrap();
        assert_snapshot!(told(&world, &world.run(&["serve"])), @"
        exit 2
        onyx-auth: master_key_file: keys/master.key is not the key that this database was made with; point master_key_file at the right one (nothing was written)
        ");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), other);

        // The right one elsewhere will do.
        std::fs::write(world.path().join("mine.key"), key).unwrap();
        set_mode(&world.path().join("mine.key"), 0o600);
        let found = world.run(&["operator", "recover", "--master-key-file", "mine.key"]);
        assert!(found.status.success());
    }
}

#[test]
fn a_garbled_master_key_is_refused_and_left_as_it_is() {
    for engine in ENGINES {
        let (world, _) = with_sealed_keys(engine);
        let fresh = World::prepare(engine, &[("ONYX_LOG", "error")]);
        std::fs::create_dir(fresh.path().join("keys")).unwrap();
        for world in [world, fresh] {
            let file = world.path().join("keys/master.key");
            for garbled in ["", "secret\n", "c2hvcnQ=\n"] {
                std::fs::write(&file, garbled).unwrap();
                set_mode(&file, 0o600);
                assert_snapshot!(told(&world, &world.run(&["serve"])), @"
                exit 2
                onyx-auth: master_key_file: keys/master.key must hold 32 bytes as base64 (make one with `openssl rand -base64 32`)
                ");
                assert_eq!(std::fs::read_to_string(&file).unwrap(), garbled);
            }
        }
    }
}

#[test]
fn a_master_key_that_cannot_be_read_is_told_and_left_as_it_is() {
    for engine in ENGINES {
        let (world, _) = with_sealed_keys(engine);
        let file = world.path().join("keys/master.key");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        set_mode(&file, 0o700);
        assert_snapshot!(told(&world, &world.run(&["serve"])), @"
        exit 2
        onyx-auth: master_key_file: keys/master.key: Is a directory (os error 21)
        ");
        assert!(file.is_dir());
    }
}

#[test]
fn a_master_key_that_others_can_read_is_refused() {
    for engine in ENGINES {
        let (world, key) = with_sealed_keys(engine);
        let file = world.path().join("keys/master.key");
        for (bits, shown) in [(0o640, "0640"), (0o604, "0604"), (0o620, "0620")] {
            set_mode(&file, bits);
            assert_eq!(
                told(&world, &world.run(&["serve"])),
                format!(
                    "exit 2\nonyx-auth: master_key_file: keys/master.key has mode {shown}: others than its owner can \
                     read it; run `chmod 600 keys/master.key`"
                )
            );
        }
        assert_eq!(mode(&file), 0o620);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
        set_mode(&file, 0o400);
        assert!(world.run(&["operator", "recover"]).status.success());
    }
}

#[actix_web::test]
async fn what_openssl_makes_is_a_master_key() {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    openssl(&world, &["rand", "-base64", "-out", "mine.key", "32"]);
    set_mode(&world.path().join("mine.key"), 0o600);
    world.set("ONYX_MASTER_KEY_FILE", "mine.key");
    world.start().await;
    assert!(!world.path().join("keys/master.key").exists());
}

#[actix_web::test]
async fn a_listener_of_its_own_takes_the_admin_realm_off_the_public_one() {
    for engine in ENGINES {
        let admin = free_address();
        let mut world = World::prepare(engine, &[("ONYX_ADMIN_LISTEN", &admin)]);
        world.cli(&["operator", "bootstrap"]);
        world.start().await;
        for path in [
            "/admin/v1/partners",
            "/admin/oauth2/jwks",
            "/.well-known/oauth-authorization-server/admin",
            "/admin/.well-known/openid-configuration",
        ] {
            assert_eq!(world.get(path, None).await.status, 404, "{path}");
        }
        let body = [("grant_type", "client_credentials")];
        assert_eq!(world.token_form("admin", &body).await.status, 404);
        world.get("/sandbox/oauth2/jwks", None).await.expect(200);

        let there = format!("http://{admin}");
        let get = async |path: &str| {
            let answer = world.http.get(format!("{there}{path}")).send().await;
            answer.unwrap().status().as_u16()
        };
        assert_eq!(get("/admin/oauth2/jwks").await, 200);
        assert_eq!(get("/admin/v1/partners").await, 401);
        assert_eq!(get("/sandbox/oauth2/jwks").await, 404);
        assert_eq!(get("/sandbox/v1/me").await, 404);
        assert_eq!(get("/readyz").await, 404);

        // The command line finds it by ONYX_SERVER.
        let mut list = world.command(&["partner", "list", "--json"]);
        let list = list.env("ONYX_SERVER", &there).output().unwrap();
        assert!(list.status.success(), "{list:?}");
        let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
        assert_eq!(list, json!({ "data": [], "next_cursor": null }));
    }
}

#[actix_web::test]
async fn a_process_serves_only_its_roles() {
    for (roles, jwks, me, partners) in [
        ("auth,admin,worker", 200, 404, 401),
        ("auth,api", 200, 401, 404),
        ("api", 404, 401, 404),
        ("admin", 404, 404, 401),
        ("worker", 404, 404, 404),
    ] {
        let mut world = World::prepare(Engine::Sqlite, &[("ONYX_ROLES", roles)]);
        world.start().await;
        let seen = (
            world.get("/sandbox/oauth2/jwks", None).await.status,
            world.get("/sandbox/v1/me", None).await.status,
            world.get("/admin/v1/partners", None).await.status,
        );
        assert_eq!(seen, (jwks, me, partners), "{roles}");
    }
}

#[actix_web::test]
async fn a_certificate_turns_the_public_listener_to_https() {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    openssl(
        &world,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "tls.key",
            "-out",
            "tls.crt",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
    let key = world.path().join("tls.key");
    set_mode(&key, 0o600);
    world.base = world.base.replace("http://", "https://");
    let base = world.base.clone();
    world.set("ONYX_BASE_URL", &base);
    world.set("ONYX_TLS_CERT", "tls.crt");
    world.set("ONYX_TLS_KEY", "tls.key");
    let certificate = std::fs::read(world.path().join("tls.crt")).unwrap();
    let certificate = reqwest::Certificate::from_pem(&certificate).unwrap();
    world.http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([certificate])
        .build()
        .unwrap();
    world.cli(&["operator", "bootstrap"]);
    world.start().await;

    let who = world.sandbox_client(&["orders:read"]).await;
    let token = world.token("sandbox", &who, &[]).await;
    world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
    let metadata = world
        .get("/.well-known/oauth-authorization-server/sandbox", None)
        .await
        .expect(200);
    assert_eq!(metadata["issuer"], format!("{base}/sandbox"));

    // Who does not know the certificate, or speaks plain HTTP, gets nowhere.
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    let jwks = format!("{base}/sandbox/oauth2/jwks");
    assert!(stranger.get(&jwks).send().await.is_err());
    let plain = jwks.replace("https://", "http://");
    assert!(stranger.get(&plain).send().await.is_err());
    assert_eq!(world.terminate(), Some(0));

    // The key's file is its owner's, and it is the certificate's key.
    set_mode(&key, 0o644);
    assert_snapshot!(told(&world, &world.run(&["serve"])), @"
    exit 2
    onyx-auth: tls_key: tls.key has mode 0644: others than its owner can read it; run `chmod 600 tls.key`
    ");
    openssl(
        &world,
        &["genpkey", "-algorithm", "ED25519", "-out", "other.key"],
    );
    set_mode(&world.path().join("other.key"), 0o600);
    for (variable, file, key) in [
        ("ONYX_TLS_KEY", "other.key", "tls_key"),
        ("ONYX_TLS_KEY", "nowhere.key", "tls_key"),
        ("ONYX_TLS_CERT", "other.key", "tls_cert"),
        ("ONYX_TLS_CERT", "nowhere.crt", "tls_cert"),
    ] {
        set_mode(&world.path().join("tls.key"), 0o600);
        let output = world
            .command(&["serve"])
            .env(variable, file)
            .output()
            .unwrap();
        let said = told(&world, &output);
        assert!(
            said.starts_with(&format!("exit 2\nonyx-auth: {key}: ")) && said.lines().count() == 2,
            "{said}"
        );
    }
}

#[actix_web::test]
async fn a_server_that_is_told_to_stop_finishes_the_request_under_way() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let body = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            who.client_id, who.secret
        );
        let (first, rest) = body.split_at(30);
        let mut socket = TcpStream::connect(world.setting("ONYX_LISTEN")).unwrap();
        write!(
            socket,
            "POST /sandbox/oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        )
        .unwrap();
        // The server has the request in hand once it asks for the body.
        let mut go_on = [0; 25];
        socket.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        socket.write_all(first.as_bytes()).unwrap();

        world.signal("TERM");
        while !world.log().contains("stopping") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        socket.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("access_token"));
        assert_eq!(world.ended(), Some(0));
        assert!(TcpStream::connect(world.setting("ONYX_LISTEN")).is_err());
    }
}

#[actix_web::test]
async fn an_interrupt_ends_a_server_too() {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    world.start().await;
    world.signal("INT");
    assert_eq!(world.ended(), Some(0));
}
