//! Following an issuer's revocations: a task that reads the feed, and knows how old its news is.
//!
//! It reads the stream and, where that breaks or a proxy holds it back, polls. Whatever happens to
//! the connection, nothing is missed: it goes on from the last number that it heard.

mod issuer;
mod news;
mod sse;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::{Audience, ConnectError, Revocation, RevocationKind, Revocations};
pub use issuer::FeedError;
use issuer::{Feed, Issuer, Page};
use news::News;

/// What a verifier does while its news of revocations is older than
/// [`Builder::max_staleness`](crate::Builder::max_staleness).
///
/// ```
/// assert_eq!(onyx_verifier::Staleness::default(), onyx_verifier::Staleness::Strict);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Staleness {
    /// Refuses every token with [`Rejection::Unavailable`](crate::Rejection::Unavailable): better
    /// nobody than somebody revoked.
    #[default]
    Strict,
    /// Asks the issuer about each token (RFC 7662); refuses where it does not answer, with
    /// [`Rejection::Unavailable`](crate::Rejection::Unavailable).
    ///
    /// It asks with the credential given to [`Builder::follow`](crate::Builder::follow), which must
    /// be that of the builder's own audience: of tokens for other audiences the issuer says that
    /// they are not active, however good they are. So a verifier made by
    /// [`Verifier::for_audience`](crate::Verifier::for_audience) asks only about tokens that are
    /// meant for the first audience, too, and is as [`Strict`](Self::Strict) with all others.
    Introspect,
    /// Accepts tokens until they expire, and counts them
    /// ([`Verifier::accepted_while_stale`](crate::Verifier::accepted_while_stale)).
    Lenient,
}

/// How a client of the issuer authenticates for the feed. Its secret cannot be printed.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.client_id)
    }
}

/// How long a broken stream is polled in place of before it is tried again.
const POLLING: Duration = Duration::from_secs(60);
/// How often revocations that are over are forgotten.
const TIDY: Duration = Duration::from_secs(60);
/// How many seconds clocks may be off, all of them together, before a revocation is forgotten too soon.
const WRONG_CLOCKS: i64 = 900;
/// The shortest and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The hold on the task, which ends when this is dropped.
pub(crate) struct Following {
    news: Arc<News>,
    issuer: Issuer,
    /// Whose tokens the issuer tells this client about.
    audience: String,
    pub(crate) staleness: Staleness,
    max_staleness: Duration,
    accepted_while_stale: AtomicU64,
    task: AbortHandle,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following {
    /// Reads all live revocations and goes on following.
    pub(crate) async fn start(
        issuer: &str,
        audience: &str,
        credentials: Credentials,
        revocations: Arc<Revocations>,
        keys_changed: Arc<AtomicBool>,
        staleness: Staleness,
        max_staleness: Duration,
    ) -> Result<Self, ConnectError> {
        let issuer = Issuer::new(issuer, credentials)?;
        let mut task = Task {
            feed: Feed::new(issuer.clone()),
            revocations,
            keys_changed,
            news: Arc::new(News::new()),
            cursor: None,
            tidied: Instant::now(),
        };
        task.begin_anew().await.map_err(ConnectError::Revocations)?;
        let news = Arc::clone(&task.news);
        let task = tokio::spawn(task.run()).abort_handle();
        Ok(Self {
            news,
            issuer,
            audience: audience.to_owned(),
            staleness,
            max_staleness,
            accepted_while_stale: AtomicU64::new(0),
            task,
        })
    }

    /// How old the news is.
    pub(crate) fn age(&self) -> Duration {
        self.news.age().unwrap_or(Duration::MAX)
    }

    /// Whether the news is too old to be relied on.
    pub(crate) fn is_stale(&self) -> bool {
        self.age() > self.max_staleness
    }

    pub(crate) fn count_stale(&self) {
        self.accepted_while_stale.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accepted_while_stale(&self) -> u64 {
        self.accepted_while_stale.load(Ordering::Relaxed)
    }

    /// Whether the issuer is to be asked about a token for these audiences. It calls whatever is not
    /// meant for the asking client's audience inactive, which says nothing of a revocation.
    pub(crate) fn introspects(&self, meant_for: &Audience) -> bool {
        self.staleness == Staleness::Introspect && meant_for.contains(&self.audience)
    }

    /// Whether the issuer says that the token is good. `None`: it does not answer.
    pub(crate) async fn is_active(&self, token: &str) -> Option<bool> {
        match self.issuer.is_active(token).await {
            Ok(active) => Some(active),
            Err(error) => {
                log::warn!("the issuer does not say whether a token is good: {error}");
                None
            }
        }
    }
}

struct Task {
    feed: Feed,
    revocations: Arc<Revocations>,
    /// Set where a key was revoked: another signs now.
    keys_changed: Arc<AtomicBool>,
    news: Arc<News>,
    /// The number to go on from. `None`: from the start.
    cursor: Option<u64>,
    /// When what is over was last forgotten.
    tidied: Instant,
}

impl Task {
    async fn run(mut self) {
        let mut failures = 0;
        let mut polling_until: Option<Instant> = None;
        loop {
            let polls = polling_until.is_some_and(|until| Instant::now() < until);
            let done = if polls {
                self.poll().await
            } else {
                self.listen().await
            };
            match done {
                Ok(()) => failures = 0,
                Err(FeedError::CursorGone) => {
                    // What is held stays in force until what is true now has been read.
                    if let Err(error) = self.begin_anew().await {
                        log::warn!("the revocation feed cannot be read anew: {error}");
                        failures += 1;
                    }
                }
                Err(error) => {
                    failures += 1;
                    log::warn!("the revocation feed is interrupted: {error}");
                    // What is held back once is held back again; what broke may be whole.
                    if !polls && (failures > 1 || matches!(error, FeedError::HeldBack)) {
                        polling_until = Some(Instant::now() + POLLING);
                    }
                }
            }
            sleep(pause(failures)).await;
        }
    }

    /// Reads the stream until it ends or breaks.
    async fn listen(&mut self) -> Result<(), FeedError> {
        let mut stream = self.feed.stream(self.cursor).await?;
        let mut reader = sse::Reader::default();
        let mut is_a_feed = false;
        while let Some(bytes) = stream.chunk().await? {
            for event in reader.feed(&bytes).map_err(|_| FeedError::Nonsense)? {
                if event.kind == "heartbeat" {
                    is_a_feed = true;
                    stream.has_begun();
                }
                self.take(&event)?;
            }
            self.tidy();
        }
        // What ends without a heartbeat is no feed, whatever answers there with 200.
        if is_a_feed {
            Ok(())
        } else {
            Err(FeedError::Nonsense)
        }
    }

    fn take(&mut self, event: &sse::Event) -> Result<(), FeedError> {
        match event.kind.as_str() {
            "revocation" => match serde_json::from_str::<Revocation>(&event.data) {
                Ok(entry) => {
                    self.apply(&entry);
                    self.cursor = self.cursor.max(Some(entry.seq));
                }
                Err(error) => log::warn!("a revocation of an unknown form: {error}"),
            },
            "heartbeat" => {
                let beat: Page = serde_json::from_str(&event.data).map_err(FeedError::Json)?;
                self.cursor = Some(beat.cursor);
                self.news.hear(beat.as_of);
            }
            _ => {}
        }
        Ok(())
    }

    fn apply(&self, entry: &Revocation) {
        self.revocations.apply(entry);
        if entry.kind == RevocationKind::Key {
            self.keys_changed.store(true, Ordering::Release);
        }
    }

    /// One poll, which waits at the issuer while there is nothing new, and reads all pages that
    /// there are.
    async fn poll(&mut self) -> Result<(), FeedError> {
        loop {
            let page = self.page_after(self.cursor).await?;
            page.entries().for_each(|entry| self.apply(&entry));
            self.cursor = Some(page.cursor);
            // What is revoked may still be on the next page, however young this one is.
            if !page.more {
                self.news.hear(page.as_of);
                self.tidy();
                return Ok(());
            }
        }
    }

    /// A page of the feed; one that says that there are more is on the way to the last.
    async fn page_after(&mut self, cursor: Option<u64>) -> Result<Page, FeedError> {
        let page = self.feed.poll(cursor).await?;
        // It would be asked for without a pause and without end.
        if page.more && cursor.is_some_and(|before| page.cursor <= before) {
            return Err(FeedError::Nonsense);
        }
        Ok(page)
    }

    /// Reads everything that is alive, and puts it in the place of what was held; keys that were
    /// revoked stay so.
    async fn begin_anew(&mut self) -> Result<(), FeedError> {
        let mut entries = Vec::new();
        let mut page = self.page_after(None).await?;
        loop {
            entries.extend(page.entries());
            if !page.more {
                break;
            }
            page = self.page_after(Some(page.cursor)).await?;
        }
        let is_news = |entry: &Revocation| {
            entry.kind == RevocationKind::Key && !self.revocations.holds_key(&entry.id)
        };
        // Only then: a feed that begins anew time and again is no reason to fetch keys each time.
        let keys_changed = entries.iter().any(is_news);
        self.revocations.replace(&entries);
        if keys_changed {
            self.keys_changed.store(true, Ordering::Release);
        }
        self.cursor = Some(page.cursor);
        self.news.begin_anew();
        self.news.hear(page.as_of);
        Ok(())
    }

    /// Forgets what is over, by the issuer's clock: this machine's may be wrong. So may the issuer's,
    /// and that of the node that revoked: nothing is lost by forgetting later.
    fn tidy(&mut self) {
        // Each time all that is held is looked at.
        if self.tidied.elapsed() < TIDY {
            return;
        }
        self.tidied = Instant::now();
        if let Some(as_of) = self.news.as_of() {
            let over = as_of.saturating_sub(WRONG_CLOCKS);
            self.revocations.forget_before(over);
        }
    }
}

/// A pause that doubles with each failure, and is not the same on every machine.
fn pause(failures: u32) -> Duration {
    let (shortest, longest) = PAUSES;
    let full = shortest.saturating_mul(1 << failures.min(10)).min(longest);
    let mut random = [0; 1];
    if rand::fill(&mut random).is_err() {
        return full;
    }
    let [random] = random;
    full.mul_f64(0.5 + f64::from(random) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refresh::server::{Answer, Server};

    const TOKEN: &str = "/oauth2/token";
    const FIRST: &str = "/oauth2/revocations?after=1&wait=4";
    const SECOND: &str = "/oauth2/revocations?after=2&wait=4";

    /// One that has read up to the first number, and has heard nothing since it began.
    fn follower(server: &Server) -> Task {
        let token = r#"{"access_token":"for the feed","expires_in":300}"#;
        server.serve(TOKEN, Answer::json(token));
        let credentials = Credentials {
            client_id: "cl_live_1".to_owned(),
            client_secret: "hush".to_owned(),
        };
        Task {
            feed: Feed::new(Issuer::new(&server.url(""), credentials).expect("an issuer")),
            revocations: Arc::default(),
            keys_changed: Arc::default(),
            news: Arc::new(News::new()),
            cursor: Some(1),
            tidied: Instant::now(),
        }
    }

    /// A page with the revocation of a token, which is its cursor.
    fn page(cursor: u64, as_of: i64, more: bool) -> Answer {
        let expires_at = i64::MAX;
        Answer::json(format!(
            r#"{{"cursor":{cursor},"as_of":{as_of},"more":{more},"entries":[{{"seq":{cursor},
                "kind":"token","id":"{cursor}","revoked_at":1,"expires_at":{expires_at}}}]}}"#
        ))
    }

    #[tokio::test]
    async fn only_the_last_page_is_news() {
        let server = Server::start();
        let mut task = follower(&server);
        server.serve(FIRST, page(2, 100, true));
        server.serve(SECOND, Answer::status(500));
        assert!(matches!(
            task.poll().await,
            Err(FeedError::Status { status: 500, .. })
        ));
        // What was read is in force, and goes on from there; but nothing says how old it is.
        assert_eq!((task.revocations.len(), task.cursor), (1, Some(2)));
        assert_eq!((task.news.as_of(), task.news.age()), (None, None));

        task.cursor = Some(1);
        server.serve(SECOND, page(3, 101, false));
        assert!(task.poll().await.is_ok());
        assert_eq!((task.revocations.len(), task.cursor), (2, Some(3)));
        assert_eq!(task.news.as_of(), Some(101));
    }

    #[tokio::test]
    async fn pages_without_end_are_no_feed() {
        let server = Server::start();
        let mut task = follower(&server);
        server.serve(FIRST, page(1, 100, true));
        assert!(matches!(task.poll().await, Err(FeedError::Nonsense)));
        server.serve("/oauth2/revocations", page(1, 100, true));
        assert!(matches!(task.begin_anew().await, Err(FeedError::Nonsense)));
        assert_eq!(task.news.age(), None);
    }

    #[tokio::test]
    async fn absurd_times_of_an_issuer_do_no_harm() {
        let server = Server::start();
        let mut task = follower(&server);
        let token = format!(
            r#"{{"access_token":"for the feed","expires_in":{}}}"#,
            u64::MAX
        );
        server.serve(TOKEN, Answer::json(token));
        for as_of in [i64::MIN, i64::MIN + 1, 0, i64::MAX] {
            server.serve(FIRST, page(2, as_of, false));
            task.cursor = Some(1);
            task.tidied = Instant::now() - TIDY;
            assert!(task.poll().await.is_ok(), "{as_of}");
            assert_eq!(task.revocations.len(), 1, "{as_of}");
        }
        // Its token is kept all the same.
        assert_eq!(server.hits(TOKEN), 1);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        for failures in 0..40 {
            let pause = pause(failures);
            assert!(pause >= PAUSES.0 / 2 && pause <= PAUSES.1, "{pause:?}");
        }
        let pauses: std::collections::BTreeSet<_> = (0..20).map(|_| pause(9)).collect();
        assert!(pauses.len() > 1);
    }

    #[test]
    fn credentials_do_not_print_their_secret() {
        let credentials = Credentials {
            client_id: "cl_live_1".to_owned(),
            client_secret: "hush".to_owned(),
        };
        assert_eq!(format!("{credentials:?}"), "Credentials(cl_live_1)");
    }
}
