//! Sends messages, and tells what came of it.

use std::cell::Cell;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response};

use super::sign::Headers;
use super::target::{
    BadTarget, DIALLED, Guard, Lookup, NoAddress, Resolver, SHARE, Share, Unresolved, literal,
};
use crate::causes::of_tls;
use crate::domain::webhook::FailureClass;

/// How long an attempt may take, from the look-up of the name to the answer.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// The most that is read of an answer.
const MOST_READ: usize = 64 * 1024;
/// How long an answer that nobody wants is read, so that its connection can serve again.
const DRAINING: Duration = Duration::from_secs(1);
/// How long a connection waits for the next message.
const IDLE: Duration = Duration::from_secs(30);
/// How many connections to one host wait so.
const IDLE_EACH: usize = 4;
/// What servers that are called see of us.
const USER_AGENT: &str = concat!("onyx-auth/", env!("CARGO_PKG_VERSION"), " (webhooks)");

/// What came of sending a message. It holds nothing of the answer's body unless that was wanted.
#[derive(Debug)]
pub struct Attempt {
    /// Why it failed. `None`: a 2xx came.
    pub class: Option<FailureClass>,
    /// The answer's status. `None`: no answer came.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
    /// Where it was sent. `None`: nowhere, or where it must not go.
    pub address: Option<IpAddr>,
    /// How long the receiver wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The answer, if it was wanted and is not too long.
    pub body: Option<Vec<u8>>,
    /// Whether the name was never looked up, since too many were: the receiver has no part in that.
    pub crowded_out: bool,
}

impl Attempt {
    /// Whether the message arrived.
    pub fn succeeded(&self) -> bool {
        self.class.is_none()
    }

    fn failed(class: FailureClass) -> Self {
        Self {
            class: Some(class),
            status: None,
            took: Duration::ZERO,
            address: None,
            retry_after: None,
            body: None,
            crowded_out: false,
        }
    }
}

/// What sends messages: one for a process.
pub struct Sender {
    resolver: Resolver,
    /// `None`: this machine knows no certificate authorities.
    client: Option<Client>,
}

impl Sender {
    /// A sender that connects to what the guard allows, and looks names up as it is told.
    pub fn new(guard: Guard, lookup: Arc<dyn Lookup>) -> Self {
        let resolver = Resolver::new(guard, lookup);
        let client = Client::builder()
            .dns_resolver(resolver.clone())
            // A proxy would connect to what it likes.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(USER_AGENT)
            .timeout(PATIENCE)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_EACH)
            .build();
        let client = client.inspect_err(|error| {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            log::error!("webhooks cannot be sent, install CA certificates: {error} {cause}");
        });
        Self {
            resolver,
            client: client.ok(),
        }
    }

    /// What it may connect to.
    pub fn guard(&self) -> Guard {
        self.resolver.guard
    }

    /// Whether a URL leads nowhere that it must not, by what its name stands for now. A name that stands for
    /// nothing passes: it may yet. One that finds no place among the look-ups does not.
    pub async fn check(&self, url: &str) -> Result<(), BadTarget> {
        let url = self.guard().read(url)?;
        match url.domain() {
            None => Ok(()),
            Some(host) => {
                let looked = self.resolver.addresses(host, Share::Asked);
                match tokio::time::timeout(PATIENCE, looked).await {
                    Ok(Err(Unresolved::Bad(bad))) => Err(bad),
                    Ok(Err(Unresolved::Crowded)) => Err(BadTarget::Crowded),
                    Ok(Ok(_) | Err(Unresolved::NoAddress(_))) | Err(_) => Ok(()),
                }
            }
        }
    }

    /// Sends a message for who waits for an answer of the API's. The answer's body is read only where it is
    /// wanted, up to 64 KiB.
    pub async fn post(
        &self,
        url: &str,
        headers: &Headers,
        body: Vec<u8>,
        wants_body: bool,
    ) -> Attempt {
        let attempt = self.attempt(url, headers, body, wants_body);
        SHARE.scope(Share::Asked, attempt).await
    }

    /// Delivers a message; its name takes its place among those of such endpoints.
    pub async fn deliver(
        &self,
        url: &str,
        headers: &Headers,
        body: Vec<u8>,
        share: Share,
    ) -> Attempt {
        let attempt = self.attempt(url, headers, body, false);
        SHARE.scope(share, attempt).await
    }

    async fn attempt(
        &self,
        url: &str,
        headers: &Headers,
        body: Vec<u8>,
        wants_body: bool,
    ) -> Attempt {
        let began = std::time::Instant::now();
        let send = async {
            let mut attempt = self.send(url, headers, body, wants_body).await;
            let may_be_told = attempt.class != Some(FailureClass::Blocked);
            let dialled = DIALLED.with(Cell::get).filter(|_| may_be_told);
            attempt.address = attempt.address.or(dialled);
            attempt
        };
        let mut attempt = DIALLED.scope(Cell::new(None), send).await;
        attempt.took = began.elapsed();
        attempt
    }

    async fn send(&self, url: &str, headers: &Headers, body: Vec<u8>, wants_body: bool) -> Attempt {
        let Ok(url) = self.guard().read(url) else {
            return Attempt::failed(FailureClass::Blocked);
        };
        let Some(client) = &self.client else {
            return Attempt::failed(FailureClass::Tls);
        };
        // An address is not looked up: it has been checked with the URL.
        DIALLED.with(|dialled| dialled.set(literal(&url)));
        let mut request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        for (name, value) in headers.pairs() {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(response) => answered(response, wants_body).await,
            Err(error) => Attempt {
                crowded_out: unresolved(&error) == Some(Unresolved::Crowded),
                ..Attempt::failed(class(&error))
            },
        }
    }
}

async fn answered(mut response: Response, wants_body: bool) -> Attempt {
    let status = response.status();
    let mut attempt = Attempt {
        class: (!status.is_success()).then_some(FailureClass::Status),
        status: Some(status.as_u16()),
        took: Duration::ZERO,
        address: response
            .remote_addr()
            .map(|address| address.ip().to_canonical()),
        retry_after: retry_after(response.headers()),
        body: None,
        crowded_out: false,
    };
    if wants_body {
        match read(&mut response).await {
            Ok(body) => attempt.body = body,
            Err(error) => attempt.class = Some(class(&error)),
        }
    } else {
        // What becomes of it changes nothing.
        let _ = tokio::time::timeout(DRAINING, read(&mut response)).await;
    }
    attempt
}

/// The body. `None`: it is too long.
async fn read(response: &mut Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MOST_READ {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// `Retry-After`, in seconds or as a moment (RFC 9110 §10.2.3), by the receiver's own clock if it tells it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let wanted = text(RETRY_AFTER)?;
    if !wanted.is_empty() && wanted.bytes().all(|b| b.is_ascii_digit()) {
        // More than fits is as long as can be.
        return Some(Duration::from_secs(wanted.parse().unwrap_or(u64::MAX)));
    }
    let then = DateTime::parse_from_rfc2822(wanted).ok()?;
    let told = text(DATE).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let now = told.unwrap_or_else(|| chrono::Utc::now().fixed_offset());
    (then - now).to_std().ok()
}

/// Why a name led nowhere. `None`: that is not why it failed.
fn unresolved(error: &reqwest::Error) -> Option<Unresolved> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(unresolved) = inner.downcast_ref::<Unresolved>() {
            return Some(*unresolved);
        }
        cause = inner.source();
    }
    None
}

/// How far an attempt came that got no answer.
fn class(error: &reqwest::Error) -> FailureClass {
    match unresolved(error) {
        Some(Unresolved::NoAddress(NoAddress)) => return FailureClass::Dns,
        Some(Unresolved::Bad(_)) => return FailureClass::Blocked,
        Some(Unresolved::Crowded) => return FailureClass::Timeout,
        None => {}
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if of_tls(inner).is_some() {
            return FailureClass::Tls;
        }
        cause = inner.source();
    }
    if error.is_timeout() {
        FailureClass::Timeout
    } else {
        FailureClass::Connect
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sender")
    }
}
