//! `onyx-auth quickstart`: from nothing to a token at work.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Engine, PARTNER_SCOPES, World, claims};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// A run that ends after its steps; what it showed.
fn shown(world: &World) -> Value {
    let output = world.run(&["quickstart", "--exit", "--json"]);
    let prose = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{prose}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "one object on one line");
    serde_json::from_str(&text).unwrap()
}

fn file(world: &World, name: &str) -> Value {
    let path = world.path().join(name);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600, "{name}");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_script_is_told_the_one_value_that_it_asks_for() {
    for engine in ENGINES {
        let world = World::prepare(engine, &[]);
        // Before anything is made.
        let misspelt = world.run(&["quickstart", "--exit", "--field", "client"]);
        assert_eq!(misspelt.status.code(), Some(2));
        assert!(!world.path().join("data/demo.json").exists());
        let id = world.cli(&["quickstart", "--exit", "--field", "client_id"]);
        assert_eq!(file(&world, "data/demo.json")["client_id"], id);
        assert!(id.starts_with("cl_sbx_"), "{id}");

        // Where the operator's file is there already, another takes what is recovered.
        let recovered = world.cli(&["operator", "recover", "--field", "credential_file"]);
        assert_eq!(recovered, "data/operator-recovered.json");
        let again = world.run(&["operator", "recover"]);
        assert_eq!(again.status.code(), Some(1));
    }
}

#[test]
fn a_first_run_makes_all_and_shows_it_in_one_object() {
    for engine in ENGINES {
        let world = World::prepare(engine, &[]);
        let demo = shown(&world);
        let members: Vec<_> = demo.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            [
                "access_token",
                "base_url",
                "client_id",
                "client_secret",
                "partner_id"
            ]
        );
        assert_eq!(demo["base_url"], world.base);
        let claims = claims(demo["access_token"].as_str().unwrap());
        assert_eq!(
            (
                &claims["iss"],
                &claims["client_id"],
                &claims["partner_id"],
                &claims["env"]
            ),
            (
                &json!(format!("{}/sandbox", world.base)),
                &demo["client_id"],
                &demo["partner_id"],
                &json!("sandbox")
            )
        );
        assert_eq!(claims["scope"], PARTNER_SCOPES.join(" "));
        assert_eq!(
            file(&world, "data/demo.json"),
            json!({ "server": world.base, "client_id": demo["client_id"], "client_secret": demo["client_secret"] })
        );
        let operator = file(&world, "data/operator.json");
        assert!(
            operator["client_id"]
                .as_str()
                .unwrap()
                .starts_with("cl_adm_")
        );
        let members: Vec<_> = operator.as_object().unwrap().keys().collect();
        assert_eq!(members, ["client_id", "client_secret", "server"]);
        assert!(world.path().join("keys/master.key").exists());
    }
}

#[actix_web::test]
async fn a_second_run_reuses_what_the_first_made() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        let (first, operator) = (shown(&world), file(&world, "data/operator.json"));
        let second = shown(&world);
        for member in ["partner_id", "client_id", "client_secret"] {
            assert_eq!(first[member], second[member]);
        }
        assert_ne!(first["access_token"], second["access_token"]);
        assert_eq!(file(&world, "data/operator.json"), operator);
        world.start().await;
        assert_eq!(
            world.cli(&["partner", "list", "--field", "id"]),
            first["partner_id"].as_str().unwrap()
        );
        assert_eq!(
            world
                .cli(&["operator", "list", "--field", "id"])
                .lines()
                .count(),
            1
        );
        let grants = world.cli(&[
            "grant",
            "list",
            "--partner",
            first["partner_id"].as_str().unwrap(),
            "--field",
            "decided_by",
        ]);
        assert_eq!(grants, ["policy"; 8].join("\n"));
    }
}

#[actix_web::test]
async fn a_revoked_demo_credential_is_replaced_by_the_next_run() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        let first = shown(&world);
        let client = first["client_id"].as_str().unwrap().to_owned();
        world.start().await;
        let credential = world.cli(&["credential", "list", "--client", &client, "--field", "id"]);
        world.cli(&["credential", "revoke", &credential, "--yes"]);
        assert_eq!(world.run(&["token", "request"]).status.code(), Some(1));
        assert_eq!(world.terminate(), Some(0));

        let second = shown(&world);
        assert_eq!(
            (&first["partner_id"], &first["client_id"]),
            (&second["partner_id"], &second["client_id"])
        );
        assert_ne!(first["client_secret"], second["client_secret"]);
        assert_eq!(
            file(&world, "data/demo.json")["client_secret"],
            second["client_secret"]
        );
        world.start().await;
        world.cli(&["token", "request"]);
        world.cli(&["partner", "list"]);
    }
}

#[actix_web::test]
async fn lost_credential_files_are_made_anew() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        let first = shown(&world);
        for _ in 0..3 {
            std::fs::remove_file(world.path().join("data/demo.json")).unwrap();
            std::fs::remove_file(world.path().join("data/operator.json")).unwrap();
            let again = shown(&world);
            assert_eq!(first["client_id"], again["client_id"]);
        }
        world.start().await;
        world.cli(&["token", "request"]);
        let usable = world.cli(&[
            "credential",
            "list",
            "--client",
            first["client_id"].as_str().unwrap(),
            "--field",
            "usable",
        ]);
        assert_eq!(usable, "false\nfalse\nfalse\ntrue");
    }
}

#[actix_web::test]
async fn a_database_with_partners_of_others_is_refused() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        world.cli(&["operator", "bootstrap"]);
        world.start().await;
        world.operator().await.partner().await;
        world.kill();
        let output = world.run(&["quickstart", "--exit", "--json"]);
        assert!(output.stdout.is_empty());
        assert_eq!(output.status.code(), Some(1));
        assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"onyx-auth: this database holds partners that quickstart did not make; use `onyx-auth serve`");
        assert!(!world.path().join("data/demo.json").exists());

        // Nor does a demo that others have joined go on.
        let mut world = World::prepare(engine, &[]);
        shown(&world);
        world.start().await;
        world.operator().await.partner().await;
        world.kill();
        assert_eq!(world.run(&["quickstart", "--exit"]).status.code(), Some(1));
    }
}

#[test]
fn the_ports_are_bound_before_anything_is_made() {
    for (variable, key) in [("ONYX_LISTEN", "listen"), ("ONYX_OPS_LISTEN", "ops_listen")] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let mut world = World::prepare(Engine::Sqlite, &[]);
        world.set(variable, &address);
        let output = world.run(&["quickstart", "--exit"]);
        assert_eq!(
            (
                output.status.code(),
                String::from_utf8(output.stderr).unwrap()
            ),
            (
                Some(2),
                format!(
                    "onyx-auth: {key}: cannot listen on {address}: Address already in use (os error 98)\n"
                )
            )
        );
        assert!(output.stdout.is_empty());
        assert!(!world.path().join("data").exists() && !world.path().join("keys").exists());
    }
}

#[test]
fn it_is_for_this_machine_only() {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    world.set("ONYX_BASE_URL", "https://auth.example.com");
    let output = world.run(&["quickstart", "--exit"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .starts_with("onyx-auth: base_url: quickstart is for trying out")
    );
    assert!(!world.path().join("data").exists());
}

#[test]
fn a_run_whose_steps_fail_does_not_end_with_0() {
    let world = World::prepare(Engine::Sqlite, &[("ONYX_ROLES", "auth,admin")]);
    let output = world.run(&["quickstart", "--exit", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("onyx-auth: GET /sandbox/v1/me answered 404")
    );
}

#[actix_web::test]
async fn it_stays_up_until_it_is_interrupted() {
    for engine in ENGINES {
        for signal in ["INT", "TERM"] {
            let world = World::prepare(engine, &[]);
            let mut command = world.command(&["quickstart", "--json"]);
            let mut running = command
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let mut stdout = BufReader::new(running.stdout.take().unwrap());
            stdout.read_line(&mut line).unwrap();
            let demo: Value = serde_json::from_str(&line).unwrap();
            let token = demo["access_token"].as_str().unwrap();
            let me = world.get("/sandbox/v1/me", Some(token)).await.expect(200);
            assert_eq!(me["client"]["id"], demo["client_id"]);
            world.cli(&["partner", "list"]);
            assert!(running.try_wait().unwrap().is_none());
            let sent = Command::new("kill")
                .args(["-s", signal, &running.id().to_string()])
                .status();
            assert!(sent.unwrap().success());
            assert_eq!(running.wait().unwrap().code(), Some(0));
        }
    }
}

#[actix_web::test]
async fn the_curl_lines_that_it_prints_repeat_its_steps() {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    let output = world.run(&["quickstart", "--exit"]);
    assert!(output.status.success());
    let prose = String::from_utf8(output.stdout).unwrap();
    let script: Vec<&str> = prose
        .lines()
        .map(str::trim)
        .filter(|line| {
            line.starts_with("TOKEN=") || line.starts_with("curl") || line.starts_with("http")
        })
        .collect();
    assert_eq!(script.len(), 3, "{prose}");
    let demo = file(&world, "data/demo.json");
    assert!(prose.contains(demo["client_secret"].as_str().unwrap()));
    world.start().await;
    let repeated = Command::new("sh")
        .args(["-c", &script.join("\n")])
        .output()
        .unwrap();
    let me: Value = serde_json::from_slice(&repeated.stdout)
        .unwrap_or_else(|_| panic!("curl: install the package curl\n{repeated:?}"));
    assert_eq!(me["client"]["id"], demo["client_id"]);
}
