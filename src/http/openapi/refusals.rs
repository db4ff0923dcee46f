//! Refusals that many operations share, each described once.

use std::collections::{BTreeMap, BTreeSet};

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    Components, ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
};
use utoipa::{IntoResponses, ToSchema};

use super::headers;
use crate::http::oauth::token::OAuthErrorView;
use crate::http::problem::ProblemView;

/// A refusal that many operations share.
#[derive(Debug)]
pub struct Refusal {
    name: &'static str,
    status: u16,
    description: &'static str,
    header: Option<(&'static str, &'static str)>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Problem,
    OAuth,
}

macro_rules! refusals {
    ($($shape:ident $constant:ident = $name:literal, $status:literal, $description:literal
        $(, $header:literal: $meaning:literal)?;)+) => {
        $(
            #[doc = $description]
            pub const $constant: Refusal = Refusal {
                name: $name,
                status: $status,
                description: $description,
                header: refusals!(@ $($header, $meaning)?),
                shape: Shape::$shape,
            };
        )+
        const ALL: &[&Refusal] = &[$(&$constant),+];
    };
    (@) => { None };
    (@ $header:literal, $meaning:literal) => { Some(($header, $meaning)) };
}

refusals!(
    Problem BAD_REQUEST = "BadRequest", 400,
        "The request cannot be read: `invalid_parameter` (a query parameter), `invalid_json` or `broken_body` (the body), `invalid_request` (more than one access token).",
        "WWW-Authenticate": "The challenge, where more than one token was sent (RFC 6750 §3).";
    Problem BAD_KEY = "BadKey", 400,
        "The request has no Idempotency-Key (`idempotency_key_missing`), a bad one (`idempotency_key_invalid`), a body that cannot be read (`invalid_json`, `broken_body`), or more than one access token (`invalid_request`).",
        "WWW-Authenticate": "The challenge, where more than one token was sent (RFC 6750 §3).";
    Problem BAD_OPTIONAL_KEY = "BadOptionalKey", 400,
        "The request has a bad Idempotency-Key (`idempotency_key_invalid`), a body that cannot be read (`invalid_json`, `broken_body`), or more than one access token (`invalid_request`).";
    Problem CONFLICT_OR_RUNNING = "ConflictOrRunning", 409,
        "The record's state does not allow this (`illegal_transition`, with `state` and `allowed`), a request with this key is still running (`idempotency_in_progress`), or something else stands in the way, which `code` names.",
        "Retry-After": "Seconds to wait, where a request is still running.";
    Problem IDEMPOTENCY_CONFLICT = "IdempotencyConflict", 409,
        "A request with this key is still running (`idempotency_in_progress`), or the reference is another order's (`partner_order_ref_taken`, with `existing_order_id`).",
        "Retry-After": "Seconds to wait, where a request is still running.";
    Problem KEY_REUSED = "KeyReused", 422,
        "The key was used for another request (`idempotency_key_reused`), or members of the body must be mended (`invalid_body`): all of them are in `errors`, of more than 100 the first.";
    Problem UNAUTHORIZED = "Unauthorized", 401,
        "No access token (`token_missing`), or one that is not valid here (`invalid_token`).",
        "WWW-Authenticate": "The challenge (RFC 6750 §3).";
    Problem INSUFFICIENT_SCOPE = "InsufficientScope", 403,
        "The token lacks the scope that this operation demands (`insufficient_scope`), or its client may not call from this address (`address_not_allowed`).",
        "WWW-Authenticate": "The challenge, where a scope is missing (RFC 6750 §3).";
    Problem ADDRESS_NOT_ALLOWED = "AddressNotAllowed", 403,
        "The token's client may not call from this address (`address_not_allowed`).";
    Problem FOUR_EYES = "FourEyes", 403,
        "Another operator must decide (`four_eyes`), or the token lacks the scope that this operation demands (`insufficient_scope`), or its client may not call from this address (`address_not_allowed`).",
        "WWW-Authenticate": "The challenge, where a scope is missing (RFC 6750 §3).";
    Problem NOT_FOUND = "NotFound", 404,
        "There is no such record (`not_found`).";
    Problem SLOW_BODY = "SlowBody", 408,
        "The body did not arrive within 10 seconds (`slow_body`).";
    Problem CONFLICT = "Conflict", 409,
        "The record's state does not allow this (`illegal_transition`, with `state` and `allowed`), or something else stands in the way, which `code` names.";
    Problem OUTDATED = "Outdated", 412,
        "The record is not as `If-Match` says any more (`outdated`): read it again.";
    Problem BODY_TOO_LARGE = "BodyTooLarge", 413,
        "The body has more than 65,536 bytes (`body_too_large`).";
    Problem UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType", 415,
        "The body is not sent as application/json (`unsupported_media_type`), or has a Content-Encoding (`unsupported_content_encoding`).",
        "Accept-Encoding": "What is taken, where the body has a Content-Encoding: `identity`.";
    Problem INVALID_BODY = "InvalidBody", 422,
        "Members of the body must be mended (`invalid_body`): all of them are in `errors`, of more than 100 the first. A pointer shows 64 characters of a longer name.";
    Problem TOO_MANY_REQUESTS = "TooManyRequests", 429,
        "A limit is met, which `code` and `violated-policies` name: `requests_limit_exceeded`, `reads_limit_exceeded`, `writes_limit_exceeded`, `client_requests_limit_exceeded`, the quotas of requests and orders; and where a message is sent to a webhook endpoint, `endpoint_messages_limit_exceeded` and `webhook_messages_limit_exceeded`. Nothing was done. Every answer to an authenticated request tells by `RateLimit-Policy` and `RateLimit` how the limits stand.",
        "Retry-After": "Seconds to wait.";
    Problem INTERNAL = "Internal", 500,
        "Something went wrong on the server's side (`internal`).";
    Problem UNAVAILABLE = "Unavailable", 503,
        "The server cannot reach its database (`unavailable`): trying again helps.",
        "Retry-After": "Seconds to wait.";
    OAuth OAUTH_BAD_REQUEST = "OAuthBadRequest", 400,
        "The request is refused; `error` says why.";
    OAuth OAUTH_UNAUTHORIZED = "OAuthUnauthorized", 401,
        "The client that the Authorization header names is not authenticated (`invalid_client`).",
        "WWW-Authenticate": "Asks for HTTP Basic.";
    OAuth OAUTH_SLOW_BODY = "OAuthSlowBody", 408,
        "The body did not arrive within 10 seconds (`invalid_request`).";
    OAuth OAUTH_BODY_TOO_LARGE = "OAuthBodyTooLarge", 413,
        "The body has more than 65,536 bytes (`invalid_request`).";
    OAuth OAUTH_UNSUPPORTED_MEDIA_TYPE = "OAuthUnsupportedMediaType", 415,
        "The body is not sent as application/x-www-form-urlencoded, or has a Content-Encoding (`invalid_request`).",
        "Accept-Encoding": "What is taken, where the body has a Content-Encoding: `identity`.";
    OAuth OAUTH_TOO_MANY_REQUESTS = "OAuthTooManyRequests", 429,
        "Something was asked too often (`temporarily_unavailable`); `code` names what: `tokens_limit_exceeded`, `client_tokens_limit_exceeded` and the quotas of tokens, of which `RateLimit-Policy` and `RateLimit` tell how they stand; or `too_many_failures`, where authentications of this client or from this address have failed so often that nothing was looked at.",
        "Retry-After": "Seconds to wait.";
    OAuth OAUTH_UNAVAILABLE = "OAuthUnavailable", 503,
        "The server cannot do this right now (`temporarily_unavailable`): trying again helps.",
        "Retry-After": "Seconds to wait.";
);

/// What who reads a JSON body refuses.
pub const OF_JSON_BODIES: &[&Refusal] = &[
    &BAD_REQUEST,
    &SLOW_BODY,
    &BODY_TOO_LARGE,
    &UNSUPPORTED_MEDIA_TYPE,
    &INVALID_BODY,
];

/// What an OAuth endpoint refuses.
pub const OF_OAUTH_BODIES: &[&Refusal] = &[
    &OAUTH_BAD_REQUEST,
    &OAUTH_UNAUTHORIZED,
    &OAUTH_SLOW_BODY,
    &OAUTH_BODY_TOO_LARGE,
    &OAUTH_UNSUPPORTED_MEDIA_TYPE,
    &OAUTH_TOO_MANY_REQUESTS,
    &OAUTH_UNAVAILABLE,
];

/// For handlers that meet records in a state: `responses(…, Conflict)`.
#[derive(Debug)]
pub struct Conflict;

/// For handlers that want two pairs of eyes: `responses(…, FourEyes)`.
#[derive(Debug)]
pub struct FourEyes;

/// For handlers of what can be changed by several at once: `responses(…, Outdated)`.
#[derive(Debug)]
pub struct Outdated;

/// For handlers with an `ETag`: `responses(…, NotModified)`.
#[derive(Debug)]
pub struct NotModified;

impl IntoResponses for Outdated {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [OUTDATED.entry()].into()
    }
}

impl IntoResponses for NotModified {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let tag = HeaderBuilder::new()
            .schema(Some(text))
            .description(Some("The tag of what the caller has (RFC 9110 §8.8.3)."))
            .build();
        let response = ResponseBuilder::new()
            .description("It is as the caller has it already. The answer has no body.")
            .header("ETag", tag)
            .build();
        [("304".to_owned(), RefOr::T(response))].into()
    }
}

impl IntoResponses for Conflict {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [CONFLICT.entry()].into()
    }
}

impl IntoResponses for FourEyes {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [FOUR_EYES.entry()].into()
    }
}

/// Adds a refusal, unless the operation itself describes one of that status.
pub fn refuse(operation: &mut Operation, refusal: &Refusal) {
    let (status, response) = refusal.entry();
    let all = &mut operation.responses.responses;
    all.entry(status).or_insert(response);
}

/// Adds a refusal that says more than one of that status that was there.
pub fn refuse_rather(operation: &mut Operation, refusal: &Refusal) {
    let (status, response) = refusal.entry();
    operation.responses.responses.insert(status, response);
}

/// The shared refusals that an operation refers to.
pub fn named_by(operation: &Operation) -> impl Iterator<Item = String> {
    let all = operation.responses.responses.values();
    all.filter_map(|response| match response {
        RefOr::Ref(reference) => reference
            .ref_location
            .strip_prefix("#/components/responses/")
            .map(str::to_owned),
        RefOr::T(_) => None,
    })
}

/// Adds the shared refusals that operations refer to.
pub fn add_to(components: &mut Components, names: &BTreeSet<String>, has_partners: bool) {
    for refusal in ALL.iter().filter(|refusal| names.contains(refusal.name)) {
        let mut response = refusal.response();
        let is_partners = has_partners && matches!(refusal.shape, Shape::Problem);
        headers::name_in(&mut response, is_partners);
        let response = RefOr::T(response);
        components
            .responses
            .insert(refusal.name.to_owned(), response);
        let mut schemas = Vec::new();
        match refusal.shape {
            Shape::Problem => with_all_it_names::<ProblemView>(&mut schemas),
            Shape::OAuth => with_all_it_names::<OAuthErrorView>(&mut schemas),
        }
        components.schemas.extend(schemas);
    }
}

fn with_all_it_names<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into(), T::schema()));
    T::schemas(schemas);
}

impl Refusal {
    fn entry(&self) -> (String, RefOr<Response>) {
        let response = RefOr::Ref(Ref::from_response_name(self.name));
        (self.status.to_string(), response)
    }

    fn response(&self) -> Response {
        let (media_type, schema) = match self.shape {
            Shape::Problem => ("application/problem+json", ProblemView::name()),
            Shape::OAuth => ("application/json", OAuthErrorView::name()),
        };
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(schema)))
            .build();
        let mut response = ResponseBuilder::new()
            .description(self.description)
            .content(media_type, content);
        if let Some((name, meaning)) = self.header {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            let header = HeaderBuilder::new()
                .schema(Some(text))
                .description(Some(meaning))
                .build();
            response = response.header(name, header);
        }
        response.build()
    }
}
