//! A TCP proxy that can stop forwarding, as a network does that lost its way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Forwards to one address until it is told to hold.
pub struct Proxy {
    pub address: String,
    holds: Arc<AtomicBool>,
}

impl Proxy {
    pub fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (holds, target) = (Arc::new(AtomicBool::new(false)), target.to_owned());
        let held = Arc::clone(&holds);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&target) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let held = Arc::clone(&held);
                    std::thread::spawn(move || forward(from, to, &held));
                }
            }
        });
        Self { address, holds }
    }

    /// Connections stay open, and nothing passes any more.
    pub fn hold(&self) {
        self.holds.store(true, Ordering::SeqCst);
    }

    /// What was held passes, and all that follows.
    pub fn release(&self) {
        self.holds.store(false, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, held: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        while held.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
