//! Worlds that serve HTTPS, and who trusts them.

use super::files::{openssl, set_mode};
use super::world::{Engine, World};

/// A world that serves `tls.crt`; no process yet.
pub fn world() -> World {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    world.base = world.base.replace("http://", "https://");
    let base = world.base.clone();
    world.set("ONYX_BASE_URL", &base);
    world.set("ONYX_TLS_CERT", "tls.crt");
    world.set("ONYX_TLS_KEY", "tls.key");
    certify(&world, "tls", "2");
    world
}

/// Makes a key and its certificate for so many days.
pub fn certify(world: &World, name: &str, days: &str) {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
    openssl(
        world,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &certificate,
            "-days",
            days,
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
    set_mode(&world.path().join(key), 0o600);
}

pub fn certificate(world: &World, file: &str) -> reqwest::Certificate {
    let pem = std::fs::read(world.path().join(file)).unwrap();
    reqwest::Certificate::from_pem(&pem).unwrap()
}

/// Who trusts this certificate alone.
pub fn trusting(certificate: &reqwest::Certificate) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([certificate.clone()])
        .build()
        .unwrap()
}
