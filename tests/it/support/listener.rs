//! One who listens to the revocation feed.

use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::Value;

use super::world::{Answer, World};

/// A stream of the feed.
pub struct Listener {
    stream: Response,
    read: String,
}

/// An event of the stream.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: i64,
    pub data: Value,
}

impl Listener {
    /// Opens a realm's stream, from an id on.
    pub async fn open(world: &World, realm: &str, token: &str, last: Option<i64>) -> Self {
        match Self::try_open(world, realm, token, last).await {
            Ok(listener) => listener,
            Err(refused) => panic!("the stream is refused: {refused:?}"),
        }
    }

    /// The same where it may be refused.
    pub async fn try_open(
        world: &World,
        realm: &str,
        token: &str,
        last: Option<i64>,
    ) -> Result<Self, Answer> {
        let path = format!("/{realm}/oauth2/revocations/stream");
        let mut request = world.request(Method::GET, &path).bearer_auth(token);
        if let Some(id) = last {
            request = request.header("Last-Event-ID", id);
        }
        let stream = request.send().await.unwrap();
        if stream.status() != 200 {
            return Err(Answer::of(stream).await);
        }
        Ok(Self {
            stream,
            read: String::new(),
        })
    }

    /// The next block of lines. `None`: the stream ended.
    pub async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.find("\n\n") {
                return Some(self.read.drain(..end + 2).collect());
            }
            let chunk = tokio::time::timeout(Duration::from_secs(30), self.stream.chunk());
            let chunk = chunk.await.expect("nothing comes").ok()??;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event of a kind.
    pub async fn next(&mut self, kind: &str) -> Event {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < deadline, "no {kind} comes");
            let block = self.block().await.expect("the stream ended");
            let field = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().to_owned()
            };
            if field("event: ") == kind {
                return Event {
                    id: field("id: ").parse().unwrap(),
                    data: serde_json::from_str(&field("data: ")).unwrap(),
                };
            }
        }
    }

    /// The ids of the next so many revocations, as they come.
    pub async fn revocations(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let event = self.next("revocation").await;
            assert_eq!(event.data["seq"].as_i64(), Some(event.id));
            ids.push(event.id);
        }
        ids
    }

    /// Reads heartbeats until one says that all up to here was told; nothing else may come.
    pub async fn nothing_more(&mut self, upto: i64) {
        loop {
            let block = self.block().await.expect("the stream ended");
            assert!(block.starts_with("event: heartbeat\n"), "{block}");
            if block.contains(&format!("id: {upto}\n")) {
                return;
            }
        }
    }
}
