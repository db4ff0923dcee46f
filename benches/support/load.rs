//! Load over keep-alive connections, as light as it can be: it runs beside what it measures.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::Population;

/// What a round of load found.
pub struct Round {
    pub tokens: usize,
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
}

/// Whole requests, one a client.
pub fn requests(population: &Population) -> Arc<[Vec<u8>]> {
    let ids = population.ids.iter();
    ids.map(|id| request(id, &population.secret)).collect()
}

/// A token request.
pub fn request(client_id: &str, secret: &str) -> Vec<u8> {
    let body = "grant_type=client_credentials";
    let basic = STANDARD.encode(format!("{client_id}:{secret}"));
    format!(
        "POST /sandbox/oauth2/token HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {basic}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends requests, drawn at random, over so many connections for so long. Any answer but 200 ends it.
pub fn drive(
    address: &str,
    requests: &Arc<[Vec<u8>]>,
    connections: usize,
    lasts: Duration,
) -> Round {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    let (latencies, elapsed) = local.block_on(&runtime, async {
        let started = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|seed| {
                tokio::task::spawn_local(one(
                    address.to_owned(),
                    Arc::clone(requests),
                    seed as u64,
                    started + lasts,
                ))
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        (latencies, started.elapsed())
    });
    let mut latencies: Vec<u32> = latencies;
    latencies.sort_unstable();
    let at =
        |share: f64| f64::from(latencies[((latencies.len() - 1) as f64 * share) as usize]) / 1000.0;
    Round {
        tokens: latencies.len(),
        rate: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
    }
}

/// One connection's latencies, in microseconds.
async fn one(address: String, requests: Arc<[Vec<u8>]>, seed: u64, until: Instant) -> Vec<u32> {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut latencies, mut buffer) = (Vec::with_capacity(1 << 14), vec![0u8; 8192]);
    while Instant::now() < until {
        let sent = Instant::now();
        stream
            .write_all(&requests[random.random_range(0..requests.len())])
            .await
            .unwrap();
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "the server hung up");
            filled += read;
            if is_whole(&buffer[..filled]) {
                break;
            }
        }
        assert!(
            buffer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&buffer[..filled])
        );
        latencies.push(sent.elapsed().as_micros() as u32);
    }
    latencies
}

pub fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
        return false;
    };
    let text = std::str::from_utf8(&answer[..head])
        .unwrap()
        .to_ascii_lowercase();
    let length = text
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next());
    answer.len() >= head + 4 + length.unwrap().parse::<usize>().unwrap()
}

/// Calls that leave records, beside what is measured: two hundred a second, one in ten of them a guess.
pub struct Beside {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Beside {
    pub fn start(address: &str, population: &Population) -> Self {
        let (address, id) = (address.to_owned(), &population.ids[0]);
        let given = exchange(&address, &request(id, &population.secret));
        let token = given.split("\"access_token\":\"").nth(1).unwrap();
        let token = token.split('"').next().unwrap();
        let call = format!(
            "GET /sandbox/v1/me HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let guess = request(id, "onyx_sbx_sk_guess");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(&address).unwrap();
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                let is_guess = count % 10 == 9;
                let bytes = if is_guess { &guess } else { call.as_bytes() };
                let answer = exchange_on(&mut stream, bytes);
                // Who guesses so often is told to wait, and goes on.
                let wanted: &[&str] = if is_guess {
                    &["HTTP/1.1 401", "HTTP/1.1 429"]
                } else {
                    &["HTTP/1.1 200"]
                };
                let is_wanted = wanted.iter().any(|status| answer.starts_with(status));
                assert!(is_wanted, "{answer}");
                count += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            count
        });
        Self { stop, thread }
    }

    /// Answers how many calls it made.
    pub fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn exchange(address: &str, request: &[u8]) -> String {
    exchange_on(&mut TcpStream::connect(address).unwrap(), request)
}

fn exchange_on(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let (mut buffer, mut filled) = (vec![0u8; 16 * 1024], 0);
    while !is_whole(&buffer[..filled]) {
        let read = stream.read(&mut buffer[filled..]).unwrap();
        assert!(read > 0, "the server hung up");
        filled += read;
    }
    String::from_utf8_lossy(&buffer[..filled]).into_owned()
}
