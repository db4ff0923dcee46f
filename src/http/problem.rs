//! Errors of the JSON APIs: problem details (RFC 9457) with a stable `code`.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use onyx_verifier::Rejection;
use serde::Serialize;
use utoipa::ToSchema;

use super::idempotency;
use super::limits;
use super::refused;
use super::trace::Code;
use crate::admin::AdminError;
use crate::audit::tally::Refused;
use crate::causes::Causes;
use crate::domain::id::{LedgerEntryId, OrderId, RequestId};
use crate::domain::instant::Instant;
use crate::domain::launch::Requirement;
use crate::logging;
use crate::partner::PartnerError;
use crate::store::StoreError;

/// An error answer. It says what was wrong, where, and what to do.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldFault>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Members of this kind of problem, such as the states that are allowed from here.
    more: serde_json::Map<String, serde_json::Value>,
    refusal: Option<Refused>,
}

/// The member that names the limits that were met.
const VIOLATED: &str = "violated-policies";
/// The problem type of a limit that was met, with its title (draft-ietf-httpapi-ratelimit-headers-10 §6.1).
const QUOTA_EXCEEDED: (&str, &str) = (
    "https://iana.org/assignments/http-problem-types#quota-exceeded",
    "Request cannot be satisfied as assigned quota has been exceeded",
);

/// One wrong member of a request body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldFault {
    /// Where (RFC 6901).
    pub pointer: String,
    /// What kind: `missing`, `unknown`, `type`, `invalid`, `duplicate`; of an order, `prohibited_material`; of an
    /// endpoint's URL, `webhook_url_blocked`.
    pub code: &'static str,
    /// What to write instead.
    pub detail: String,
    /// Of an import: the bad record, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub row: Option<usize>,
}

#[derive(Serialize)]
struct Wire<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldFault],
    #[serde(flatten)]
    more: &'a serde_json::Map<String, serde_json::Value>,
}

// `Wire` as it is described, with the members that some kinds have.
/// An error of the API (RFC 9457).
#[derive(Debug, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView {
    /// `about:blank`, where `code` is what to go by; `quota-exceeded` where a limit is met.
    pub r#type: String,
    /// The status or the type in words.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What was wrong, and what to do.
    pub detail: String,
    /// The stable name of this kind of problem.
    #[schema(example = "not_found")]
    pub code: String,
    pub request_id: RequestId,
    /// `invalid_body`: every bad member of the body, of more than 100 the first.
    #[schema(nullable = false)]
    pub errors: Option<Vec<FieldFault>>,
    /// `invalid_body` with unknown members: the members that this request may have.
    #[schema(nullable = false)]
    pub members: Option<Vec<String>>,
    /// `invalid_parameter` for an unknown one: the parameters that this list takes.
    #[schema(nullable = false)]
    pub parameters: Option<Vec<String>>,
    /// `illegal_transition`: the record's state.
    #[schema(nullable = false)]
    pub state: Option<String>,
    /// `illegal_transition`: the states that can follow.
    #[schema(nullable = false)]
    pub allowed: Option<Vec<String>>,
    /// `partner_order_ref_taken`: the order that has the reference.
    #[schema(nullable = false)]
    pub existing_order_id: Option<OrderId>,
    /// `reference_taken`: the entry that has the reference.
    #[schema(nullable = false)]
    pub existing_entry_id: Option<LedgerEntryId>,
    /// `cursor_gone`: the number of the last event that there is.
    #[schema(nullable = false)]
    pub last_seq: Option<u64>,
    /// `cursor_gone`: the number of the last event that is kept no more.
    #[schema(nullable = false)]
    pub purged_up_to: Option<u64>,
    /// `delivery_opened`, `delivery_cancelled`: when.
    #[schema(nullable = false)]
    pub opened_at: Option<Instant>,
    /// `delivery_expired`: when.
    #[schema(nullable = false)]
    pub expired_at: Option<Instant>,
    /// `not_ready_for_live`: all that the partner lacks.
    #[schema(nullable = false)]
    pub missing: Option<Vec<Requirement>>,
    /// A limit is met: which, as the RateLimit headers name it.
    #[serde(rename = "violated-policies")]
    #[schema(nullable = false)]
    pub violated_policies: Option<Vec<String>>,
}

impl Problem {
    /// A problem with a status, a stable code and a sentence.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let detail = detail.into();
        Self {
            status,
            code,
            detail,
            errors: Vec::new(),
            headers: Vec::new(),
            more: serde_json::Map::new(),
            refusal: None,
        }
    }

    /// The path leads nowhere, or to something that the caller may not know of: the same answer.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing at this path",
        )
    }

    /// Bad members of the body, all of them.
    pub fn invalid(errors: Vec<FieldFault>) -> Self {
        let detail = "the request body has members that must be mended; see errors";
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail)
        }
    }

    /// A bad query parameter.
    pub fn bad_parameter(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail)
    }

    /// A handler panicked; where is in the log under the request's id.
    pub(super) fn panicked() -> Self {
        let detail = "something went wrong on our side; the request_id leads us to it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The caller cannot help it; the cause is in the log under the request's id.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        log::error!("{}", Causes(cause));
        let detail = "something went wrong on our side; the request_id leads us to it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The database is not to be had; trying again helps.
    pub fn unavailable(cause: &(dyn std::error::Error + 'static)) -> Self {
        log::error!("{}", Causes(cause));
        let detail = "the server cannot reach its database right now; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What the audit trail adds it up under, if it concerns security.
    pub(super) fn refusal(&self) -> Option<Refused> {
        self.refusal
    }

    /// The same as a refusal that the audit trail counts.
    pub(super) fn counted(mut self, refusal: Refused) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// The same as the problem of a limit that was met, which has a registered type.
    pub(super) fn violating(self, limit: &'static str) -> Self {
        self.with(VIOLATED, vec![limit])
    }

    /// The type and its title; most are told apart by their code alone, and have the status's words.
    fn kind(&self) -> (&'static str, &'static str) {
        if self.more.contains_key(VIOLATED) {
            return QUOTA_EXCEEDED;
        }
        let title = match self.status {
            // As RFC 9110 §15.5.14 and §15.5.21 have named them since.
            StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
            StatusCode::UNPROCESSABLE_ENTITY => "Unprocessable Content",
            other => other.canonical_reason().unwrap_or("Error"),
        };
        ("about:blank", title)
    }

    /// The same with a header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with a member of its own.
    pub(super) fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// A token that was refused, with its challenge (RFC 6750 §3).
    pub fn refused(rejection: &Rejection, realm: &str, resource_metadata: Option<&str>) -> Self {
        let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        let code = rejection.code().unwrap_or(match rejection {
            Rejection::NoCredentials => "token_missing",
            _ => "unavailable",
        });
        let detail: Cow<'static, str> = match rejection {
            Rejection::InsufficientScope { required } => {
                format!("the token lacks the scope {required}").into()
            }
            other => other.description().into(),
        };
        let mut problem = Self::new(status, code, detail);
        problem.refusal = refused::of_bearer(rejection);
        problem.challenging(rejection, realm, resource_metadata)
    }

    /// The same with a challenge, if this kind of refusal has one.
    pub(super) fn challenging(
        self,
        rejection: &Rejection,
        realm: &str,
        resource_metadata: Option<&str>,
    ) -> Self {
        match rejection
            .challenge(realm, resource_metadata)
            .map(|text| HeaderValue::from_str(&text))
        {
            Some(Ok(challenge)) => self.with_header(WWW_AUTHENTICATE, challenge),
            _ => self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.code)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        answer.extensions_mut().insert(Code(self.code));
        for (name, value) in &self.headers {
            answer.insert_header((name.clone(), value.clone()));
        }
        let (r#type, title) = self.kind();
        let wire = Wire {
            r#type,
            title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id: logging::current_request(),
            errors: &self.errors,
            more: &self.more,
        };
        match serde_json::to_string(&wire) {
            Ok(body) => answer.content_type("application/problem+json").body(body),
            Err(_) => answer.finish(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate(_) | StoreError::Dangling(_) => Self::internal(&error),
            // Nobody's fault but its own: nothing for an operator to be woken by.
            StoreError::Crowded => {
                let detail = "as many of your reads are under way as may be at a time: wait for their answers";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_reads", detail)
                    .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            StoreError::Unreachable(_)
            | StoreError::Failed(_)
            | StoreError::Interrupted
            | StoreError::Rewound => Self::unavailable(&error),
        }
    }
}

impl From<PartnerError> for Problem {
    fn from(error: PartnerError) -> Self {
        let detail = error.to_string();
        match error {
            PartnerError::NotFound => Self::not_found(),
            PartnerError::Illegal { state, allowed, .. } => {
                Self::new(StatusCode::CONFLICT, "illegal_transition", detail)
                    .with("state", state)
                    .with("allowed", allowed)
            }
            PartnerError::Invalid(pointer, detail) => Self::invalid(vec![FieldFault {
                pointer: pointer.to_owned(),
                code: "invalid",
                detail,
                row: None,
            }]),
            PartnerError::ReferenceTaken(order) => {
                Self::new(StatusCode::CONFLICT, "partner_order_ref_taken", detail)
                    .with("existing_order_id", order.as_str())
            }
            PartnerError::EntryTaken(entry) => {
                Self::new(StatusCode::CONFLICT, "reference_taken", detail)
                    .with("existing_entry_id", entry.as_str())
            }
            PartnerError::Conflict { code, .. } => Self::new(StatusCode::CONFLICT, code, detail),
            PartnerError::Randomness(error) => Self::internal(&error),
            PartnerError::Seal(error) => Self::internal(&error),
            PartnerError::OverQuota(over) => limits::refused(over),
            PartnerError::InProgress => idempotency::in_progress(detail),
            PartnerError::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                detail,
            ),
            PartnerError::Unwritable(_) => Self::internal(&error),
            PartnerError::Store(error) => error.into(),
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let detail = error.to_string();
        match error {
            AdminError::NotFound => Self::not_found(),
            AdminError::Illegal { state, allowed, .. } => {
                Self::new(StatusCode::CONFLICT, "illegal_transition", detail)
                    .with("state", state)
                    .with("allowed", allowed)
            }
            AdminError::Barred {
                code,
                state,
                allowed,
                ..
            } => Self::new(StatusCode::CONFLICT, code, detail)
                .with("state", state)
                .with("allowed", allowed),
            AdminError::Conflict { code, .. } => Self::new(StatusCode::CONFLICT, code, detail),
            AdminError::NotReadyForLive(missing) => {
                let missing: Vec<&str> = missing.iter().map(|one| one.as_str()).collect();
                Self::new(StatusCode::CONFLICT, "not_ready_for_live", detail)
                    .with("missing", missing)
            }
            AdminError::Outdated => Self::new(StatusCode::PRECONDITION_FAILED, "outdated", detail),
            AdminError::FourEyes(_) => {
                Self::new(StatusCode::FORBIDDEN, "four_eyes", detail).counted(Refused::FourEyes)
            }
            AdminError::Invalid(faults) => {
                let fault = |(pointer, detail): (&str, String)| FieldFault {
                    pointer: pointer.to_owned(),
                    code: "invalid",
                    detail,
                    row: None,
                };
                Self::invalid(faults.into_iter().map(fault).collect())
            }
            AdminError::Store(error) => error.into(),
            AdminError::Randomness(error) => Self::internal(&error),
            AdminError::Key(error) => Self::internal(&error),
            AdminError::Seal(error) => Self::internal(&error),
            AdminError::Encrypt(error) => Self::internal(&error),
        }
    }
}
