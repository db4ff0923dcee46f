//! The issuer's endpoints that a follower needs: tokens, the feed, introspection.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::Credentials;
use crate::{ConnectError, Revocation, fetch};

/// How long an answer may take; a poll waits for [`WAIT`] besides.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a stream may be silent: its heart beats every five seconds. Another is opened while the
/// news is younger than most owners' bound.
const SILENCE: Duration = Duration::from_secs(7);
/// How long a stream may take to begin: its heart beats at once.
const PROMPT: Duration = Duration::from_secs(3);
/// How long a poll waits at the issuer. Its answers are the only heartbeat while polling.
const WAIT: Duration = Duration::from_secs(4);
/// A token is not used in its last seconds.
const MARGIN: Duration = Duration::from_secs(10);
/// Nor for longer than this, whatever the issuer says: a moment too far off cannot be told.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Why the feed cannot be read.
///
/// ```
/// use onyx_verifier::{ConnectError, FeedError};
///
/// /// Whether it is the credential that should be looked at.
/// fn is_ours_to_mend(error: &ConnectError) -> bool {
///     matches!(error, ConnectError::Revocations(FeedError::Status { status: 401, .. }))
/// }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The issuer cannot be reached, or the connection broke.
    #[error("{0}")]
    Network(#[from] reqwest::Error),
    /// Another status than was hoped for; 401 says that the credentials are no good.
    #[error("{endpoint} answered with status {status}")]
    Status {
        /// Which endpoint.
        endpoint: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// Not the JSON that it ought to be.
    #[error("the feed is not understood: {0}")]
    Json(#[source] serde_json::Error),
    /// Not a stream of events, or one without end.
    #[error("the feed is not understood")]
    Nonsense,
    /// The stream was opened, and nothing comes of it: something on the way holds it back.
    #[error("the stream is held back on its way")]
    HeldBack,
    /// The feed does not reach back to the cursor, or began anew.
    #[error("the feed begins anew")]
    CursorGone,
}

/// The issuer, and how to authenticate to it.
#[derive(Clone)]
pub(crate) struct Issuer {
    url: Arc<str>,
    credentials: Arc<Credentials>,
    http: Client,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Introspection {
    active: bool,
}

impl Issuer {
    pub(super) fn new(issuer: &str, credentials: Credentials) -> Result<Self, ConnectError> {
        Ok(Self {
            url: issuer.trim_end_matches('/').into(),
            credentials: Arc::new(credentials),
            http: fetch::client(&fetch::usable(issuer)?)
                .connect_timeout(PATIENCE)
                .read_timeout(SILENCE)
                .build()
                .map_err(ConnectError::Client)?,
        })
    }

    fn authenticated(&self, path: &str) -> RequestBuilder {
        // The id and the secret hold no character that form encoding would change.
        let Credentials {
            client_id,
            client_secret,
        } = &*self.credentials;
        self.http
            .post(format!("{}/oauth2/{path}", self.url))
            .timeout(PATIENCE)
            .basic_auth(client_id, Some(client_secret))
    }

    async fn token(&self) -> Result<TokenAnswer, FeedError> {
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "revocations:read"),
        ];
        let request = self.authenticated("token").form(&form);
        Ok(checked("the token endpoint", request.send().await?)?
            .json()
            .await?)
    }

    /// Whether the issuer says that a token is good (RFC 7662 §2.2).
    pub(super) async fn is_active(&self, token: &str) -> Result<bool, FeedError> {
        let request = self.authenticated("introspect").form(&[("token", token)]);
        let answer = checked("the introspection endpoint", request.send().await?)?;
        Ok(answer.json::<Introspection>().await?.active)
    }
}

/// An answer of the poll, or what a heartbeat says of it.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) cursor: u64,
    pub(super) as_of: i64,
    #[serde(default)]
    pub(super) more: bool,
    #[serde(default)]
    entries: Vec<Box<RawValue>>,
}

impl Page {
    /// The entries that are understood; a newer issuer may send others.
    pub(super) fn entries(&self) -> impl Iterator<Item = Revocation> {
        self.entries.iter().filter_map(|raw| {
            let entry = serde_json::from_str(raw.get());
            if let Err(error) = &entry {
                log::warn!("a revocation of an unknown form: {error}");
            }
            entry.ok()
        })
    }
}

/// A stream that is open.
pub(super) struct Stream {
    answer: Response,
    has_begun: bool,
}

impl Stream {
    /// The next bytes. `None`: it ended.
    pub(super) async fn chunk(
        &mut self,
    ) -> Result<Option<impl Deref<Target = [u8]> + use<>>, FeedError> {
        if self.has_begun {
            return Ok(self.answer.chunk().await?);
        }
        Ok(prompt(self.answer.chunk()).await??)
    }

    /// Its heart has beaten: from now on it may be silent between beats.
    pub(super) fn has_begun(&mut self) {
        self.has_begun = true;
    }
}

async fn prompt<T>(work: impl Future<Output = T>) -> Result<T, FeedError> {
    let done = tokio::time::timeout(PROMPT, work).await;
    done.map_err(|_| FeedError::HeldBack)
}

/// The feed, with a token that is fetched when it is needed.
pub(super) struct Feed {
    issuer: Issuer,
    token: Option<(String, Instant)>,
}

impl Feed {
    pub(super) fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            token: None,
        }
    }

    pub(super) async fn stream(&mut self, cursor: Option<u64>) -> Result<Stream, FeedError> {
        let request = self.get("revocations/stream").await?;
        let request = match cursor {
            Some(seq) => request.header("Last-Event-ID", seq),
            None => request,
        };
        let answer = prompt(self.answer(request)).await??;
        Ok(Stream {
            answer,
            has_begun: false,
        })
    }

    pub(super) async fn poll(&mut self, cursor: Option<u64>) -> Result<Page, FeedError> {
        let request = self.get("revocations").await?.timeout(PATIENCE + WAIT);
        let request = match cursor {
            Some(after) => request.query(&[("after", after), ("wait", WAIT.as_secs())]),
            None => request,
        };
        let page = self.answer(request).await?.bytes().await?;
        serde_json::from_slice(&page).map_err(FeedError::Json)
    }

    async fn get(&mut self, path: &str) -> Result<RequestBuilder, FeedError> {
        let now = Instant::now();
        let held = self.token.take().filter(|(_, until)| now < *until);
        let (token, until) = match held {
            Some(held) => held,
            None => {
                let answer = self.issuer.token().await?;
                let lasts = Duration::from_secs(answer.expires_in).saturating_sub(MARGIN);
                (answer.access_token, now + lasts.min(LONGEST))
            }
        };
        let url = format!("{}/oauth2/{path}", self.issuer.url);
        let request = self.issuer.http.get(url).bearer_auth(&token);
        self.token = Some((token, until));
        Ok(request)
    }

    async fn answer(&mut self, request: RequestBuilder) -> Result<Response, FeedError> {
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::GONE => return Err(FeedError::CursorGone),
            // Revoked, or of a key that is gone: the next try fetches another.
            StatusCode::UNAUTHORIZED => self.token = None,
            _ => {}
        }
        checked("the revocation feed", answer)
    }
}

fn checked(endpoint: &'static str, answer: Response) -> Result<Response, FeedError> {
    match answer.status() {
        StatusCode::OK => Ok(answer),
        status => Err(FeedError::Status {
            endpoint,
            status: status.as_u16(),
        }),
    }
}
