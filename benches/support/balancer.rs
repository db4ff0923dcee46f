//! What stands before several nodes: a TCP proxy that can stop forwarding to one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Gives each connection to some target.
pub struct Balancer {
    pub address: String,
    targets: Arc<[Target]>,
}

struct Target {
    address: String,
    is_held: AtomicBool,
}

impl Balancer {
    /// Listens on an address before its targets need to be there.
    pub async fn start(address: &str, targets: &[String]) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let targets: Arc<[Target]> = targets
            .iter()
            .map(|address| Target {
                address: address.clone(),
                is_held: AtomicBool::new(false),
            })
            .collect();
        let known = Arc::clone(&targets);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // By lot: in turns, all who make the same number of connections would meet at one.
                let nth = rand::rng().random_range(0..known.len());
                tokio::spawn(forward(near, Arc::clone(&known), nth));
            }
        });
        Self {
            address: address.to_owned(),
            targets,
        }
    }

    /// Nothing passes to or from a target any more; connections stay open.
    pub fn hold(&self, nth: usize) {
        self.targets[nth].is_held.store(true, Ordering::Relaxed);
    }

    /// Everything passes again.
    pub fn release(&self, nth: usize) {
        self.targets[nth].is_held.store(false, Ordering::Relaxed);
    }
}

async fn forward(near: TcpStream, targets: Arc<[Target]>, nth: usize) {
    let Ok(far) = TcpStream::connect(&targets[nth].address).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
    tokio::spawn(one_way(from_near, to_far, Arc::clone(&targets), nth));
    one_way(from_far, to_near, targets, nth).await;
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    targets: Arc<[Target]>,
    nth: usize,
) {
    let mut buffer = [0; 8 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        while targets[nth].is_held.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
