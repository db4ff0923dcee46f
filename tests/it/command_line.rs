//! The command line: what it prints where, and how it ends.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Engine, World, worlds};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// How a command ended, and its prose.
fn ended(output: &Output) -> (i32, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

/// `exit 1` and the prose of a command that printed no data.
fn refused(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "{output:?}");
    let (code, prose) = ended(output);
    format!("exit {code}\n{}", prose.trim_end())
}

/// Keeps a client's credential in a file as partners do.
fn keep(world: &World, name: &str, client: &str, secret: &str, mode: u32) {
    let content = json!({ "server": world.base, "client_id": client, "client_secret": secret });
    let path = world.path().join(name);
    std::fs::write(&path, content.to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[actix_web::test]
async fn an_operator_onboards_a_partner_and_cuts_it_off_again() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        let made = world.run(&["operator", "bootstrap", "--field", "id"]);
        let (code, prose) = ended(&made);
        assert_eq!(code, 0);
        assert!(prose.ends_with("The operator's credential is in data/operator.json.\n"));
        assert!(made.stdout.starts_with(b"cl_adm_"));
        let file = std::fs::metadata(world.path().join("data/operator.json")).unwrap();
        assert_eq!(file.permissions().mode() & 0o7777, 0o600);
        world.start().await;

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
        assert!(partner.starts_with("ptn_"));
        assert_eq!(
            world.cli(&[
                "partner", "approve", &partner, "--reason", "signed", "--field", "state"
            ]),
            "approved"
        );
        let grants = world.cli(&[
            "grant",
            "request",
            "--partner",
            &partner,
            "--realm",
            "sandbox",
            "--scope",
            "orders:read",
            "--scope",
            "catalogue:read",
            "--purpose",
            "showing orders",
            "--field",
            "state",
        ]);
        assert_eq!(grants, "approved\napproved");
        let client = world.cli(&[
            "client",
            "create",
            "--partner",
            &partner,
            "--realm",
            "sandbox",
            "--name",
            "backend",
            "--scope",
            "orders:read",
            "--scope",
            "catalogue:read",
            "--default-scope",
            "orders:read",
            "--token-ttl",
            "60",
            "--field",
            "id",
        ]);
        assert!(client.starts_with("cl_sbx_"));

        let issued = world.run(&[
            "credential",
            "issue",
            "--client",
            &client,
            "--field",
            "secret",
        ]);
        assert_eq!(
            ended(&issued),
            (
                0,
                "This is the only time that the secret is shown.\n".to_owned()
            )
        );
        let secret = String::from_utf8(issued.stdout).unwrap();
        assert!(secret.starts_with("onyx_sbx_sk_") && secret.ends_with('\n'));
        keep(&world, "acme.json", &client, secret.trim(), 0o600);

        let request = ["token", "request", "--credential", "acme.json"];
        let token = world.cli(&[&request[..], &["--field", "access_token"]].concat());
        let inspected = world.run_with_input(&["token", "inspect", "-", "--json"], &token);
        assert!(inspected.status.success() && inspected.stderr.is_empty());
        let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
        assert_eq!(
            (
                &inspected["valid"],
                &inspected["claims"]["client_id"],
                &inspected["claims"]["scope"]
            ),
            (&json!(true), &json!(client), &json!("orders:read"))
        );
        let wide = [
            &request[..],
            &["--scope", "catalogue:read orders:read", "--field", "scope"],
        ]
        .concat();
        assert_eq!(world.cli(&wide), "catalogue:read orders:read");

        let credential = world.cli(&["credential", "list", "--client", &client, "--field", "id"]);
        let unsure = world.run(&["credential", "revoke", &credential]);
        assert_snapshot!(refused(&unsure), @"
        exit 2
        onyx-auth: this is asked about first, and nobody can be asked here: say --yes
        ");
        assert!(world.run(&request).status.success());
        let sure = [
            "credential",
            "revoke",
            &credential,
            "--reason",
            "compromised",
            "--yes",
        ];
        assert_eq!(
            world.cli(&[&sure[..], &["--field", "state"]].concat()),
            "revoked"
        );
        assert_snapshot!(refused(&world.run(&request)).replace(&world.base, "SERVER"), @"
        exit 1
        onyx-auth: no token from SERVER: 400 invalid_client: client authentication failed
        ");
        assert_snapshot!(refused(&world.run(&sure)), @"
        exit 1
        onyx-auth: 409 illegal_transition: the credential is revoked; from there: nothing
        ");
    }
}

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

#[actix_web::test]
async fn a_grant_for_live_is_decided_by_another_operators_credential() {
    for world in worlds().await {
        let partner = world.operator().await.partner().await;
        let grant = world.cli(&[
            "grant",
            "request",
            "--partner",
            &partner,
            "--realm",
            "live",
            "--scope",
            "orders:read",
            "--purpose",
            "showing orders",
            "--data-class",
            "orders",
            "--days",
            "30",
            "--field",
            "id",
        ]);
        assert_snapshot!(refused(&world.run(&["grant", "approve", &grant])), @"
        exit 1
        onyx-auth: 403 four_eyes: who asked does not decide: another operator must
        ");
        // Made by a third, so that the second is nobody's puppet.
        world.cli(&["operator", "recover", "--out", "third.json"]);
        let as_third = |arguments: &[&str]| {
            let mut command = world.command(arguments);
            let output = command
                .env("ONYX_ADMIN_CREDENTIAL", "third.json")
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let second = as_third(&[
            "operator",
            "create",
            "--name",
            "second",
            "--scope",
            "grants:decide",
            "--field",
            "id",
        ]);
        let secret = as_third(&[
            "credential",
            "issue",
            "--client",
            &second,
            "--field",
            "secret",
        ]);
        keep(&world, "second.json", &second, &secret, 0o600);
        let as_second = |arguments: &[&str]| {
            let mut command = world.command(arguments);
            command
                .env("ONYX_ADMIN_CREDENTIAL", "second.json")
                .output()
                .unwrap()
        };
        let approved = as_second(&["grant", "approve", &grant, "--field", "state"]);
        assert_eq!(String::from_utf8_lossy(&approved.stdout), "approved\n");
        assert_snapshot!(refused(&as_second(&["grant", "deny", &grant])), @"
        exit 1
        onyx-auth: 409 illegal_transition: the grant is approved; from there: revoked, expired
        ");
        assert_snapshot!(refused(&as_second(&["partner", "list"])), @"
        exit 1
        onyx-auth: 403 insufficient_scope: the token lacks the scope partners:read
        ");
        assert_eq!(
            world.cli(&["grant", "list", "--partner", &partner, "--field", "state"]),
            "approved"
        );
    }
}

#[actix_web::test]
async fn what_the_server_refuses_is_told_member_by_member() {
    for world in worlds().await {
        let partner = world.operator().await.partner().await;
        let answer = world.run(&[
            "client",
            "create",
            "--partner",
            &partner,
            "--realm",
            "mars",
            "--name",
            " ",
            "--scope",
            "orders read",
            "--token-ttl",
            "1",
            "--expires-at",
            "soon",
        ]);
        assert_snapshot!(refused(&answer), @"
        exit 1
        onyx-auth: 422 invalid_body: the request body has members that must be mended; see errors
        onyx-auth:   /realm must be one of sandbox, live, admin
        onyx-auth:   /name must be 1 to 200 characters, without control characters
        onyx-auth:   /scopes/0 must be a scope of 1 to 128 visible ASCII characters without space, quote or backslash
        onyx-auth:   /token_ttl must be a whole number from 60 to 900
        onyx-auth:   /expires_at must be a time like 2030-01-31T12:00:00Z (RFC 3339)
        ");
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
fn without_a_server_or_a_credential_a_command_says_what_is_missing() {
    let world = World::prepare(Engine::Sqlite, &[]);
    assert_snapshot!(refused(&world.run(&["partner", "list"])), @"
    exit 1
    onyx-auth: data/operator.json does not exist; ONYX_ADMIN_CREDENTIAL names the operator's credential file
    ");
    assert_snapshot!(refused(&world.run(&["token", "request"])), @"
    exit 1
    onyx-auth: data/demo.json does not exist
    ");
    world.cli(&["operator", "bootstrap"]);
    let (code, prose) = ended(&world.run(&["partner", "list"]));
    let expected = format!(
        "onyx-auth: {}/admin/oauth2/token does not answer: is the server running?",
        world.base
    );
    assert!(code == 1 && prose.starts_with(&expected), "{prose}");

    keep(&world, "open.json", "cl_sbx_x", "x", 0o644);
    assert_snapshot!(refused(&world.run(&["token", "request", "--credential", "open.json"])), @"
    exit 1
    onyx-auth: open.json has mode 0644: others than its owner can read it; run `chmod 600 open.json`
    ");
    std::fs::write(world.path().join("data/operator.json"), "{}").unwrap();
    assert_snapshot!(refused(&world.run(&["partner", "list"])), @r#"
    exit 1
    onyx-auth: data/operator.json is not a credential file: it must hold {"server","client_id","client_secret"}; ONYX_ADMIN_CREDENTIAL names the operator's credential file
    "#);
}

#[actix_web::test]
async fn a_secret_can_be_kept_in_a_file_instead_of_being_shown() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let issue = ["credential", "issue", "--client", &who.client_id, "--out"];
        let issued = world.run(&[&issue[..], &["desk/own.json", "--json"]].concat());
        assert_eq!(
            ended(&issued),
            (0, "The credential is in desk/own.json.\n".to_owned())
        );
        let shown: Value = serde_json::from_slice(&issued.stdout).unwrap();
        assert_eq!(
            (&shown["state"], &shown["secret"]),
            (&json!("active"), &Value::Null)
        );
        let file = world.path().join("desk/own.json");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let request = [
            "token",
            "request",
            "--credential",
            "desk/own.json",
            "--field",
            "scope",
        ];
        assert_eq!(world.cli(&request), "orders:read");
        // Nothing is issued that could not be kept, or that is asked for twice.
        std::fs::create_dir(world.path().join("folder")).unwrap();
        let nowhere = world.run(&[&issue[..], &["folder"]].concat());
        assert_eq!(ended(&nowhere).0, 1);
        let both = world.run(&[&issue[..], &["own.json", "--deliver", "link"]].concat());
        assert_eq!(ended(&both).0, 2);
        let secret = world.run(&[&issue[..], &["own.json", "--field", "secret"]].concat());
        assert_eq!(ended(&secret).0, 2);
        let list = [
            "credential",
            "list",
            "--client",
            &who.client_id,
            "--field",
            "id",
        ];
        assert_eq!(world.cli(&list).lines().count(), 2);
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
async fn the_first_operator_is_made_once_and_another_when_its_credential_is_lost() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        world.cli(&["operator", "bootstrap"]);
        let first = world.operator_credential();
        let again = world.run(&["operator", "bootstrap"]);
        let (code, prose) = ended(&again);
        assert_eq!(code, 1);
        assert!(
            prose.ends_with(
                "onyx-auth: there is an operator already; if its credential is lost, use `onyx-auth operator recover`\n"
            ),
            "{prose}"
        );
        assert!(again.stdout.is_empty());
        assert_eq!(world.operator_credential().secret, first.secret);

        let recovered = world.cli(&[
            "operator",
            "recover",
            "--out",
            "safe/recovered.json",
            "--json",
        ]);
        let recovered: Value = serde_json::from_str(&recovered).unwrap();
        assert_eq!(recovered["credential_file"], "safe/recovered.json");
        assert_eq!(recovered["expires_at"], Value::Null);
        let file = world.path().join("safe/recovered.json");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(world.operator_credential().secret, first.secret);
        world.start().await;
        let mut list = world.command(&["operator", "list", "--field", "name"]);
        let list = list.env("ONYX_ADMIN_CREDENTIAL", &file).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&list.stdout),
            "bootstrap operator\nrecovery operator\n"
        );
    }
}

#[test]
fn a_credential_file_replaces_what_an_interrupted_run_left() {
    let world = World::prepare(Engine::Sqlite, &[]);
    std::fs::create_dir(world.path().join("data")).unwrap();
    let left = world.path().join("data/operator.json.new");
    std::fs::write(&left, "half").unwrap();
    std::fs::set_permissions(&left, std::fs::Permissions::from_mode(0o644)).unwrap();
    world.cli(&["operator", "bootstrap"]);
    let file = std::fs::metadata(world.path().join("data/operator.json")).unwrap();
    assert_eq!(file.permissions().mode() & 0o7777, 0o600);
    assert!(!left.exists());
}

#[actix_web::test]
async fn away_from_loopback_the_first_operator_only_makes_others_for_a_day() {
    for engine in ENGINES {
        for verb in ["bootstrap", "recover"] {
            let mut world = World::prepare(engine, &[]);
            world.set("ONYX_BASE_URL", "https://auth.example.com");
            let made: Value =
                serde_json::from_str(&world.cli(&["operator", verb, "--json"])).unwrap();
            let ends =
                chrono::DateTime::parse_from_rfc3339(made["expires_at"].as_str().unwrap()).unwrap();
            let left = (ends.to_utc() - chrono::Utc::now()).num_seconds();
            assert!(left > 23 * 3600 && left <= 24 * 3600, "{left}");
            let file = std::fs::read_to_string(world.path().join("data/operator.json")).unwrap();
            let file: Value = serde_json::from_str(&file).unwrap();
            assert_eq!(file["server"], "https://auth.example.com");

            world.start().await;
            let operator = world.operator().await;
            let shown = operator.get("/operators").await.expect(200);
            assert_eq!(shown["data"][0]["scopes"], json!(["operators:write"]));
            assert_eq!(shown["data"][0]["expires_at"], made["expires_at"]);
            assert_eq!(operator.get("/partners").await.status, 403);
            operator
                .post(
                    "/operators",
                    json!({ "name": "daily", "scopes": ["partners:write"] }),
                )
                .await
                .expect(201);
        }
    }
}
