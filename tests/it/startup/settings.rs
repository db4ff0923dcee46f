//! What a server is told, and what it says of it.

use std::os::unix::ffi::OsStrExt;

use super::told;
use crate::support::assert_snapshot;
use crate::support::world::{Engine, World};

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
        onyx-auth: tls_key: must be set together with tls_cert
        onyx-auth: ONYX_BASE_URL: must be https, since its host is not loopback
        onyx-auth: ONYX_DATABASE_URL: must start with sqlite:// or postgres://
        onyx-auth: ONYX_SIGNING_ALG: must be one of ES256, RS256, PS256, EdDSA
        onyx-auth: ONYX_TOKEN_TTL: must be a number from 60 to 900
        onyx-auth: log_format in onyx.toml: must be text or json
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
        ("ONYX_LOG", "onyx_auth=debug,warning"),
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
    assert_snapshot!(lines.join("\n").replace("exit 2\nonyx-auth: ", ""), @r#"
    ONYX_LOG: must be a log filter such as info or onyx_auth=debug (error parsing logger filter: invalid logging spec 'loud')
    ONYX_LOG: "warning" is no level: there are off, error, warn, info, debug, trace; a crate is named with its own, as in onyx_auth=debug
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
    "#);
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
fn the_public_origin_follows_the_listener() {
    let world = World::prepare(Engine::Sqlite, &[]);
    let origin = |settings: &[(&str, &str)]| {
        let mut command = world.command(&["config"]);
        command
            .env_remove("ONYX_BASE_URL")
            .envs(settings.iter().copied());
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let line = told.lines().find(|line| line.starts_with("base_url"));
        line.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
            .to_owned()
    };
    let everywhere = ("ONYX_LISTEN", "0.0.0.0:9000");
    let told = [
        origin(&[("ONYX_LISTEN", "127.0.0.1:9000")]),
        origin(&[everywhere]),
        origin(&[
            everywhere,
            ("ONYX_TLS_CERT", "a.crt"),
            ("ONYX_TLS_KEY", "a.key"),
        ]),
    ];
    assert_snapshot!(told.join("\n"), @r#"
    base_url = "http://127.0.0.1:9000"
    base_url = "http://127.0.0.1:9000"
    base_url = "https://127.0.0.1:9000"
    "#);
}
