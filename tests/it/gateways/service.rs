//! The service behind a gateway: answers each request with the request, as it came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Service {
    pub address: String,
    hits: Arc<AtomicUsize>,
}

impl Service {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&hits);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || answer(stream, &counted));
            }
        });
        Self { address, hits }
    }

    /// How many requests came.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, hits: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    while reader.read_line(&mut request)? > 2 {}
    if request.is_empty() {
        return Ok(());
    }
    hits.fetch_add(1, Ordering::SeqCst);
    let length = values(&request, "content-length").first().copied();
    let length: usize = length.unwrap_or_default().parse().unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request += &String::from_utf8_lossy(&body);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{request}",
        request.len()
    )
}

/// All values of a header in a request as text.
pub fn values<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let lines = request.lines().skip(1).take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}
