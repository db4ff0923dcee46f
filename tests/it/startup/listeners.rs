//! What is served where.

use serde_json::json;

use super::{ENGINES, openssl, set_mode, told};
use crate::support::assert_snapshot;
use crate::support::world::{Engine, World, free_address};

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
