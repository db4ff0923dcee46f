//! The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), and answers given again.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;

use super::members::Members;
use super::problem::Problem;
use super::remarks::remark;
use crate::app::App;
use crate::domain::call::Idempotency;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::partner::PartnerError;
use crate::partner::idempotency::{self, Answer, Once, Outcome};
use crate::store::Db;

/// The request's header.
const HEADER: &str = "idempotency-key";
static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The most characters of a key.
const LONGEST: usize = 255;

/// The key of a request, not looked at yet: who calls is asked first.
#[derive(Debug)]
pub struct IdempotencyKey(Result<String, Fault>);

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Missing,
    Malformed,
}

impl IdempotencyKey {
    /// A tenant's request under this key. All of `body` must still be in it.
    pub fn once(
        self,
        tenant: &Tenant,
        operation: &'static str,
        route: &str,
        body: &Members,
    ) -> Result<Once, Problem> {
        let said = ["POST", route, &body.canonical()];
        Ok(Once::new(tenant.clone(), operation, &self.key()?, &said))
    }

    /// Whether there is a good one, or none.
    fn check_if_sent(self) -> Result<Option<String>, Problem> {
        match self.0 {
            Err(Fault::Missing) => Ok(None),
            _ => self.key().map(Some),
        }
    }

    /// The key itself, where one must be.
    fn key(self) -> Result<String, Problem> {
        self.0.map_err(|fault| match fault {
            Fault::Missing => Problem::new(
                StatusCode::BAD_REQUEST,
                "idempotency_key_missing",
                "send an Idempotency-Key of your own making, such as a UUID, and the same one when you ask again",
            ),
            Fault::Malformed => Problem::new(
                StatusCode::BAD_REQUEST,
                "idempotency_key_invalid",
                "Idempotency-Key must be one text of 1 to 255 characters in double quotes, or one such word without",
            ),
        })
    }

    /// Whether there is a good one; asked before the body is read.
    pub fn check(self) -> Result<Self, Problem> {
        self.key().map(|key| Self(Ok(key)))
    }
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(of(request.headers()))))
    }
}

/// The key of a request that may come without one.
#[derive(Debug)]
pub struct OptionalKey(IdempotencyKey);

impl OptionalKey {
    /// A tenant's request under this key, if there is one; `path` is the request's own, with the ids in it.
    /// All of `body` must still be in it.
    pub fn once(
        self,
        tenant: &Tenant,
        operation: &'static str,
        path: &str,
        body: &Members,
    ) -> Result<Option<Once>, Problem> {
        let key = self.0.check_if_sent()?;
        let said = ["POST", path, &body.canonical()];
        Ok(key.map(|key| Once::new(tenant.clone(), operation, &key, &said)))
    }

    /// The same, of an operator's request.
    pub fn once_of_operator(
        self,
        operator: &ClientId,
        operation: &'static str,
        path: &str,
        body: &Members,
    ) -> Result<Option<Once>, Problem> {
        let key = self.0.check_if_sent()?;
        let said = ["POST", path, &body.canonical()];
        Ok(key.map(|key| Once::of_operator(operator.clone(), operation, &key, &said)))
    }
}

impl FromRequest for OptionalKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(IdempotencyKey(of(request.headers())))))
    }
}

fn of(headers: &HeaderMap) -> Result<String, Fault> {
    let mut values = headers.get_all(HEADER);
    match (values.next(), values.next()) {
        (None, _) => Err(Fault::Missing),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| Fault::Malformed)?;
            parse(text).ok_or(Fault::Malformed)
        }
        (Some(_), Some(_)) => Err(Fault::Malformed),
    }
}

/// A String (RFC 8941 §3.3.3) without parameters, or a word without its quotes, as most clients send.
fn parse(text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\t']);
    let key = match text.strip_prefix('"') {
        Some(rest) => unquoted(rest)?,
        None => {
            let is_word = |b: u8| matches!(b, 0x21..=0x7E) && !b"\",;\\".contains(&b);
            text.bytes().all(is_word).then(|| text.to_owned())?
        }
    };
    (1..=LONGEST).contains(&key.len()).then_some(key)
}

fn unquoted(text: &str) -> Option<String> {
    let mut key = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(key),
            '\\' => match characters.next()? {
                c @ ('"' | '\\') => key.push(c),
                _ => return None,
            },
            c @ ' '..='~' => key.push(c),
            _ => return None,
        }
    }
}

/// Executes an operator's request in one transaction, or answers what it was answered before under its key.
pub async fn execute_for_operator<F>(
    app: &App,
    once: Option<Once>,
    now: Instant,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(&mut Db) -> Result<Answer, PartnerError> + Send + 'static,
{
    let Some(once) = once else {
        let written = app.store.write(work);
        return sent(Outcome::Executed(written.await?));
    };
    let place = app.running.enter(&once)?;
    let written = app.store.write(move |db| {
        let outcome = idempotency::once(db, &once, now, |db, _| work(db))?;
        // Given back after the commit, also where the caller has gone.
        Ok::<_, PartnerError>((outcome, place))
    });
    let (outcome, _) = written.await?;
    sent(outcome)
}

/// Executes a tenant's request in one transaction, or answers what it was answered before.
pub async fn execute<F>(
    request: &HttpRequest,
    app: &App,
    tenant: Tenant,
    once: Once,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(&mut Db, &Once) -> Result<Outcome, PartnerError> + Send + 'static,
{
    let done = match app.running.enter(&once) {
        Ok(place) => {
            // The place goes along: it is given back after the commit, also where the caller has gone.
            let write =
                move |db: &mut Db, _: &Tenant| Ok::<_, PartnerError>((work(db, &once)?, place));
            let written = app.store.write_as(tenant, write).await;
            written.map(|(outcome, _)| outcome)
        }
        Err(error) => Err(error),
    };
    note(request, &done);
    sent(done?)
}

/// Executes a request that may come without a key; with one, once. `work` answers what is kept under it.
pub async fn execute_if_keyed<F>(
    request: &HttpRequest,
    app: &App,
    tenant: Tenant,
    once: Option<Once>,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(&mut Db, &Tenant) -> Result<Answer, PartnerError> + Send + 'static,
{
    let Some(once) = once else {
        return sent(Outcome::Executed(app.store.write_as(tenant, work).await?));
    };
    let now = app.clock.now();
    let owner = tenant.clone();
    execute(request, app, owner, once, move |db, once| {
        idempotency::once(db, once, now, |db, _| work(db, &tenant))
    })
    .await
}

/// What a request was answered before, under its key. `None`: it has none, or was not executed yet.
///
/// For requests whose work begins outside the database, which asking again should not do again.
pub async fn replayed(
    request: &HttpRequest,
    app: &App,
    tenant: &Tenant,
    once: Option<&Once>,
) -> Result<Option<HttpResponse>, Problem> {
    let Some(once) = once.cloned() else {
        return Ok(None);
    };
    let (tenant, now) = (tenant.clone(), app.clock.now());
    let read = app
        .store
        .read_as(tenant, move |db, _| idempotency::before(db, &once, now));
    let done = read.await.transpose();
    let Some(done) = done else { return Ok(None) };
    note(request, &done);
    sent(done?).map(Some)
}

/// What the request log says of the key.
fn note(request: &HttpRequest, done: &Result<Outcome, PartnerError>) {
    let (said, order) = match done {
        Ok(Outcome::Executed(answer)) => (Idempotency::Executed, answer.resource.as_deref()),
        Ok(Outcome::Replayed(answer)) => (Idempotency::Replayed, answer.resource.as_deref()),
        Err(PartnerError::KeyReused) => (Idempotency::Mismatch, None),
        Err(PartnerError::InProgress) => (Idempotency::InProgress, None),
        Err(_) => return,
    };
    remark(request, |remarks| {
        remarks.idempotency(said);
        // What is not an order's id names none.
        if let Some(order) = order.and_then(|id| id.parse().ok()) {
            remarks.order(&order);
        }
    });
}

/// A view as an answer that can be kept.
pub fn kept(
    status: StatusCode,
    location: Option<String>,
    view: &impl Serialize,
    resource: Option<impl ToString>,
) -> Result<Answer, PartnerError> {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    headers.extend(location.map(|place| ("location".to_owned(), place)));
    let body = serde_json::to_string(view).map_err(PartnerError::Unwritable)?;
    Ok(Answer {
        status: status.as_u16(),
        headers,
        body,
        resource: resource.map(|resource| resource.to_string()),
    })
}

fn sent(outcome: Outcome) -> Result<HttpResponse, Problem> {
    let (answer, again) = match outcome {
        Outcome::Executed(answer) => (answer, false),
        Outcome::Replayed(answer) => (answer, true),
    };
    let status = StatusCode::from_u16(answer.status).map_err(|error| Problem::internal(&error))?;
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers {
        response.insert_header((name, value));
    }
    if again {
        response.insert_header((REPLAYED.clone(), HeaderValue::from_static("true")));
    }
    Ok(response.body(answer.body))
}

/// The same key is at work: a moment later it has been.
pub(super) fn in_progress(detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "idempotency_in_progress", detail)
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_a_quoted_string_or_a_word() {
        let longest = "k".repeat(255);
        for (text, key) in [
            (
                "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
            ),
            (
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
            ),
            (" order:17/a=b+c ", "order:17/a=b+c"),
            (r#""a \"b\" \\ c""#, r#"a "b" \ c"#),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(parse(text).as_deref(), Some(key), "{text}");
        }
        let too_long = "k".repeat(256);
        let too_long_quoted = format!("\"{too_long}\"");
        for bad in [
            "",
            " ",
            "\"\"",
            "\"",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\";p=1",
            "a, b",
            "a,b",
            "a b",
            "\"a\\b\"",
            "\"a\\",
            "\"ä\"",
            &too_long,
            &too_long_quoted,
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(key in "[ -~]{1,255}") {
            let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(parse(&quoted), Some(key));
        }

        #[test]
        fn nothing_stops_the_reader(text in ".*") {
            if let Some(key) = parse(&text) {
                prop_assert!((1..=255).contains(&key.len()));
            }
        }
    }
}
