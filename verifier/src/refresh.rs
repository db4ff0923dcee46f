//! The task that keeps an issuer's keys fresh.
//!
//! It alone fetches, so fetches never overlap, an older answer never overwrites a newer one, and
//! how often the issuer is asked is decided in one place.

mod turns;

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
    ConnectError, Revocations,
    fetch::{Published, Source},
    keys::Keyring,
};
use turns::Turns;

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
    /// The same while the keys are missed that follow a revoked one.
    pub(crate) between_tries: Duration,
    /// How long they are missed at the most.
    pub(crate) missed_for: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            usual: Duration::from_secs(5 * 60),
            shortest: Duration::from_secs(30),
            longest: Duration::from_secs(60 * 60),
            between_asks: Duration::from_secs(30),
            between_tries: Duration::from_secs(1),
            missed_for: Duration::from_secs(30),
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

/// Somebody waits for a key.
struct Ask {
    kid: String,
    answer: oneshot::Sender<bool>,
}

/// The hold on the task, which ends when this is dropped.
pub(crate) struct Refresher {
    asks: mpsc::Sender<Ask>,
    /// Whether the issuer itself has said that its keys are others now: the next ask need not wait.
    changed: Arc<AtomicBool>,
}

impl Refresher {
    /// To be set by whoever hears from the issuer that a key was revoked.
    pub(crate) fn changed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.changed)
    }

    /// Has the keys fetched now for the sake of one, unless somebody else has had them fetched a
    /// moment ago.
    ///
    /// Whether the issuer answered when it was last asked.
    pub(crate) async fn ask(&self, kid: String) -> bool {
        let (answer, answered) = oneshot::channel();
        // Either fails only if the task's runtime is gone.
        self.asks.send(Ask { kid, answer }).await.is_ok() && answered.await.unwrap_or(false)
    }
}

/// Fetches the keys of `issuer` and goes on doing so; `revocations` know which of them are dead.
pub(crate) async fn start(
    issuer: &str,
    jwks_uri: Option<&str>,
    pace: Pace,
    revocations: Arc<Revocations>,
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
        revocations,
        pace,
        turns: Turns::new(pace, Instant::now()),
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
    revocations: Arc<Revocations>,
    pace: Pace,
    turns: Turns,
    /// When to fetch again unasked.
    due: Instant,
    /// Whether the last fetch succeeded.
    heard: bool,
    changed: Arc<AtomicBool>,
}

impl Task {
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        loop {
            let next = timeout_at(self.due, asked.recv()).await;
            // Before the fetch: what is heard during one is looked for in the next.
            if self.changed.swap(false, Ordering::AcqRel) {
                self.turns.revoked(Instant::now());
            }
            match next {
                Ok(None) => return,
                Ok(Some(Ask { kid, answer })) => {
                    if self.turns.may_fetch(Instant::now()) {
                        self.fetch(Some(&kid)).await;
                        self.turns.rest(Instant::now());
                    }
                    // Who asked may have gone away.
                    let _ = answer.send(self.heard);
                }
                Err(_due) => self.fetch(None).await,
            }
        }
    }

    /// Fetches the keys, perhaps for the sake of one.
    async fn fetch(&mut self, wanted: Option<&str>) {
        let next = match self.source.keys().await {
            Ok(Published { keys, fresh_for }) => {
                let keyring = Keyring::tolerant(&keys);
                if keyring.is_empty() {
                    // The issuer's own word, so no token is good any more.
                    log::warn!("{} publishes no usable key", self.issuer);
                }
                if self.follows_a_revocation(&keyring, wanted) {
                    self.turns.found();
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

    /// Whether these can be the keys from after a revocation.
    ///
    /// A node that has not heard of it still publishes the revoked key, and a set with the names of
    /// the one before brings nothing that was missed.
    fn follows_a_revocation(&self, fetched: &Keyring, wanted: Option<&str>) -> bool {
        !fetched.is_empty()
            && !fetched.kids().any(|kid| self.revocations.holds_key(kid))
            && (wanted.is_some_and(|kid| fetched.has(kid))
                || !fetched.is_named_as(&self.keys.load()))
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
pub(crate) mod server;

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::{
        server::{Answer, Server},
        *,
    };
    use crate::{Revocation, RevocationKind};

    const JWKS: &str = "/jwks";
    const QUICK: Duration = Duration::from_millis(50);
    const NEVER: Duration = Duration::from_secs(3600);

    /// A set of one key, with the name given.
    fn named(kid: &str) -> Answer {
        all_named(&[kid])
    }

    fn all_named(kids: &[&str]) -> Answer {
        let key =
            r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
        let keys: Vec<_> = kids
            .iter()
            .map(|kid| format!(r#"{{"kid":"{kid}",{key}}}"#))
            .collect();
        Answer::json(format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
    }

    fn pace(between_fetches: Duration, between_asks: Duration) -> Pace {
        Pace {
            usual: between_fetches,
            shortest: between_fetches,
            longest: between_fetches,
            between_asks,
            between_tries: Duration::ZERO,
            missed_for: NEVER,
        }
    }

    async fn started(server: &Server, pace: Pace) -> (Arc<ArcSwap<Keyring>>, Refresher) {
        let none = Arc::default();
        knowing(none, server, pace).await
    }

    /// The same for one that knows of revocations.
    async fn knowing(
        revocations: Arc<Revocations>,
        server: &Server,
        pace: Pace,
    ) -> (Arc<ArcSwap<Keyring>>, Refresher) {
        server.serve(JWKS, named("first"));
        let url = server.url(JWKS);
        start("https://auth.example", Some(&url), pace, revocations)
            .await
            .unwrap()
    }

    /// The issuer says that a key was revoked.
    fn revoke(kid: &str, revocations: &Revocations, refresher: &Refresher) {
        revocations.apply(&Revocation {
            seq: 7,
            kind: RevocationKind::Key,
            id: kid.to_owned(),
            scope: None,
            revoked_at: 0,
            expires_at: 0,
        });
        refresher.changed().store(true, Ordering::Release);
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
            assert!(!refresher.ask("second".to_owned()).await);
        }
        assert_eq!(server.hits(JWKS), 2);

        server.serve(JWKS, named("second"));
        sleep(Duration::from_millis(1100)).await;
        assert!(refresher.ask("second".to_owned()).await);
        assert_eq!(server.hits(JWKS), 3);
        assert!(keys.load().has("second"));
    }

    #[tokio::test]
    async fn after_a_revocation_keys_are_fetched_until_those_that_follow_are_there() {
        let (server, revocations) = (Server::start(), Arc::default());
        let (keys, refresher) =
            knowing(Arc::clone(&revocations), &server, pace(NEVER, NEVER)).await;
        let ask = async || refresher.ask("second".to_owned()).await;
        // For an hour nobody else has them fetched.
        assert!(ask().await);
        assert_eq!(server.hits(JWKS), 2);

        // Nodes that have not heard answer, and one that is broken, and one that has none yet.
        revoke("first", &revocations, &refresher);
        assert!(ask().await);
        server.serve(JWKS, all_named(&["first", "another"]));
        assert!(ask().await);
        server.serve(JWKS, Answer::status(500));
        assert!(!ask().await);
        server.serve(JWKS, Answer::json(r#"{"keys":[]}"#));
        assert!(ask().await);
        assert_eq!(server.hits(JWKS), 6);

        server.serve(JWKS, named("second"));
        assert!(ask().await);
        assert!(keys.load().has("second"));
        assert_eq!(server.hits(JWKS), 7);
        // They are missed no more.
        assert!(ask().await);
        assert_eq!(server.hits(JWKS), 7);
    }

    #[tokio::test]
    async fn keys_that_were_there_before_are_not_missed_by_who_finds_the_one_that_is_wanted() {
        let (server, revocations) = (Server::start(), Arc::default());
        let (_keys, refresher) =
            knowing(Arc::clone(&revocations), &server, pace(NEVER, NEVER)).await;
        revoke("zeroth", &revocations, &refresher);
        // Whether it was fetched before or after the revocation the set does not say.
        for (kid, hits) in [("forged", 2), ("forged", 3), ("first", 4), ("forged", 4)] {
            assert!(refresher.ask(kid.to_owned()).await);
            assert_eq!(server.hits(JWKS), hits, "{kid}");
        }
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
