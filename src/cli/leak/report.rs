//! Sends secrets that were found to the server, which revokes what it knows of them.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use serde_json::json;

use crate::cli::Failure;
use crate::cli::admin_client::{check_server, http, unreachable};
use crate::domain::leak::MAX_CANDIDATES;
use crate::domain::secret::PlainSecret;

/// How often a busy server is asked again.
const TRIES: u32 = 5;
/// The longest pause between two times.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where reports go.
pub(super) fn server() -> Result<String, Failure> {
    match std::env::var("ONYX_SERVER") {
        Ok(server) if !server.is_empty() => Ok(server.trim_end_matches('/').to_owned()),
        _ => Err(Failure::Usage(
            "ONYX_SERVER must name the server that reports go to, like https://auth.example.com"
                .to_owned(),
        )),
    }
}

/// Sends secrets, each once; answers how many.
///
/// The server says nothing of what it knows, so that a report is no way to ask.
pub(super) async fn send(server: &str, secrets: &[PlainSecret]) -> Result<usize, Failure> {
    let distinct: BTreeSet<&str> = secrets.iter().map(PlainSecret::expose).collect();
    let distinct: Vec<&str> = distinct.into_iter().collect();
    check_server(server)?;
    let http = http()?;
    for some in distinct.chunks(MAX_CANDIDATES) {
        let mut tries = 1;
        loop {
            let sent = http
                .post(format!("{server}/leaks"))
                .json(&json!({ "secrets": some }))
                .send()
                .await;
            let answer = sent.map_err(unreachable)?;
            match answer.status().as_u16() {
                202 => break,
                429 | 503 if tries < TRIES => tokio::time::sleep(pause(&answer)).await,
                status => {
                    return Err(Failure::Refused(format!(
                        "{server} did not take the report: {status}"
                    )));
                }
            }
            tries += 1;
        }
    }
    Ok(distinct.len())
}

/// How long a server that is asked too much wants to be left alone; not longer than anybody would wait.
fn pause(answer: &reqwest::Response) -> Duration {
    let wanted = answer.headers().get(RETRY_AFTER);
    let seconds = wanted.and_then(|wait| wait.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1)).min(LONGEST_PAUSE)
}
