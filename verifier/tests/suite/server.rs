//! A small HTTP server on a loopback port that serves what it is told and counts who asks.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    hits: HashMap<String, usize>,
}

/// What a path is answered with: a status, header lines and a body.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: &'static str,
    pub(crate) body: String,
    pub(crate) delay: Duration,
}

impl Answer {
    pub(crate) fn json(body: impl ToString) -> Self {
        Self {
            status: 200,
            headers: "Content-Type: application/json\r\n",
            body: body.to_string(),
            delay: Duration::ZERO,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::json("{}")
        }
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let served = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let served = Arc::clone(&served);
                thread::spawn(move || serve(stream?, &served));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn serve(&self, path: &str, answer: Answer) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers.insert(path.to_owned(), answer);
    }

    pub(crate) fn hits(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.hits.get(path).copied().unwrap_or_default()
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while reader.read_line(&mut request)? > 2 {}
    // A connection that is closed over an unread body is reset, and the answer may be lost.
    std::io::copy(
        &mut reader.by_ref().take(body_length(&request)),
        &mut std::io::sink(),
    )?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        *state.hits.entry(path.clone()).or_default() += 1;
        let answer = state.answers.get(&path).cloned();
        answer.unwrap_or_else(|| Answer::status(404))
    };
    thread::sleep(answer.delay);
    write!(
        stream,
        "HTTP/1.1 {} Answer\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}",
        answer.status,
        answer.body.len(),
        answer.headers,
        answer.body
    )
}

/// How long the body is, by the header of the request.
fn body_length(header: &str) -> u64 {
    let fields = header.lines().filter_map(|line| line.split_once(": "));
    fields
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, length)| length.parse().ok())
        .unwrap_or_default()
}
