//! Where messages may go, and how often on demand.

use reqwest::Method;
use serde_json::json;

use super::{outcome, text};
use crate::support::assert_snapshot;
use crate::support::receiver::{LOOPBACK, Receiver};
use crate::support::world::{Answer, worlds, worlds_with};

#[actix_web::test]
async fn what_leads_into_the_house_is_refused_and_not_asked() {
    for world in worlds().await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let port = receiver.port();
        let mut told = String::new();
        for url in [
            "http://hooks.example.com/in".to_owned(),
            "https://user:word@hooks.example.com/in".to_owned(),
            "https://@hooks.example.com/in".to_owned(),
            "https://hooks.example.com/in#part".to_owned(),
            "hooks.example.com".to_owned(),
            format!("http://127.0.0.1:{port}/in"),
            format!("https://127.0.0.1:{port}/in"),
            format!("https://127.1:{port}/in"),
            format!("https://2130706433:{port}/in"),
            format!("https://0x7f.0.0.1:{port}/in"),
            format!("https://0177.0.0.1:{port}/in"),
            format!("https://127.0.0.1.:{port}/in"),
            format!("https://localhost:{port}/in"),
            format!("https://a.localhost.:{port}/in"),
            format!("https://[::1]:{port}/in"),
            format!("https://[::ffff:127.0.0.1]:{port}/in"),
            format!("https://[64:ff9b::7f00:1]:{port}/in"),
            format!("https://[2002:7f00:1::1]:{port}/in"),
            "https://169.254.169.254/latest/meta-data".to_owned(),
            "https://10.0.0.1/in".to_owned(),
        ] {
            let body = json!({ "url": url, "event_types": ["*"] });
            let refused = developer.send(Method::POST, "", body).await.expect(422);
            let fault = &refused["errors"][0];
            assert_eq!(fault["pointer"], "/url", "{url}");
            told += &format!(
                "{}: {} {}\n",
                url.replace(&port.to_string(), "PORT"),
                fault["code"].as_str().unwrap(),
                fault["detail"].as_str().unwrap()
            );
        }
        assert_snapshot!(told, @r"
        http://hooks.example.com/in: invalid must be an https URL
        https://user:word@hooks.example.com/in: invalid must not hold a name or a password
        https://@hooks.example.com/in: invalid must not hold a name or a password
        https://hooks.example.com/in#part: invalid must not hold a fragment
        hooks.example.com: invalid must be an absolute URL of at most 2048 characters
        http://127.0.0.1:PORT/in: invalid must be an https URL
        https://127.0.0.1:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://127.1:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://2130706433:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://0x7f.0.0.1:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://0177.0.0.1:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://127.0.0.1.:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://localhost:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://a.localhost.:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://[::1]:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://[::ffff:127.0.0.1]:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://[64:ff9b::7f00:1]:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://[2002:7f00:1::1]:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://169.254.169.254/latest/meta-data: webhook_url_blocked leads to an address that webhooks are not sent to
        https://10.0.0.1/in: webhook_url_blocked leads to an address that webhooks are not sent to
        ");
        assert!(receiver.received().is_empty());
        let list = developer.get("/webhook-endpoints").await.expect(200);
        assert_eq!(list["data"], json!([]));
    }
}

#[actix_web::test]
async fn a_url_that_is_not_written_out_is_refused() {
    for world in worlds().await {
        let developer = world.developer().await;
        for url in [
            "https://hooks.exa\tmple.com/in",
            "https://hooks.example.com/i\nn",
            " https://hooks.example.com/in",
            "https:hooks.example.com/in",
            "https:///hooks.example.com/in",
            "https:\\\\hooks.example.com\\in",
        ] {
            let body = json!({ "url": url, "event_types": ["*"] });
            let refused = developer.send(Method::POST, "", body).await.expect(422);
            assert_eq!(refused["errors"][0]["pointer"], "/url", "{url:?}");
        }
    }
}

#[actix_web::test]
async fn proxies_of_the_environment_are_ignored() {
    let proxy = Receiver::start().await;
    let through = proxy.url("");
    let settings = [
        LOOPBACK,
        ("HTTP_PROXY", through.as_str()),
        ("http_proxy", &through),
        ("HTTPS_PROXY", &through),
        ("ALL_PROXY", &through),
    ];
    for world in worlds_with(&settings).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let made = developer.set_up(&receiver.url("/in")).await;
        assert_eq!(developer.shown(&made).await["state"], "active");
        assert_eq!(receiver.received().len(), 1);
    }
    assert!(proxy.received().is_empty());
}

/// Has something sent until it is refused for this limit; answers how often it was not.
async fn until_over(code: &str, mut send: impl AsyncFnMut() -> Answer) -> usize {
    for sent in 0..1000 {
        let answer = send().await;
        if answer.status != 429 {
            continue;
        }
        assert_eq!(answer.json()["code"], code);
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=10).contains(&wait), "{wait}");
        assert!(answer.header("ratelimit-policy").contains("messages"));
        assert_eq!(answer.header("onyx-shadow-limit"), "");
        return sent;
    }
    panic!("nothing is refused");
}

#[actix_web::test]
async fn nobody_has_a_url_called_without_end() {
    // No setting and no mode of a partner's limits lets more through: URLs lead to others.
    for world in worlds_with(&[LOOPBACK, ("ONYX_RATE_LIMITS", "false")]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let operator = world.operator().await;
        let partner = &developer.who.partner_id;
        operator.allow(partner, "shadow", json!({})).await;
        let one = developer.set_up(&receiver.url("/one")).await;
        let other = developer.set_up(&receiver.url("/other")).await;
        let path = format!("/webhook-endpoints/{}/test", text(&one, "id"));
        let keyed = async || {
            let request = developer.request(Method::POST, &path);
            let request = request.header("idempotency-key", "k").json(&json!({}));
            Answer::of(request.send().await.unwrap()).await
        };
        keyed().await.expect(200);

        let mut verbs = ["verify", "test"].into_iter().cycle();
        let of_one = "endpoint_messages_limit_exceeded";
        let sent = until_over(of_one, async || {
            developer.act(&one, verbs.next().unwrap()).await
        })
        .await;
        // Twenty at once, of which the first was sent when it was set up, and one under a key.
        assert!(sent >= 18, "{sent}");
        let came = |path: &str| {
            let received = receiver.received();
            received.iter().filter(|one| one.path == path).count()
        };
        assert_eq!(came("/one"), sent + 2);
        // What sends nothing is bounded by nothing of this; another endpoint has its own.
        assert_eq!(keyed().await.header("idempotent-replayed"), "true");
        developer.act(&one, "disable").await.expect(200);
        developer.act(&one, "enable").await.expect(200);
        let types = json!({ "event_types": ["order.failed"] });
        developer.change(&one, types).await.expect(200);
        developer.act(&other, "verify").await.expect(200);

        // Neither does another URL, or another endpoint, help.
        let change = json!({ "url": receiver.url("/elsewhere") });
        let refused = developer.change(&one, change).await.expect(429);
        assert_eq!(refused["code"], of_one);
        assert_eq!(developer.shown(&one).await["url"], receiver.url("/one"));
        let mut made = Vec::new();
        until_over("webhook_messages_limit_exceeded", async || {
            let body = json!({ "url": receiver.url("/more"), "event_types": ["*"] });
            let answer = developer.send(Method::POST, "", body).await;
            if answer.status == 201 {
                let endpoint = answer.json();
                made.push(text(&endpoint, "id"));
                let path = format!("/{}", text(&endpoint, "id"));
                developer.send(Method::DELETE, &path, json!({})).await;
            }
            answer
        })
        .await;
        assert_eq!(came("/more"), made.len());
        assert!(came("/one") + came("/other") + made.len() >= 60);
        let left = developer.get("/webhook-endpoints").await.expect(200);
        assert_eq!(left["data"].as_array().unwrap().len(), 2);

        // Other partners have theirs.
        let neighbour = world.developer().await;
        neighbour.set_up(&receiver.url("/neighbour")).await;
    }
}

/// A certificate for `localhost`, and its key, in a folder.
fn certificate(folder: &std::path::Path, name: &str) -> (Vec<u8>, Vec<u8>) {
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.crt"),
        ])
        .current_dir(folder)
        .output()
        .expect("openssl: install the package openssl");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let read = |end: &str| std::fs::read(folder.join(format!("{name}.{end}"))).unwrap();
    (read("crt"), read("key"))
}

#[actix_web::test]
async fn a_certificate_must_be_good_and_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let (good, key) = certificate(folder.path(), "good");
    let good = Receiver::start_secure(&good, &key).await;
    let (strange, key) = certificate(folder.path(), "strange");
    let strange = Receiver::start_secure(&strange, &key).await;
    let trusted = folder.path().join("good.crt");
    let settings = [LOOPBACK, ("SSL_CERT_FILE", trusted.to_str().unwrap())];
    for world in worlds_with(&settings).await {
        let developer = world.developer().await;
        let mut told = String::new();
        for (host, receiver) in [
            ("localhost", &good),
            ("localhost", &strange),
            ("127.0.0.1", &good),
        ] {
            let before = receiver.received().len();
            let url = format!("https://{host}:{}/in", receiver.port());
            let made = developer.set_up(&url).await;
            let came = receiver.received().len() - before;
            told += &format!("{}, {came} came\n", outcome(&made["challenge"]));
        }
        assert_snapshot!(told, @r"
        true - 200, 1 came
        false tls null, 0 came
        false tls null, 0 came
        ");
    }
}
