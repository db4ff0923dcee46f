//! The question that an endpoint must answer before anything is delivered to it: whoever gives a URL must
//! speak for what stands there.

use serde::{Deserialize, Serialize};

use super::{Attempt, Sender, sign};
use crate::domain::instant::Instant;
use crate::domain::secret::unguessable_id;
use crate::keys::webhook::WebhookSecret;

/// What the endpoint reads.
pub const TYPE: &str = "webhook_endpoint.challenge";

#[derive(Serialize)]
struct Question<'a> {
    r#type: &'a str,
    challenge: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    challenge: String,
}

/// What came of asking.
#[derive(Debug)]
pub struct Asked {
    pub attempt: Attempt,
    /// Whether the answer was 200 with the challenge in it.
    pub answered: bool,
}

/// Asks whoever stands at a URL.
pub async fn ask(sender: &Sender, url: &str, secrets: &[WebhookSecret], now: Instant) -> Asked {
    let challenge = unguessable_id();
    let question = Question {
        r#type: TYPE,
        challenge: &challenge,
    };
    // Two texts always serialise.
    let body = serde_json::to_vec(&question).unwrap_or_default();
    let id = format!("chl_{}", unguessable_id());
    let headers = sign::sign(secrets, &id, now, &body);
    let attempt = sender.post(url, &headers, body, true).await;
    let answer = attempt
        .body
        .as_deref()
        .filter(|_| attempt.status == Some(200));
    let answer = answer.and_then(|body| serde_json::from_slice::<Answer>(body).ok());
    Asked {
        answered: answer.is_some_and(|answer| answer.challenge == challenge),
        attempt,
    }
}
