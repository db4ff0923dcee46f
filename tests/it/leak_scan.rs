//! `onyx-auth leak`: what it finds in a tree of files, what it says, and what it sends.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use serde_json::Value;

use crate::support::world::{Credential, Engine, World, worlds};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code, data, prose; and no secret in either.
fn ended(output: &Output, secrets: &[&str]) -> (i32, String, String) {
    let (data, prose) = (text(&output.stdout), text(&output.stderr));
    for secret in secrets {
        // Not even a piece of it, but for the hint.
        let piece = &secret[13..secret.len() - 4];
        assert!(!data.contains(piece) && !prose.contains(piece));
    }
    (output.status.code().unwrap(), data, prose)
}

/// A world whose tree is scanned, with one leaked credential and a token that it got.
async fn leaked() -> (World, Credential, String) {
    let world = worlds().await.remove(0);
    let who = world.sandbox_client(&["orders:read"]).await;
    let token = world.token("sandbox", &who, &[]).await;
    (world, who, token)
}

fn write(world: &World, name: &str, content: impl AsRef<[u8]>) {
    let path = world.path().join("tree").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn found(data: &str) -> Vec<String> {
    let rows: Value = serde_json::from_str(data).unwrap();
    let line = |row: &Value| {
        format!(
            "{}:{} {}",
            row["file"].as_str().unwrap(),
            row["line"],
            row["kind"].as_str().unwrap()
        )
    };
    rows.as_array().unwrap().iter().map(line).collect()
}

#[actix_web::test]
async fn a_scan_finds_secrets_and_tokens_wherever_they_hide() {
    let (world, who, token) = leaked().await;
    let secret = who.secret.as_str();
    write(
        &world,
        "src/main.py",
        format!("import os\n\nKEY = '{secret}'\n"),
    );
    write(&world, ".env", format!("ONYX_SECRET={secret}\n"));
    write(&world, ".gitignore", ".env\nlogs/\n");
    write(
        &world,
        "logs/access.log",
        format!("\n\n\nAuthorization: Bearer {token}\r\n"),
    );
    let mut binary = vec![0_u8; 300_000];
    binary[150_000] = b'\n';
    binary[256 * 1024 - 30..][..secret.len()].copy_from_slice(secret.as_bytes());
    write(&world, "image.bin", &binary);
    let wide: Vec<u8> = format!("\u{feff}key\r\n{secret}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    write(&world, "windows.txt", wide);
    write(
        &world,
        "one-line.js",
        format!("{}{secret}{}", "x".repeat(3_000_000), "y".repeat(9)),
    );
    write(
        &world,
        ".git/config",
        format!("url = https://x:{secret}@git.example\n"),
    );
    // Git's objects are compressed, and left out where there really is a repository around them.
    write(&world, ".git/HEAD", "ref: refs/heads/main\n");
    write(&world, ".git/refs/heads/main", "0\n");
    write(&world, ".git/objects/ab/cd", secret);
    write(&world, "app/objects/x", secret);
    // Look-alikes, and what cannot be read or would never end.
    let spoilt = format!(
        "{}{}",
        &secret[..secret.len() - 1],
        if secret.ends_with('A') { 'B' } else { 'A' }
    );
    write(
        &world,
        "docs/example.md",
        format!(
            "{spoilt} onyx_live_sk_{} eyJhbGciOiJIUzI1NiJ9.e30.x",
            "X".repeat(49)
        ),
    );
    let tree = world.path().join("tree");
    symlink(&tree, tree.join("loop")).unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(tree.join("pipe"))
        .status();
    assert!(fifo.unwrap().success());

    let output = world.run(&["leak", "scan", "tree", "--json"]);
    let (code, data, prose) = ended(&output, &[secret, &token]);
    assert_eq!(code, 1, "{prose}");
    assert_eq!(
        found(&data),
        [
            "tree/.env:1 client_secret",
            "tree/.git/config:1 client_secret",
            "tree/app/objects/x:1 client_secret",
            "tree/image.bin:2 client_secret",
            "tree/logs/access.log:4 access_token",
            "tree/one-line.js:1 client_secret",
            "tree/src/main.py:3 client_secret",
            "tree/windows.txt:2 client_secret",
        ]
    );
    assert!(
        prose.contains("found 7 secrets and 1 access tokens"),
        "{prose}"
    );
    assert!(
        prose.contains("Git's compressed objects were left out"),
        "{prose}"
    );
    let rows: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(rows[0]["realm"], "sandbox");
    assert_eq!(rows[0]["hint"], secret[secret.len() - 4..]);
    assert_eq!(rows[4]["client_id"], *who.client_id);
    assert_eq!(rows[4]["credential_id"], *who.credential_id);
    assert_eq!(
        (&rows[4]["realm"], &rows[4]["expired"]),
        (&"sandbox".into(), &false.into())
    );
    assert_eq!(rows[6]["column"], 8);

    // With what Git ignores left out, without a folder, and with links followed.
    let output = world.run(&[
        "leak",
        "scan",
        "tree",
        "--respect-ignore",
        "--exclude",
        "app/",
        "--json",
    ]);
    let (code, data, _) = ended(&output, &[secret]);
    let found_then = found(&data);
    assert_eq!((code, found_then.len()), (1, 5), "{found_then:?}");
    assert!(!data.contains(".env") && !data.contains("logs") && !data.contains("app/"));
    let output = world.run(&[
        "leak",
        "scan",
        "tree/src",
        "tree/loop/src",
        "--follow",
        "tree",
        "--field",
        "file",
    ]);
    let (code, data, prose) = ended(&output, &[secret]);
    assert_eq!(code, 1);
    assert_eq!(
        data.lines()
            .filter(|file| *file == "tree/src/main.py")
            .count(),
        1,
        "{data}"
    );
    assert!(prose.contains("loop"), "{prose}");
}

#[test]
fn a_scan_says_by_its_exit_code_how_it_went() {
    let world = World::prepare(Engine::Sqlite, &[]);
    write(&world, "a.txt", "nothing here");
    let clean = world.run(&["leak", "scan", "tree"]);
    let (code, data, prose) = ended(&clean, &[]);
    assert_eq!((code, data.as_str()), (0, ""), "{prose}");
    assert_eq!(
        text(&world.run(&["leak", "scan", "tree", "--json"]).stdout),
        "[]\n"
    );
    // Wrong usage: no such file, no path, no such field, an agreement that nobody can give.
    for arguments in [
        &["leak", "scan", "nowhere"][..],
        &["leak", "scan"],
        &["leak", "scan", "tree", "--field", "secret"],
        &["leak", "scan", "tree", "--report"],
        &["leak", "scan", "tree", "--report", "--yes"],
        &["leak", "report", "tree/a.txt"],
    ] {
        assert_eq!(world.run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    // A folder that ends before it is read: /proc/self/mem is nobody's to read from its start.
    let unread = world.run(&["leak", "scan", "/proc/self/mem"]);
    let (code, _, prose) = ended(&unread, &[]);
    assert_eq!(code, 2);
    assert!(prose.contains("/proc/self/mem"), "{prose}");
}

#[actix_web::test]
async fn what_is_found_is_reported_and_revoked() {
    for world in worlds().await {
        let first = world.sandbox_client(&["orders:read"]).await;
        let second = world.sandbox_client(&["orders:read"]).await;
        write(&world, ".env", &first.secret);
        write(&world, "copy/.env", &first.secret);
        let run = |arguments: &[&str], input: &str| {
            let mut command = world.command(arguments);
            command
                .env("ONYX_SERVER", &world.base)
                // No operator's credential is needed.
                .env("ONYX_ADMIN_CREDENTIAL", "/nowhere");
            fs::write(world.path().join("input"), input).unwrap();
            let input = fs::File::open(world.path().join("input")).unwrap();
            command.stdin(input).output().unwrap()
        };
        let refused = async |who: &Credential| {
            let started = std::time::Instant::now();
            while world.token_answer("sandbox", who, &[]).await.status != 401 {
                assert!(started.elapsed().as_secs() < 10);
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };

        let scanned = run(&["leak", "scan", "tree", "--report", "--yes"], "");
        let (code, data, prose) = ended(&scanned, &[&first.secret]);
        assert_eq!(code, 1, "{prose}");
        assert!(data.contains("tree/.env") && data.contains("tree/copy/.env"));
        assert!(prose.contains("Reported 1 secrets"), "{prose}");
        refused(&first).await;

        let input = format!("Basic auth was\n{}\n", second.secret);
        let reported = run(
            &["leak", "report", "-", "--yes", "--field", "reported"],
            &input,
        );
        let (code, data, prose) = ended(&reported, &[&second.secret]);
        assert_eq!((code, data.as_str()), (0, "1\n"), "{prose}");
        refused(&second).await;

        let piped = run(&["leak", "scan", "-", "--json"], &input);
        let (code, data, _) = ended(&piped, &[&second.secret]);
        assert_eq!(
            (code, found(&data)),
            (1, vec!["-:2 client_secret".to_owned()])
        );
        let nothing = run(&["leak", "report", "-", "--yes"], "nothing");
        assert_eq!(nothing.status.code(), Some(1));

        // What operators see of it.
        let cases = world.cli(&[
            "leak", "reviews", "--state", "open", "--kind", "leak", "--field", "pointer",
        ]);
        let mut cases: Vec<_> = cases.lines().collect();
        cases.sort_unstable();
        let mut expected = [first.credential_id.as_str(), &second.credential_id];
        expected.sort_unstable();
        assert_eq!(cases, expected);
        let reports = world.cli(&[
            "leak",
            "list",
            "--credential",
            &first.credential_id,
            "--json",
        ]);
        let reports: Value = serde_json::from_str(&reports).unwrap();
        assert_eq!(reports["data"][0]["matches"][0]["action"], "revoked");
        let case = world.cli(&[
            "leak",
            "reviews",
            "--partner",
            &first.partner_id,
            "--field",
            "id",
        ]);
        let closed = world.cli(&[
            "leak",
            "close-review",
            &case,
            "--reason",
            "rotated",
            "--field",
            "state",
        ]);
        assert_eq!(closed, "closed");
        assert_eq!(
            world
                .run(&["leak", "close-review", &case, "--reason", "x"])
                .status
                .code(),
            Some(1)
        );
    }
}
