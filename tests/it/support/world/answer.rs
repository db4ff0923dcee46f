//! Answers, taken apart, and the tokens in them.

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// `401 {"error":…}`: for snapshots.
    pub fn line(&self) -> String {
        format!("{} {}", self.status, self.text)
    }

    /// A problem as people read it: status, code and sentence, then each bad member, then what else it says.
    pub fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let body = self.json();
        let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
        assert_eq!(body["status"], self.status);
        assert_eq!(text(&body, "request_id"), self.header("onyx-request-id"));
        let mut lines = vec![format!(
            "{} {}: {}",
            self.status,
            text(&body, "code"),
            text(&body, "detail")
        )];
        for fault in body["errors"].as_array().into_iter().flatten() {
            let (pointer, code) = (text(fault, "pointer"), text(fault, "code"));
            lines.push(format!("  {pointer} {code}: {}", text(fault, "detail")));
        }
        if let (Some(state), Some(allowed)) = (body.get("state"), body.get("allowed")) {
            lines.push(format!("  state {state}, allowed {allowed}"));
        }
        lines.join("\n")
    }

    /// The JSON of an answer that must have this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }
}

/// Sends requests all at once; answers in the order of asking.
pub async fn at_once(requests: impl IntoIterator<Item = RequestBuilder>) -> Vec<Answer> {
    let sent: Vec<_> = requests
        .into_iter()
        .map(|request| {
            actix_web::rt::spawn(async { Answer::of(request.send().await.unwrap()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The header of a token, unverified.
pub fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, nth: usize) -> Value {
    use base64::Engine as _;
    let bytes =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(nth).unwrap());
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}
