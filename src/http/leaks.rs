//! `POST /leaks`: anybody reports secrets that were found where they do not belong.
//!
//! The answer depends on the form of the report alone. What its candidates match is asked
//! later and elsewhere.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;

use super::body::{self, BodyError};
use super::limits;
use super::members::Members;
use super::problem::{Problem, ProblemView};
use super::source;
use crate::admin::leaks::{self, Refused};
use crate::app::App;
use crate::domain::leak::MAX_CANDIDATES;
use crate::domain::secret::PlainSecret;

/// A report has at most so many bytes.
pub const MAX_REPORT: usize = 128 * 1024;

/// A reported text: a secret by its form, or nothing of ours.
struct Candidate(Option<PlainSecret>);

impl FromStr for Candidate {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.trim().parse().ok()))
    }
}

/// Texts that may be secrets.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"secrets": ["onyx_live_sk_2fQ8…"]}))]
pub struct NewLeakReport {
    #[schema(max_items = 1000)]
    pub secrets: Vec<String>,
}

/// Reports leaked secrets; what is somebody's is revoked within a second.
///
/// Anybody may. The answer depends on the form of the report alone, and tells nothing of what
/// its candidates match. At most 131,072 bytes.
#[utoipa::path(
    post, path = "/leaks", operation_id = "report_leaks", tag = "security",
    request_body = NewLeakReport,
    security(()),
    responses(
        (status = 202, description = "The report was taken in. The answer has no body."),
        (status = 429, description = "More reports came from one address than 300 at once and 60 a minute (`too_many_reports`). `Retry-After` says when to come again.",
            content_type = "application/problem+json", body = ProblemView),
        (status = 413, description = "The report has more than 131,072 bytes (`body_too_large`).",
            content_type = "application/problem+json", body = ProblemView),
    )
)]
pub async fn report(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let from = source::address(&request, &app.settings.trusted_proxies);
    app.leaks.charge(from).map_err(too_many)?;
    let body = body::bytes_within(&request, payload, MAX_REPORT).await;
    let mut members = Members::of(&request, &body.map_err(unread)?)?;
    let taken = (members.list::<Candidate>("secrets", MAX_CANDIDATES),);
    let (reported,) = members.finish(taken)?;
    let candidates: Vec<PlainSecret> = reported.into_iter().filter_map(|one| one.0).collect();
    let _turn = app.leaks.turn().await.ok_or_else(busy)?;
    let shared = app.clone();
    let hashes = web::block(move || leaks::hashes(&shared.master, &candidates))
        .await
        .map_err(|error| Problem::internal(&error))?;
    let from = from.map(|ip| ip.to_string());
    let now = app.clock.now();
    app.store
        .write(move |db| leaks::receive(db, &hashes, from, now))
        .await?;
    app.leaks.announce();
    Ok(HttpResponse::Accepted().finish())
}

fn unread(error: BodyError) -> Problem {
    match error {
        BodyError::TooLarge => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "a report has at most 131,072 bytes; send the rest in another",
        ),
        other => other.into(),
    }
}

fn too_many(wait: Duration) -> Problem {
    let wait = limits::seconds(wait).max(1);
    let detail =
        format!("more reports came from this address than one sends: come again in {wait} s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_reports", detail)
        .with_header(RETRY_AFTER, HeaderValue::from(wait))
}

fn busy() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "too many reports are waiting; send this one again a little later",
    )
    .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => busy(),
            Refused::Store(error) => error.into(),
        }
    }
}
