//! What is printed, and in which form.

use serde_json::{Value, json};

use super::{ended, refused};
use crate::support::assert_snapshot;
use crate::support::https;
use crate::support::world::{Engine, World, worlds};

#[actix_web::test]
async fn data_is_a_table_or_json_or_one_value() {
    for world in worlds().await {
        let partner = world.operator().await.partner().await;
        let table = world.cli(&["partner", "list"]);
        let mut lines = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(lines.next().unwrap(), ["ID", "STATE", "NAME", "CREATED_AT"]);
        assert_eq!(
            lines.next().unwrap()[..3],
            [partner.as_str(), "approved", "Acme"]
        );
        assert!(lines.next().is_none());

        let list: Value = serde_json::from_str(&world.cli(&["partner", "list", "--json"])).unwrap();
        assert_eq!(list["data"][0]["id"], partner);
        let shown: Value =
            serde_json::from_str(&world.cli(&["--json", "partner", "show", &partner])).unwrap();
        assert_eq!(shown, list["data"][0]);
        assert_eq!(
            world.cli(&["partner", "list", "--field", "legal_name"]),
            "Acme Ltd"
        );
        let row = world.cli(&["partner", "show", &partner]);
        assert!(
            row.lines()
                .any(|line| line.split_whitespace().eq(["legal_name", "Acme", "Ltd"])),
            "{row}"
        );

        let unknown = world.run(&["partner", "show", &partner, "--field", "colour"]);
        assert_snapshot!(refused(&unknown), @"
        exit 2
        onyx-auth: --field colour: no such field; there are created_at, created_by, id, leaked_secret_grace, legal_name, name, security_contact, state, updated_at
        ");
        // What was done is not to be done again.
        let made = [
            "partner",
            "create",
            "--name",
            "Zed",
            "--security-contact",
            "a@zed.example",
        ];
        let done = world.run(&[&made[..], &["--field", "colour"]].concat());
        assert_snapshot!(refused(&done), @"
        exit 1
        onyx-auth: what was asked for is done, but cannot be shown: --field colour: no such field; there are created_at, created_by, id, leaked_secret_grace, legal_name, name, security_contact, state, updated_at
        ");
        let both = world.run(&["partner", "list", "--json", "--field", "id"]);
        assert_eq!(both.status.code(), Some(2));
        assert!(both.stdout.is_empty());
    }
}

#[actix_web::test]
async fn a_long_list_says_how_to_go_on() {
    for world in worlds().await {
        let operator = world.operator().await;
        let mut made = [operator.partner().await, operator.partner().await];
        made.sort();
        let first = world.run(&["partner", "list", "--limit", "1", "--field", "id"]);
        assert_eq!(String::from_utf8_lossy(&first.stdout).trim(), made[0]);
        let table = world.run(&["partner", "list", "--limit", "1"]);
        let (code, prose) = ended(&table);
        let cursor = prose
            .trim()
            .strip_prefix("There are more: --cursor ")
            .unwrap();
        assert_eq!(code, 0);
        let second = world.run(&["partner", "list", "--limit", "1", "--cursor", cursor]);
        assert!(String::from_utf8_lossy(&second.stdout).contains(&made[1]));
        assert!(second.stderr.is_empty());
    }
}

#[actix_web::test]
async fn every_noun_lists_and_shows() {
    for world in worlds().await {
        let second = world.cli(&[
            "operator",
            "create",
            "--name",
            "second",
            "--scope",
            "partners:read",
            "--field",
            "id",
        ]);
        assert_eq!(
            world.cli(&["operator", "show", &second, "--field", "scopes"]),
            "partners:read"
        );
        assert_eq!(
            world
                .cli(&["operator", "list", "--field", "id"])
                .lines()
                .count(),
            2
        );

        let server = world.cli(&[
            "resource-server",
            "create",
            "--realm",
            "live",
            "--identifier",
            "https://orders.example",
            "--name",
            "Orders",
            "--scope",
            "read",
            "--signing-alg",
            "EdDSA",
            "--field",
            "id",
        ]);
        assert_eq!(
            world.cli(&["resource-server", "show", &server, "--field", "signing_alg"]),
            "EdDSA"
        );
        assert_eq!(
            world.cli(&["resource-server", "list", "--field", "identifier"]),
            "https://orders.example"
        );
        let own = world.cli(&["resource-server", "show", &server, "--field", "client_id"]);
        assert_eq!(
            world.cli(&["client", "show", &own, "--field", "kind"]),
            "resource_server"
        );
        assert_eq!(
            world.cli(&["client", "list", "--realm", "live", "--field", "id"]),
            own
        );

        assert_eq!(
            world
                .cli(&["key", "list", "--field", "kid"])
                .lines()
                .count(),
            4
        );
        let rotated = world.cli(&[
            "key", "rotate", "--realm", "live", "--alg", "EdDSA", "--field", "kid",
        ]);
        assert!(
            world
                .cli(&["key", "list", "--field", "kid"])
                .contains(&rotated)
        );

        let partner = world.cli(&[
            "partner",
            "create",
            "--name",
            "Acme",
            "--security-contact",
            "sec@acme.example",
            "--field",
            "id",
        ]);
        assert_eq!(
            world.cli(&["partner", "show", &partner, "--field", "legal_name"]),
            "Acme"
        );
        assert_eq!(
            world.cli(&["partner", "reject", &partner, "--field", "state"]),
            "rejected"
        );
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let world = World::prepare(Engine::Sqlite, &[]);
    for arguments in [
        &[][..],
        &["partners"],
        &["partner"],
        &["partner", "create"],
        &["partner", "show"],
        &["partner", "list", "--limit", "many"],
        &["credential", "issue", "--client", "x", "--secret", "y"],
        &["serve", "--colour", "red"],
        &["partner", "show", "../clients"],
        &["partner", "suspend", "ptn_1/../x", "--reason", "r", "--yes"],
        &["client", "show", "cl_1?limit=1"],
        &["key", "revoke", "%2e%2e", "--reason", "r", "--yes"],
    ] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
    for arguments in [&["--help"][..], &["partner", "--help"], &["--version"]] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn a_token_is_no_argument_and_is_not_repeated() {
    let world = World::prepare(Engine::Sqlite, &[]);
    let token = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln";
    for arguments in [
        ["token", "inspect", token],
        ["token", "inspect", "onyx_secret"],
    ] {
        let output = world.run(&arguments);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("standard input") && !said.contains(arguments[2]),
            "{said}"
        );
    }
}

#[actix_web::test]
async fn texts_are_records_for_scripts() {
    for world in worlds().await {
        // Once there is a head to show.
        let checkpoint = loop {
            let output = world.run(&["audit", "checkpoint"]);
            if output.status.success() {
                break String::from_utf8(output.stdout).unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        let origin = checkpoint.lines().next().unwrap();
        assert_eq!(
            world.cli(&["audit", "checkpoint", "--field", "origin"]),
            origin
        );
        let told: Value =
            serde_json::from_str(&world.cli(&["audit", "checkpoint", "--json"])).unwrap();
        assert!(told["size"].is_u64() && told["checkpoint"].as_str().unwrap().starts_with(origin));
        let key = world.cli(&["audit", "key"]);
        assert_eq!(world.cli(&["audit", "key", "--field", "key"]), key);
        let versions = world.cli(&["partner", "versions", "--version", "2026-09-01", "--json"]);
        let versions: Value = serde_json::from_str(&versions).unwrap();
        assert_eq!(versions["data"], serde_json::json!([]));
    }
}

#[actix_web::test]
async fn a_token_that_is_not_valid_is_decoded_and_refused() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        std::fs::write(world.path().join("token"), &token).unwrap();
        assert_eq!(
            world.cli(&["token", "inspect", "token", "--field", "valid"]),
            "true"
        );

        let (body, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        let spoilt = format!("{body}.{other}{}", &signature[1..]);
        let output = world.run_with_input(&["token", "inspect", "-", "--json"], &spoilt);
        let (code, prose) = ended(&output);
        assert!(
            code == 1 && prose.starts_with("onyx-auth: the token is not valid: "),
            "{prose}"
        );
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&shown["valid"], &shown["claims"]["client_id"]),
            (&json!(false), &json!(who.client_id))
        );
        assert_snapshot!(refused(&world.run(&["token", "inspect", "nowhere"])), @"
        exit 1
        onyx-auth: nowhere: No such file or directory (os error 2)
        ");
        let none = world.run_with_input(&["token", "inspect", "-"], "not a token");
        assert_snapshot!(refused(&none), @"
        exit 1
        onyx-auth: this is not a JWT
        ");

        // A token of an issuer elsewhere is not verified with that issuer's word.
        let mut elsewhere = world.command(&["token", "inspect", "token"]);
        let elsewhere = elsewhere
            .env("ONYX_SERVER", "https://auth.example")
            .output()
            .unwrap();
        assert_eq!(elsewhere.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("is not at ONYX_SERVER"));
    }
}

#[actix_web::test]
async fn a_certificate_that_is_not_trusted_is_not_called_a_server_that_is_down() {
    let mut world = https::world();
    let ready = world.command(&["serve"]);
    world.start_as(ready).await;
    world.cli(&["operator", "bootstrap", "--out", "data/first.json"]);
    let list = |settings: &[(&str, &str)]| {
        let mut command = world.command(&["operator", "list", "--field", "name"]);
        command.env("ONYX_ADMIN_CREDENTIAL", "data/first.json");
        command.envs(settings.iter().copied());
        ended(&command.output().unwrap())
    };
    let (code, told) = list(&[]);
    assert_eq!(code, 1);
    assert!(
        told.contains(" is not trusted: SSL_CERT_FILE can name the CA"),
        "{told}"
    );
    assert_eq!(list(&[("SSL_CERT_FILE", "tls.crt")]).0, 0);
    let plain = world.setting("ONYX_OPS_LISTEN").to_owned();
    let (code, told) = list(&[("ONYX_SERVER", &format!("https://{plain}"))]);
    assert_eq!(code, 1);
    assert!(
        told.contains(" does not answer: is the server running?"),
        "{told}"
    );
}

/// A secret that went into a pipe which nobody reads is seen by nobody.
#[actix_web::test]
async fn an_answer_that_nobody_reads_is_a_failure_and_a_list_is_not() {
    let world = worlds().await.remove(0);
    let client = world.sandbox_client(&["orders:read"]).await.client_id;
    let into_nothing = |arguments: &[&str]| {
        let (reading, writing) = std::io::pipe().unwrap();
        drop(reading);
        world.command(arguments).stdout(writing).output().unwrap()
    };
    let lost = into_nothing(&["credential", "issue", "--client", &client, "--json"]);
    let (code, told) = ended(&lost);
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("what was asked for is done") && told.contains("a secret in it is lost"),
        "{told}"
    );
    let (code, told) = ended(&into_nothing(&["credential", "list", "--client", &client]));
    assert_eq!(code, 0, "{told}");
}
