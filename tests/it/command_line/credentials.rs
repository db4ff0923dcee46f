//! Where it has its credential from, and where it keeps others.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{ENGINES, ended, keep, refused};
use crate::support::assert_snapshot;
use crate::support::world::{Engine, World, worlds};

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
    // No secret goes where no server is.
    let mut nowhere = world.command(&["partner", "list"]);
    nowhere.env("ONYX_SERVER", "127.0.0.1:1");
    let (code, prose) = ended(&nowhere.output().unwrap());
    assert!(
        code == 2 && prose.contains("is no server's address"),
        "{prose}"
    );

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
        // It can come by standard input, where a new secret has no place.
        let content = std::fs::read_to_string(&file).unwrap();
        let from_input = ["token", "request", "--credential", "-", "--field", "scope"];
        let told = world.run_with_input(&from_input, &content);
        assert_eq!(
            (told.status.code(), &*told.stdout),
            (Some(0), &b"orders:read\n"[..])
        );
        let rotate =
            world.run_with_input(&["token", "rotate-secret", "--credential", "-"], &content);
        assert_eq!(rotate.status.code(), Some(2));
        assert!(!world.path().join("-").exists());
        // Nothing is issued that could not be kept, or that is asked for twice.
        std::fs::create_dir(world.path().join("folder")).unwrap();
        let nowhere = world.run(&[&issue[..], &["folder"]].concat());
        assert_eq!(ended(&nowhere).0, 1);
        let taken = world.run(&[&issue[..], &["data/operator.json"]].concat());
        assert_eq!(
            ended(&taken),
            (
                1,
                "onyx-auth: data/operator.json is there already, and may hold the only copy of a secret: move it away, or name another file with --out\n".to_owned()
            )
        );
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

        let taken = ["operator", "recover", "--out", "data/operator.json"];
        let kept = ended(&world.run(&taken));
        assert!(
            kept.0 == 1 && kept.1.contains("is there already"),
            "{kept:?}"
        );
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
