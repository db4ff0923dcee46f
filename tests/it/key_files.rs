//! Signing keys that an operator brings as PEM files.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Engine, World, header};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// How `openssl` makes a key for each algorithm; the last is PKCS#1.
const KEYS: [(&str, &str, &[&str]); 5] = [
    (
        "es256",
        "ES256",
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ),
    ("eddsa", "EdDSA", &["genpkey", "-algorithm", "ED25519"]),
    (
        "rs256",
        "RS256",
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    ),
    (
        "ps256",
        "PS256",
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
    ),
    ("rs256", "RS256", &["genrsa", "-traditional", "2048"]),
];

/// A world whose keys folder exists and whose first start is quiet.
fn world(engine: Engine) -> World {
    let world = World::prepare(engine, &[("ONYX_LOG", "error")]);
    std::fs::create_dir(world.path().join("keys")).unwrap();
    world
}

/// Runs `openssl`; answers what it printed.
fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl: install the package openssl");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Puts a file into the keys folder.
fn place(world: &World, name: &str, content: &str, mode: u32) {
    let path = world.path().join("keys").join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn told(output: &Output) -> String {
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    format!("exit {}\n{}", output.status.code().unwrap(), said.trim_end())
}

#[actix_web::test]
async fn a_key_from_openssl_signs_from_the_first_start_on() {
    for engine in ENGINES {
        for (word, alg, made_by) in KEYS {
            let mut world = world(engine);
            world.set("ONYX_SIGNING_ALG", alg);
            let pem = openssl(made_by);
            if made_by[0] == "genrsa" {
                assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
            }
            place(&world, &format!("sandbox.{word}.pem"), &pem, 0o600);
            world.cli(&["operator", "bootstrap"]);
            world.start().await;

            let operator = world.operator().await;
            let keys = operator.get("/keys").await.expect(200);
            let keys = keys["data"].as_array().unwrap().clone();
            assert_eq!(keys.len(), 3, "one a realm: the import takes the place of one");
            let imported: Vec<&Value> = keys.iter().filter(|key| key["origin"] == "imported").collect();
            assert_eq!(imported.len(), 1);
            assert_eq!(
                (&imported[0]["realm"], &imported[0]["alg"]),
                (&json!("sandbox"), &json!(alg))
            );
            let who = world.sandbox_client(&["orders:read"]).await;
            let token = world.token("sandbox", &who, &[]).await;
            assert_eq!(
                (&header(&token)["kid"], &header(&token)["alg"]),
                (&imported[0]["kid"], &json!(alg))
            );
            let inspected = world.run_with_input(&["token", "inspect", "-", "--field", "valid"], &token);
            assert_eq!(inspected.stdout, b"true\n", "{inspected:?}");

            // The next start finds it known, and needs the file no more.
            assert_eq!(world.terminate(), Some(0));
            world.start().await;
            assert_eq!(world.lines("SELECT kid AS line FROM signing_keys").len(), 3);
            assert_eq!(world.terminate(), Some(0));
            std::fs::remove_file(world.path().join(format!("keys/sandbox.{word}.pem"))).unwrap();
            world.start().await;
            let token = world.token("sandbox", &who, &[]).await;
            assert_eq!(header(&token)["kid"], imported[0]["kid"]);
        }
    }
}

#[actix_web::test]
async fn a_key_that_comes_later_is_published_before_it_signs() {
    for engine in ENGINES {
        let mut world = world(engine);
        world.cli(&["operator", "bootstrap"]);
        world.start().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let old = header(&world.token("sandbox", &who, &[]).await)["kid"].clone();
        assert_eq!(world.terminate(), Some(0));
        place(&world, "sandbox.es256.pem", &openssl(KEYS[0].2), 0o600);
        // A key of another algorithm surprises nobody: it signs at once.
        place(&world, "sandbox.eddsa.pem", &openssl(KEYS[1].2), 0o400);
        world.start().await;

        let operator = world.operator().await;
        let keys = operator.get("/keys").await.expect(200);
        let key = |alg: &str, origin: &str| {
            let mut all = keys["data"].as_array().unwrap().iter();
            all.find(|key| key["realm"] == "sandbox" && key["alg"] == alg && key["origin"] == origin)
                .unwrap()
                .clone()
        };
        let (first, later, other) = (
            key("ES256", "generated"),
            key("ES256", "imported"),
            key("EdDSA", "imported"),
        );
        assert!(later["signs_from"].as_str() > later["published_at"].as_str());
        assert_eq!(first["signs_until"], later["signs_from"]);
        assert_eq!(other["signs_from"], other["published_at"]);
        let token = world.token("sandbox", &who, &[]).await;
        assert_eq!(header(&token)["kid"], old);
        let jwks = world.get("/sandbox/oauth2/jwks", None).await.expect(200);
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn a_file_whose_name_does_not_say_what_it_is_for_is_refused() {
    let pem = openssl(KEYS[0].2);
    for name in ["signing.pem", "sandbox.pem", "mars.es256.pem", "sandbox.hs256.pem", "sandbox.es256.old.pem"] {
        let world = world(Engine::Sqlite);
        place(&world, name, &pem, 0o600);
        assert_eq!(
            told(&world.run(&["serve"])),
            format!(
                "exit 2\nonyx-auth: keys_dir: keys/{name} must be named {{sandbox|live|admin}}.{{es256|rs256|ps256|eddsa}}.pem"
            )
        );
    }
    // What is no PEM file is none of its business.
    let world = world(Engine::Sqlite);
    place(&world, "README", "keys live here", 0o644);
    place(&world, "sandbox.es256.pem.bak", "x", 0o644);
    world.cli(&["operator", "bootstrap"]);
}

#[test]
fn a_file_that_holds_something_else_is_refused() {
    let (ec, ed) = (openssl(KEYS[0].2), openssl(KEYS[1].2));
    let traditional = openssl(&["ecparam", "-name", "prime256v1", "-genkey"]);
    let other_curve = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]);
    let sealed = openssl(&["genpkey", "-algorithm", "ED25519", "-aes-256-cbc", "-pass", "pass:x"]);
    for (name, content) in [
        ("live.es256.pem", ""),
        ("live.es256.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("live.es256.pem", &ed),
        ("live.es256.pem", &traditional),
        ("live.es256.pem", &other_curve),
        ("live.eddsa.pem", &ec),
        ("live.eddsa.pem", &sealed),
        ("live.rs256.pem", &ec),
        ("live.eddsa.pem", &format!("{ed}{ec}")),
    ] {
        for engine in ENGINES {
            let world = world(engine);
            place(&world, name, content, 0o600);
            let alg = if name.contains("eddsa") {
                "EdDSA".to_owned()
            } else {
                name[5..10].to_ascii_uppercase()
            };
            assert_eq!(
                told(&world.run(&["serve"])),
                format!(
                    "exit 2\nonyx-auth: keys_dir: keys/{name} is not one PKCS#8 (or RSA PKCS#1) private key in PEM for \
                     {alg}; convert it with `openssl pkcs8 -topk8 -nocrypt`"
                ),
                "{content}"
            );
            assert!(
                world.lines("SELECT kid AS line FROM signing_keys").is_empty(),
                "nothing was written"
            );
        }
    }
}

#[test]
fn an_rsa_key_that_is_too_short_is_refused() {
    let world = world(Engine::Sqlite);
    let short = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    place(&world, "live.rs256.pem", &short, 0o600);
    let said = told(&world.run(&["serve"]));
    assert!(said.starts_with("exit 2\nonyx-auth: "), "{said}");
    assert!(said.contains("keys/live.rs256.pem"), "{said}");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let world = world(Engine::Sqlite);
    let pem = openssl(KEYS[0].2);
    for mode in [0o644, 0o640, 0o604] {
        place(&world, "live.es256.pem", &pem, mode);
        assert_eq!(
            told(&world.run(&["serve"])),
            format!(
                "exit 2\nonyx-auth: keys_dir: keys/live.es256.pem has mode {mode:04o}: others than its owner can read \
                 it; run `chmod 600 keys/live.es256.pem`"
            )
        );
    }
    place(&world, "live.es256.pem", &pem, 0o400);
    world.cli(&["operator", "bootstrap"]);
}

#[test]
fn one_key_serves_one_realm_and_one_algorithm() {
    for (pem, one, other) in [
        (openssl(KEYS[0].2), "live.es256.pem", "sandbox.es256.pem"),
        (openssl(KEYS[2].2), "live.ps256.pem", "live.rs256.pem"),
    ] {
        let world = world(Engine::Sqlite);
        place(&world, one, &pem, 0o600);
        place(&world, other, &pem, 0o600);
        let said = told(&world.run(&["serve"])).replace(one, "ONE").replace(other, "OTHER");
        assert_snapshot!(said, @"
        exit 2
        onyx-auth: keys_dir: keys/OTHER holds the same key as keys/ONE; a key serves one realm and one algorithm, so make one for each
        ");
    }
}
