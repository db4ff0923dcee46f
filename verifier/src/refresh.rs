//! The task that keeps an issuer's keys fresh.
//!
//! It alone fetches, so fetches never overlap, an older answer never overwrites a newer one, and
//! how often the issuer is asked is decided in one place.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::{
    ConnectError,
    fetch::{Published, Source},
    keys::Keyring,
};

/// How often keys are fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Where the publisher does not say how long its keys are fresh.
    pub(crate) usual: Duration,
    /// At the least, whatever the publisher says, and after a failure.
    pub(crate) shortest: Duration,
    /// At the most, whatever the publisher says.
    pub(crate) longest: Duration,
    /// At the least between two fetches that callers bring about.
    pub(crate) between_asks: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            usual: Duration::from_secs(5 * 60),
            shortest: Duration::from_secs(30),
            longest: Duration::from_secs(60 * 60),
            between_asks: Duration::from_secs(30),
        }
    }
}

impl Pace {
    fn until_next(self, fresh_for: Option<Duration>) -> Duration {
        fresh_for
            .unwrap_or(self.usual)
            .clamp(self.shortest, self.longest)
    }
}

/// The hold on the task, which ends when this is dropped.
pub(crate) struct Refresher {
    asks: mpsc::Sender<oneshot::Sender<bool>>,
    /// Whether the issuer itself has said that its keys are others now: the next ask need not wait.
    changed: Arc<AtomicBool>,
}

impl Refresher {
    /// To be set by whoever hears from the issuer that a key was revoked.
    pub(crate) fn changed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.changed)
    }

    /// Has the keys fetched now, unless somebody else has had them fetched a moment ago.
    ///
    /// Whether the issuer answered when it was last asked.
    pub(crate) async fn ask(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        // Either fails only if the task's runtime is gone.
        self.asks.send(answer).await.is_ok() && answered.await.unwrap_or(false)
    }
}

/// Fetches the keys of `issuer` and goes on doing so.
pub(crate) async fn start(
    issuer: &str,
    jwks_uri: Option<&str>,
    pace: Pace,
) -> Result<(Arc<ArcSwap<Keyring>>, Refresher), ConnectError> {
    let source = match jwks_uri {
        Some(url) => Source::new(url)?,
        None => Source::discover(issuer).await?,
    };
    let Published { keys, fresh_for } = source.keys().await?;
    let keyring = Keyring::tolerant(&keys);
    if keyring.is_empty() {
        return Err(ConnectError::NoKeys);
    }
    let keys = Arc::new(ArcSwap::from_pointee(keyring));
    let (asks, asked) = mpsc::channel(16);
    let changed = Arc::new(AtomicBool::new(false));
    let task = Task {
        issuer: issuer.to_owned(),
        source,
        keys: Arc::clone(&keys),
        pace,
        due: Instant::now() + pace.until_next(fresh_for),
        heard: true,
        changed: Arc::clone(&changed),
    };
    tokio::spawn(task.run(asked));
    Ok((keys, Refresher { asks, changed }))
}

struct Task {
    issuer: String,
    source: Source,
    keys: Arc<ArcSwap<Keyring>>,
    pace: Pace,
    /// When to fetch again unasked.
    due: Instant,
    /// Whether the last fetch succeeded.
    heard: bool,
    changed: Arc<AtomicBool>,
}

impl Task {
    async fn run(mut self, mut asked: mpsc::Receiver<oneshot::Sender<bool>>) {
        let mut rested = Instant::now();
        loop {
            match timeout_at(self.due, asked.recv()).await {
                Ok(None) => return,
                Ok(Some(answer)) => {
                    if self.changed.swap(false, Ordering::AcqRel) || Instant::now() >= rested {
                        self.fetch().await;
                        rested = Instant::now() + self.pace.between_asks;
                    }
                    // Who asked may have gone away.
                    let _ = answer.send(self.heard);
                }
                Err(_due) => self.fetch().await,
            }
        }
    }

    async fn fetch(&mut self) {
        let next = match self.source.keys().await {
            Ok(Published { keys, fresh_for }) => {
                let keyring = Keyring::tolerant(&keys);
                if keyring.is_empty() {
                    // The issuer's own word, so no token is good any more.
                    log::warn!("{} publishes no usable key", self.issuer);
                }
                self.keys.store(Arc::new(keyring));
                self.heard = true;
                self.pace.until_next(fresh_for)
            }
            Err(error) => {
                log::warn!(
                    "the old keys of {} stay in use: {}",
                    self.issuer,
                    chain(&error)
                );
                self.heard = false;
                self.pace.shortest
            }
        };
        self.due = Instant::now() + next;
    }
}

/// An error with all its causes in a line.
fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |error| (*error).source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
#[path = "../tests/suite/server.rs"]
mod server;

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::{
        server::{Answer, Server},
        *,
    };

    const JWKS: &str = "/jwks";
    const QUICK: Duration = Duration::from_millis(50);
    const NEVER: Duration = Duration::from_secs(3600);

    /// A set of one key, with the name given.
    fn named(kid: &str) -> Answer {
        let key =
            r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
        Answer::json(format!(r#"{{"keys":[{{"kid":"{kid}",{key}}}]}}"#))
    }

    fn pace(between_fetches: Duration, between_asks: Duration) -> Pace {
        Pace {
            usual: between_fetches,
            shortest: between_fetches,
            longest: between_fetches,
            between_asks,
        }
    }

    async fn started(server: &Server, pace: Pace) -> (Arc<ArcSwap<Keyring>>, Refresher) {
        server.serve(JWKS, named("first"));
        let url = server.url(JWKS);
        start("https://auth.example", Some(&url), pace)
            .await
            .unwrap()
    }

    async fn until(what: impl Fn() -> bool) {
        for _ in 0..250 {
            if what() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not happen within 5 seconds");
    }

    #[test]
    fn a_publisher_is_asked_neither_too_often_nor_too_seldom() {
        let next = |said: Option<u64>| {
            let said = said.map(Duration::from_secs);
            Pace::default().until_next(said).as_secs()
        };
        assert_eq!(next(None), 300);
        assert_eq!(next(Some(0)), 30);
        assert_eq!(next(Some(600)), 600);
        assert_eq!(next(Some(u64::MAX)), 3600);
    }

    #[tokio::test]
    async fn keys_are_refreshed_unasked_and_through_failures() {
        let server = Server::start();
        let (keys, _refresher) = started(&server, pace(QUICK, NEVER)).await;

        server.serve(JWKS, Answer::status(500));
        let before = server.hits(JWKS);
        until(|| server.hits(JWKS) >= before + 2).await;
        assert!(keys.load().has("first"));

        server.serve(JWKS, named("second"));
        until(|| keys.load().has("second")).await;
        assert!(!keys.load().has("first"));

        server.serve(JWKS, Answer::json(r#"{"keys":[]}"#));
        until(|| keys.load().is_empty()).await;
    }

    #[tokio::test]
    async fn asking_fetches_once_in_a_while() {
        let server = Server::start();
        let (keys, refresher) = started(&server, pace(NEVER, Duration::from_secs(1))).await;

        server.serve(JWKS, Answer::status(500));
        for _ in 0..20 {
            assert!(!refresher.ask().await);
        }
        assert_eq!(server.hits(JWKS), 2);

        server.serve(JWKS, named("second"));
        sleep(Duration::from_millis(1100)).await;
        assert!(refresher.ask().await);
        assert_eq!(server.hits(JWKS), 3);
        assert!(keys.load().has("second"));
    }

    #[tokio::test]
    async fn the_task_ends_with_its_hold() {
        let server = Server::start();
        let (keys, refresher) = started(&server, pace(QUICK, NEVER)).await;
        until(|| server.hits(JWKS) > 1).await;
        drop(refresher);
        // The task holds the other reference.
        until(|| Arc::strong_count(&keys) == 1).await;
    }
}
