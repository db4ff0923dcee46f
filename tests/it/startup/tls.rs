//! HTTPS on the public listener, and certificates that are renewed while it runs.

use std::time::Duration;

use super::{openssl, set_mode, told};
use crate::support::assert_snapshot;
use crate::support::https::{certificate, certify, trusting, world};
use crate::support::world::World;

/// Puts a pair, made beside it, in the place of the one that is served.
fn install(world: &World, name: &str) {
    for end in ["crt", "key"] {
        let from = world.path().join(format!("{name}.{end}"));
        std::fs::rename(from, world.path().join(format!("tls.{end}"))).unwrap();
    }
}

/// Whether who trusts this certificate alone, and comes for the first time, is served.
async fn reaches(world: &World, certificate: &reqwest::Certificate) -> bool {
    let jwks = format!("{}/sandbox/oauth2/jwks", world.base);
    trusting(certificate).get(&jwks).send().await.is_ok()
}

async fn until_reached(world: &World, certificate: &reqwest::Certificate) {
    // Twice the time between two looks at the files, and more.
    for _ in 0..400 {
        if reaches(world, certificate).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the new certificate is not served: {}", world.log());
}

async fn until_logged(world: &World, wanted: &str) {
    for _ in 0..400 {
        if world.log().contains(wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("`{wanted}` is not in the log: {}", world.log());
}

#[actix_web::test]
async fn a_certificate_turns_the_public_listener_to_https() {
    let mut world = world();
    world.http = trusting(&certificate(&world, "tls.crt"));
    world.cli(&["operator", "bootstrap"]);
    world.start().await;

    let who = world.sandbox_client(&["orders:read"]).await;
    let token = world.token("sandbox", &who, &[]).await;
    world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
    let metadata = world
        .get("/.well-known/oauth-authorization-server/sandbox", None)
        .await
        .expect(200);
    assert_eq!(metadata["issuer"], format!("{}/sandbox", world.base));

    // Who does not know the certificate, or speaks plain HTTP, gets nowhere.
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    let jwks = format!("{}/sandbox/oauth2/jwks", world.base);
    assert!(stranger.get(&jwks).send().await.is_err());
    let plain = jwks.replace("https://", "http://");
    assert!(stranger.get(&plain).send().await.is_err());
    assert_eq!(world.terminate(), Some(0));
}

#[actix_web::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let world = world();
    let key = world.path().join("tls.key");
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
async fn a_renewed_certificate_is_served_without_a_restart() {
    let mut world = world();
    let first = certificate(&world, "tls.crt");
    world.http = trusting(&first);
    world.start().await;
    assert!(reaches(&world, &first).await);

    // Told to look: at once.
    certify(&world, "second", "30");
    let second = certificate(&world, "second.crt");
    install(&world, "second");
    world.signal("HUP");
    until_logged(&world, "serving a new certificate, which ends at").await;
    assert!(reaches(&world, &second).await);
    assert!(!reaches(&world, &first).await);

    // Half a renewal, and a file that is no certificate: what is served stays.
    certify(&world, "third", "30");
    let third = certificate(&world, "third.crt");
    std::fs::rename(world.path().join("third.crt"), world.path().join("tls.crt")).unwrap();
    world.signal("HUP");
    until_logged(
        &world,
        "the new certificate cannot be served, the one before it still is: tls_key: tls.key is not the key of the \
         certificate in tls.crt",
    )
    .await;
    assert!(reaches(&world, &second).await);

    // The other half; nobody tells.
    std::fs::rename(world.path().join("third.key"), world.path().join("tls.key")).unwrap();
    until_reached(&world, &third).await;
    assert!(!reaches(&world, &second).await);
    std::fs::write(world.path().join("tls.crt"), "nothing").unwrap();
    world.signal("HUP");
    until_logged(&world, "tls_cert: tls.crt holds no certificate in PEM").await;
    assert!(reaches(&world, &third).await);
    assert_eq!(world.terminate(), Some(0));
}

#[actix_web::test]
async fn the_end_of_a_certificate_is_measured_and_examined() {
    let mut world = world();
    world.http = trusting(&certificate(&world, "tls.crt"));
    world.start().await;
    let series = "onyx_tls_certificate_expires_timestamp_seconds{listener=\"public\"}";
    let end = world.sample(series).await.unwrap();
    let now = chrono::Utc::now().timestamp() as f64;
    assert!((end - now - 2.0 * 86_400.0).abs() < 600.0, "{end}");

    let examine = || {
        let output = world.run(&["doctor", "--json"]);
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = said["data"].as_array().unwrap();
        let row = rows.iter().find(|row| row["check"] == "certificate");
        let row = row.unwrap();
        format!(
            "{}: {}",
            row["state"].as_str().unwrap(),
            row["detail"].as_str().unwrap()
        )
    };
    let soon = examine();
    assert!(soon.starts_with("failed: tls.crt ends at 2"), "{soon}");
    certify(&world, "second", "30");
    install(&world, "second");
    let late = examine();
    assert!(late.starts_with("ok: tls.crt ends at 2"), "{late}");
    certify(&world, "third", "30");
    std::fs::rename(world.path().join("third.crt"), world.path().join("tls.crt")).unwrap();
    assert_eq!(
        examine(),
        "failed: tls_key: tls.key is not the key of the certificate in tls.crt"
    );
    let (key, certificate) = (world.path().join("tls.key"), world.path().join("tls.crt"));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(&key, encrypted).unwrap();
    let told = examine();
    assert!(
        told.contains("tls.key is encrypted: write it without a password"),
        "{told}"
    );
    std::fs::write(&key, "").unwrap();
    assert_eq!(
        examine(),
        "failed: tls_key: tls.key: holds no private key in PEM"
    );
    let whole = std::fs::read_to_string(&certificate).unwrap();
    std::fs::write(&certificate, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(
        examine(),
        "failed: tls_cert: tls.crt: ends in the middle of a certificate: is it still being written?"
    );
}

#[actix_web::test]
async fn an_address_has_its_share_of_connections_within_tls_too() {
    let mut world = world();
    world.set("ONYX_CONNECTIONS_PER_ADDRESS", "3");
    let trusted = certificate(&world, "tls.crt");
    world.http = trusting(&trusted);
    world.cli(&["operator", "bootstrap"]);
    world.start().await;
    let jwks = format!("{}/sandbox/oauth2/jwks", world.base);
    // Each keeps its connection; the world's own has one since it asked whether the server is there.
    let mut callers = Vec::new();
    let mut served = 0;
    for _ in 0..6 {
        let caller = trusting(&trusted);
        served += usize::from(caller.get(&jwks).send().await.is_ok());
        callers.push(caller);
    }
    assert!((2..=3).contains(&served), "{served}");
    let refused = world.sample("onyx_connections_refused_total").await;
    assert!(refused.is_some_and(|refused| refused >= 3.0), "{refused:?}");
}
