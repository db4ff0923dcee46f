//! Slow, oversized and too many: what they get on real sockets, and that others are served meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::shop::{order, package};
use crate::support::world::{Engine, World, worlds};

/// Longer than any patience of the server.
const LONG: Duration = Duration::from_secs(120);

async fn world_with(settings: &[(&str, &str)]) -> World {
    let mut world = World::prepare(Engine::Sqlite, settings);
    assert!(world.run(&["operator", "bootstrap"]).status.success());
    world.start().await;
    world
}

fn connect(world: &World) -> TcpStream {
    let socket = TcpStream::connect(world.base.trim_start_matches("http://")).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

/// All that the server says until it hangs up.
fn until_closed(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // Closed with bytes unread, a connection is reset.
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// An upgrade is not taken up, and actix ends the connection after such a request: a client that is not told loses the
/// next one. Java's sends them wherever there is no TLS.
#[actix_web::test]
async fn who_offers_another_protocol_is_told_that_the_connection_ends() {
    let world = world_with(&[]).await;
    for offer in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQBAAAAAAUAAEAA",
        "Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.2",
    ] {
        for path in ["/sandbox/oauth2/jwks", "/sandbox/v1/me"] {
            let mut socket = connect(&world);
            let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{offer}\r\n\r\n");
            socket.write_all(head.as_bytes()).unwrap();
            let answer = until_closed(&mut socket).to_ascii_lowercase();
            let answer = answer.split("\r\n\r\n").next().unwrap();
            assert!(
                answer.contains("\r\nconnection: close"),
                "{offer}: {answer}"
            );
            assert!(!answer.contains("upgrade"), "{offer}: {answer}");
        }
    }
}

/// Sends a beginning, then a piece every now and then until the server hangs up; answers what it said.
fn trickle(mut socket: TcpStream, beginning: &str, piece: &'static str) -> String {
    socket.write_all(beginning.as_bytes()).unwrap();
    let mut sending = socket.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for _ in 0..LONG.as_secs() * 5 {
            if sending.write_all(piece.as_bytes()).is_err() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        false
    });
    let answer = until_closed(&mut socket);
    drop(socket);
    assert!(sender.join().unwrap(), "the server never hung up");
    answer
}

#[actix_web::test]
async fn who_sends_slowly_is_cut_off_and_holds_nobody_up() {
    let world = world_with(&[]).await;
    let post = |path: &str, more: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (sized, chunked) = (
        "Content-Length: 60000\r\n",
        "Transfer-Encoding: chunked\r\n",
    );
    let stories = [
        // A head without an end.
        (
            "GET /healthz HTTP/1.1\r\nHost: x\r\n".to_owned(),
            "X-A: b\r\n",
            "408",
        ),
        // A body, as long as it says and in chunks.
        (
            post("/sandbox/oauth2/token", &format!("{form}{sized}")),
            "a",
            "408",
        ),
        (
            post("/sandbox/oauth2/token", &format!("{form}{chunked}")),
            "1\r\na\r\n",
            "408",
        ),
        (
            post(
                "/leaks",
                &format!("Content-Type: application/json\r\n{sized}"),
            ),
            " ",
            "408",
        ),
        // Refused before its body is read.
        (post("/sandbox/v1/orders", sized), "a", "401"),
        (post("/sandbox/v1/orders", chunked), "1\r\na\r\n", "401"),
        (post("/nowhere", chunked), "1\r\na\r\n", "404"),
    ];
    let slow: Vec<_> = stories
        .into_iter()
        .map(|(beginning, piece, status)| {
            let socket = connect(&world);
            let told = std::thread::spawn(move || (trickle(socket, &beginning, piece), beginning));
            (told, status)
        })
        .collect();
    // Others are served while they trickle.
    let who = world.sandbox_client(&["orders:read"]).await;
    while !slow.iter().all(|(told, _)| told.is_finished()) {
        world.token("sandbox", &who, &[]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (told, status) in slow {
        let (answer, beginning) = told.join().unwrap();
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{beginning}: {answer:?}");
    }
}

#[actix_web::test]
async fn what_is_too_large_is_refused_unread() {
    let world = world_with(&[]).await;
    let line = "POST /sandbox/oauth2/token HTTP/1.1\r\nHost: x\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let long_header = format!("{line}X-Long: {}\r\n\r\n", "a".repeat(200_000));
    let many_headers = format!("{line}{}\r\n", "X-A: b\r\n".repeat(200));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(200_000));
    for head in [long_header, many_headers, long_target] {
        let answer = world.raw(head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(!answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
    // The length alone is enough: not a byte of it is sent.
    let mut socket = connect(&world);
    let announced = format!("{line}{form}Content-Length: 1000000000\r\n\r\n");
    socket.write_all(announced.as_bytes()).unwrap();
    let answer = until_closed(&mut socket);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Chunks without end.
    let mut socket = connect(&world);
    socket
        .write_all(format!("{line}{form}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
        .unwrap();
    let chunk = format!("400\r\n{}\r\n", "a".repeat(0x400));
    let deadline = std::time::Instant::now() + LONG;
    while socket.write_all(chunk.as_bytes()).is_ok() {
        assert!(std::time::Instant::now() < deadline, "all of it was taken");
    }
    assert_eq!(world.get("/sandbox/oauth2/jwks", None).await.status, 200);
}

/// Whether a connection is served.
fn is_served(socket: &mut TcpStream) -> bool {
    let request = b"GET /sandbox/oauth2/jwks HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = [0; 12];
    socket.write_all(request).is_ok()
        && socket.read_exact(&mut first).is_ok()
        && &first == b"HTTP/1.1 200"
}

#[actix_web::test]
async fn an_address_has_so_many_connections_and_no_more_unless_it_is_a_trusted_proxy_s() {
    let world = world_with(&[("ONYX_CONNECTIONS_PER_ADDRESS", "8")]).await;
    let mut held = Vec::new();
    loop {
        let mut socket = connect(&world);
        if !is_served(&mut socket) {
            break;
        }
        held.push(socket);
        assert!(held.len() <= 8, "{}", held.len());
    }
    // Operations are not shut out by that.
    let text = world.http.get(format!("{}/metrics", world.ops)).send();
    let text = text.await.unwrap().text().await.unwrap();
    let refused = "onyx_connections_refused_total 0";
    assert!(!text.lines().any(|line| line == refused), "{text}");
    // One that ends makes room for another, as soon as the server has seen it.
    held.truncate(4);
    let deadline = std::time::Instant::now() + LONG;
    while !is_served(&mut connect(&world)) {
        assert!(std::time::Instant::now() < deadline);
    }

    let trusting = [
        ("ONYX_CONNECTIONS_PER_ADDRESS", "8"),
        ("ONYX_TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let world = world_with(&trusting).await;
    let mut held: Vec<_> = (0..40).map(|_| connect(&world)).collect();
    assert!(held.iter_mut().all(is_served));
}

#[actix_web::test]
async fn who_takes_nothing_of_its_answers_loses_its_place_and_who_takes_them_slowly_gets_them() {
    let world = world_with(&[("ONYX_CONNECTIONS_PER_ADDRESS", "16")]).await;
    let bundle = "/docs/swagger-ui-bundle.js";
    let largest = world.get(bundle, None).await.text.len();
    // More than the system takes over from the server.
    let asked = format!("GET {bundle} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(8);
    let mut slow = connect(&world);
    assert!(is_served(&mut slow));
    slow.write_all(asked.as_bytes()).unwrap();
    let mut held = Vec::new();
    loop {
        let mut socket = connect(&world);
        if !is_served(&mut socket) {
            break;
        }
        socket.write_all(asked.as_bytes()).unwrap();
        held.push(socket);
        assert!(held.len() < 16);
    }
    // Of the other places, what this test holds idle would be free after a while in any case.
    assert!(held.len() > 8, "{}", held.len());
    // In all it takes longer than the server waits for who takes nothing.
    let slow = std::thread::spawn(move || {
        let (mut taken, mut piece) = (0, vec![0; 64 * 1024]);
        while taken < 8 * largest {
            match slow.read(&mut piece) {
                Ok(read) if read > 0 => taken += read,
                ended => panic!("after {taken} bytes: {ended:?}"),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let deadline = std::time::Instant::now() + LONG;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // All at once: as many as there are places again.
        let mut others: Vec<_> = held.iter().map(|_| connect(&world)).collect();
        if others.iter_mut().all(is_served) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "they are still held");
    }
    slow.join().unwrap();
}

/// A request of which all but the last byte of the body has gone out.
fn all_but_the_end(world: &World, path: &str, token: &str, more: &str, body: &str) -> TcpStream {
    let mut socket = connect(world);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n{more}\r\n",
        body.len()
    );
    let sent = [head.as_bytes(), &body.as_bytes()[..body.len() - 1]].concat();
    socket.write_all(&sent).unwrap();
    socket
}

#[actix_web::test]
async fn whoever_is_revoked_while_its_body_arrives_is_refused() {
    for world in worlds().await {
        let operator = world.operator().await;
        let package = operator.published(package()).await;
        let shopper = world.shopper().await;
        let bought = order(&package, 1, "PO-1").to_string();
        let key = "Idempotency-Key: k\r\n";
        let path = shopper.path("/orders");
        let ordering = all_but_the_end(&world, &path, &shopper.token, key, &bought);
        let thief = world.second_operator().await;
        let path = format!("/admin/v1/clients/{}/credentials", shopper.who.client_id);
        let asked = json!({ "label": "mine" }).to_string();
        let issuing = all_but_the_end(&world, &path, &thief.token, "", &asked);
        // Both are let in, and wait.
        tokio::time::sleep(Duration::from_millis(500)).await;
        operator
            .revoke(&shopper.who.credential_id)
            .await
            .expect(200);
        let body = json!({ "token": thief.token });
        operator.post("/tokens/revoke", body).await.expect(200);
        for mut socket in [ordering, issuing] {
            socket.write_all(b"}").unwrap();
            let answer = until_closed(&mut socket);
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        }
        assert_eq!(world.lines("SELECT id AS line FROM orders"), [""; 0]);
    }
}
