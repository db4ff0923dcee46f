//! One event to one receiver, signed as the server signs, until it is taken.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Url};

use crate::cli::Failure;
use crate::clock::Clock;
use crate::keys::webhook::WebhookSecret;
use crate::webhook::sign;

/// How long a receiver may take, as the server lets it.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The first wait after a failure; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Where events go, and what they are signed with.
pub(super) struct Forwarder {
    http: Client,
    url: Url,
    secret: WebhookSecret,
    clock: Clock,
}

/// What a receiver answered to an event that it took.
pub(super) struct Taken {
    pub(super) status: u16,
    pub(super) attempts: u32,
}

impl Forwarder {
    pub(super) fn new(url: Url, secret: WebhookSecret) -> Result<Self, Failure> {
        // To this machine as a rule: no proxy, and nobody is followed elsewhere.
        let http = Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Ok(Self {
            http: http.build()?,
            url,
            secret,
            clock: Clock::system(),
        })
    }

    /// Sends an event again and again until it is taken. Those behind it wait: they come in order.
    pub(super) async fn deliver(&self, id: &str, body: &str) -> Taken {
        let (mut attempts, mut wait) = (0, FIRST_WAIT);
        loop {
            attempts += 1;
            let (why, asked) = match self.send(id, body).await {
                Ok(answer) if answer.status().is_success() => {
                    let status = answer.status().as_u16();
                    return Taken { status, attempts };
                }
                Ok(answer) => {
                    let after = answer.headers().get(RETRY_AFTER);
                    let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
                    let why = format!("{} answered {}", self.url, answer.status().as_u16());
                    (why, after.map(Duration::from_secs))
                }
                Err(error) => {
                    let why = if error.is_timeout() {
                        "did not answer in time".to_owned()
                    } else {
                        format!("does not answer ({})", error.without_url())
                    };
                    (format!("{} {why}", self.url), None)
                }
            };
            let pause = asked.map_or(wait, |asked| asked.max(wait).min(LONGEST_WAIT));
            eprintln!("{why}: {id} is sent again in {pause:?}");
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// One attempt, with a signature of its own.
    async fn send(&self, id: &str, body: &str) -> reqwest::Result<reqwest::Response> {
        let signed = sign::sign([&self.secret], id, self.clock.now(), body.as_bytes());
        let request = self.http.post(self.url.clone());
        let request = request.header(CONTENT_TYPE, "application/json");
        let with_headers = signed
            .pairs()
            .into_iter()
            .fold(request, |request, (name, value)| {
                request.header(name, value)
            });
        with_headers.body(body.to_owned()).send().await
    }
}
