//! Handlers that panic, over real sockets, in a process of their own: its log is read from outside.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer};

use super::*;
use crate::config::LogFormat;

/// Says to this very test that it is the process with the server in it.
const STAGE: &str = "ONYX_TEST_PANIC_STAGE";
const CANARY: &str = "onyx_live_sk_CanaryThatPanicsWithItsValueInItsMessage77";

async fn with_a_value() -> HttpResponse {
    panic!("cannot use {}", std::hint::black_box(CANARY))
}

async fn by_unwrapping() -> HttpResponse {
    let used: Result<HttpResponse, String> = std::hint::black_box(Err(CANARY.to_owned()));
    used.unwrap()
}

async fn with_a_literal() -> HttpResponse {
    panic!("a sentence of the source")
}

async fn after_waiting() -> HttpResponse {
    tokio::time::sleep(Duration::from_millis(5)).await;
    panic!("cannot use {}", std::hint::black_box(CANARY))
}

async fn fine() -> HttpResponse {
    HttpResponse::Ok().body("fine")
}

fn ask(address: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAuthorization: Bearer {CANARY}\r\n{parent}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

const PATHS: [&str; 5] = ["/value", "/unwrap", "/literal", "/later", "/fine"];

/// Serves in this process, asks for every path, and prints the answers.
fn stage() {
    logging::start("trace", LogFormat::Json);
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| {
            let clock = Clock::system();
            App::new()
                .app_data(Measured::unmatched())
                .route("/value", web::get().to(with_a_value))
                .route("/unwrap", web::get().to(by_unwrapping))
                .route("/literal", web::get().to(with_a_literal))
                .route("/later", web::get().to(after_waiting))
                .route("/fine", web::get().to(fine))
                .wrap(from_fn(move |request, next| {
                    let clock = clock.clone();
                    async move { around(&clock, request, next, |_, _, _, _| {}).await }
                }))
        })
        // One, so that whoever is asked after a panic is who panicked.
        .workers(1)
        .bind("127.0.0.1:0")
        .unwrap();
        let address = *server.addrs().first().unwrap();
        let running = server.run();
        let handle = running.handle();
        let asking = std::thread::spawn(move || {
            let answers: Vec<_> = PATHS.iter().map(|path| ask(address, path)).collect();
            println!("<<<{}>>>", serde_json::to_string(&answers).unwrap());
        });
        let task = actix_web::rt::spawn(running);
        tokio::task::spawn_blocking(|| asking.join().unwrap())
            .await
            .unwrap();
        handle.stop(true).await;
        task.await.unwrap().unwrap();
    });
}

#[test]
fn a_panic_is_a_500_with_an_id_and_its_message_stays_untold() {
    if std::env::var_os(STAGE).is_some() {
        return stage();
    }
    let name = format!(
        "{}::a_panic_is_a_500_with_an_id_and_its_message_stays_untold",
        module_path!()
    );
    let name = name.split_once("::").unwrap().1;
    let told = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(STAGE, "1")
        .output()
        .unwrap();
    let (out, log) = (
        String::from_utf8_lossy(&told.stdout).into_owned(),
        String::from_utf8_lossy(&told.stderr).into_owned(),
    );
    assert!(told.status.success(), "{out}\n{log}");
    let answers = out
        .split_once("<<<")
        .unwrap()
        .1
        .split_once(">>>")
        .unwrap()
        .0;
    let answers: Vec<String> = serde_json::from_str(answers).unwrap();
    for (path, answer) in PATHS.iter().zip(&answers) {
        assert!(!answer.contains("Canary"), "{answer}");
        let id = answer.split_once("onyx-request-id: ").expect(answer).1;
        let id = id.split_once("\r\n").unwrap().0;
        let line = log
            .lines()
            .rfind(|line| line.contains(id) && line.contains("duration_ms"))
            .expect(&log);
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        if *path == "/fine" {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert_eq!(line["status"], 200);
            continue;
        }
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], "internal");
        assert_eq!(body["request_id"], id);
        assert_eq!(
            (&line["status"], &line["code"]),
            (&500.into(), &"internal".into())
        );
        let place = log.lines().filter(|line| line.contains(id));
        assert!(
            place
                .clone()
                .any(|line| line.contains("panicked at src/http/trace/tests.rs")
                    || line.contains("result.rs")),
            "{log}"
        );
    }
    assert!(log.contains("a sentence of the source"));
    assert!(!log.contains("Canary"), "{log}");
}
