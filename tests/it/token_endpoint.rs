//! A partner exchanges a secret for a token.

mod authentication;
mod requests;
mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;

use crate::support::world::{Answer, Credential, World};

const FORM: &str = "application/x-www-form-urlencoded";

/// `POST` to the sandbox's token endpoint with these headers and this body.
async fn post(world: &World, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
    let mut request = world.request(Method::POST, "/sandbox/oauth2/token");
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", FORM);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.body(body).send().await.unwrap()).await
}

/// `Basic …` as a simple client would write it.
fn basic(who: &Credential) -> String {
    basic_of(format!("{}:{}", who.client_id, who.secret).as_bytes())
}

fn basic_of(bytes: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(bytes))
}

/// A whole token request as a form.
fn form_of(who: &Credential) -> String {
    format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        who.client_id, who.secret
    )
}

/// Everything of an answer but what belongs to the moment: status, headers in order, body.
fn bytes_of(answer: &Answer) -> String {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "onyx-request-id"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    headers.sort();
    format!("{}\n{}\n{}", answer.status, headers.concat(), answer.text)
}

/// What RFC 6749 §5.2 asks of every refusal.
fn assert_proper(refusal: &Answer) {
    assert!(
        (400..500).contains(&refusal.status),
        "not the caller's fault: {refusal:?}"
    );
    assert_eq!(
        (
            refusal.header("cache-control"),
            refusal.header("content-type")
        ),
        ("no-store", "application/json"),
        "{refusal:?}"
    );
    assert!(!refusal.header("onyx-request-id").is_empty());
    let body = refusal.json();
    for member in ["error", "error_description"] {
        let text = body[member].as_str().unwrap();
        let fits = |c| matches!(c, '\x20'..='\x21' | '\x23'..='\x5B' | '\x5D'..='\x7E');
        assert!(!text.is_empty() && text.chars().all(fits), "{text:?}");
    }
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
}
