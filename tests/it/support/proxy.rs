//! A TCP proxy that can stop forwarding, as a network does that lost its way; and what stands
//! before several nodes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Forwards to one of its targets, each connection to the next, until it is told to hold.
pub struct Proxy {
    pub address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    targets: Mutex<Vec<String>>,
    turn: AtomicUsize,
    holds: AtomicBool,
    /// Connections are ended as soon as they are made.
    is_cut: AtomicBool,
    /// Requests with this in them are never answered.
    swallows: Mutex<Option<String>>,
    /// Requests' heads, and how often anything was sent.
    heads: Mutex<Vec<String>>,
    sent: AtomicUsize,
    refused: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub fn to(target: &str) -> Self {
        let proxy = Self::new();
        proxy.point_at([target]);
        proxy
    }

    /// One that has nobody to forward to yet.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Some(far) = shared.connect() else {
                    continue;
                };
                let mut open = shared.open.lock().unwrap();
                open.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                drop(open);
                let is_swallowed = Arc::new(AtomicBool::new(false));
                for (from, to, is_request) in [(&near, &far, true), (&far, &near, false)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (shared, swallowed) = (Arc::clone(&shared), Arc::clone(&is_swallowed));
                    std::thread::spawn(move || {
                        forward(from, to, &shared, &swallowed, is_request);
                    });
                }
            }
        });
        Self { address, state }
    }

    /// New connections go to these, in turns.
    pub fn point_at<'a>(&self, targets: impl IntoIterator<Item = &'a str>) {
        let plain = |url: &str| url.trim_start_matches("http://").to_owned();
        *self.state.targets.lock().unwrap() = targets.into_iter().map(plain).collect();
    }

    /// Connections stay open, and nothing passes any more.
    pub fn hold(&self) {
        self.state.holds.store(true, Ordering::SeqCst);
    }

    /// What was held passes, and all that follows.
    pub fn release(&self) {
        self.state.holds.store(false, Ordering::SeqCst);
    }

    /// Ends every connection, and each that is tried.
    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        self.hang_up();
    }

    /// Ends every connection; new ones are made.
    pub fn hang_up(&self) {
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Connections can be made again.
    pub fn mend(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
    }

    /// Answers to requests with this in them never come, as behind what gathers answers before it passes them on.
    pub fn swallow(&self, what: &str) {
        *self.state.swallows.lock().unwrap() = Some(what.to_owned());
    }

    /// The heads of requests that came with this in them, in small letters.
    pub fn heads(&self, what: &str) -> Vec<String> {
        let heads = self.state.heads.lock().unwrap();
        let found = heads.iter().filter(|head| head.contains(what));
        found.cloned().collect()
    }

    /// How many connections were ended as soon as they were made.
    pub fn refused(&self) -> usize {
        self.state.refused.load(Ordering::SeqCst)
    }

    /// How often anything was sent to the target.
    pub fn sent(&self) -> usize {
        self.state.sent.load(Ordering::SeqCst)
    }
}

impl State {
    /// A connection to the next target that takes one.
    fn connect(&self) -> Option<TcpStream> {
        if self.is_cut.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        let targets = self.targets.lock().unwrap().clone();
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        let order = targets.iter().cycle().skip(turn % targets.len().max(1));
        order
            .take(targets.len())
            .find_map(|target| TcpStream::connect(target).ok())
    }

    fn note(&self, bytes: &[u8], is_swallowed: &AtomicBool) {
        self.sent.fetch_add(1, Ordering::SeqCst);
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        if text.contains(" http/1.1\r\n") {
            let swallows = self.swallows.lock().unwrap();
            if swallows.as_ref().is_some_and(|what| text.contains(what)) {
                is_swallowed.store(true, Ordering::SeqCst);
            }
            self.heads.lock().unwrap().push(text);
        }
    }
}

fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    state: &State,
    is_swallowed: &AtomicBool,
    is_request: bool,
) {
    let _ = to.set_nodelay(true);
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if is_request && read > 0 {
            state.note(&buffer[..read], is_swallowed);
        }
        while state.holds.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if !is_request && is_swallowed.load(Ordering::SeqCst) && read > 0 {
            continue;
        }
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
