//! The headers of every answer, which no handler says.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Components, Ref, RefOr, Response};

/// Of every answer.
const REQUEST_ID: (&str, &str) = (
    "Onyx-Request-Id",
    "Names the request, in our log too: quote it when you ask about it.",
);

/// Of answers of the partner API besides.
const PARTNER: [(&str, &str); 6] = [
    (
        "RateLimit-Policy",
        "The rates and quotas that the request counts against, where its token is good (draft-ietf-httpapi-ratelimit-headers-10).",
    ),
    (
        "RateLimit",
        "What is left of them and in how many seconds there is more, where the token is good.",
    ),
    (
        "Onyx-Version",
        "The version that the answer is of, where the token is good.",
    ),
    (
        "Deprecation",
        "Since when the answer's version is deprecated, where it is an old one (RFC 9745).",
    ),
    (
        "Sunset",
        "When the answer's version ends, where it is an old one (RFC 8594).",
    ),
    (
        "Link",
        "What describes the end of the answer's version, where it is an old one.",
    ),
];

/// Whether a path is one of the partner API.
pub(super) fn is_partners(path: &str) -> bool {
    ["/{env}/v1/", "/sandbox/v1/", "/live/v1/"]
        .iter()
        .any(|start| path.starts_with(start))
}

/// Has what an operation itself describes name them.
pub(super) fn add_to(operation: &mut Operation, path: &str) {
    let is_partners = is_partners(path);
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            name_in(response, is_partners);
        }
    }
}

/// Has a response name them; one that it describes already says more.
pub(super) fn name_in(response: &mut Response, is_partners: bool) {
    let more = if is_partners { &PARTNER[..] } else { &[] };
    for (name, _) in std::iter::once(&REQUEST_ID).chain(more) {
        let there = Ref::new(format!("#/components/headers/{name}"));
        let headers = &mut response.headers;
        headers
            .entry((*name).to_owned())
            .or_insert(RefOr::Ref(there));
    }
}

/// Describes those that responses may name.
pub(super) fn describe(components: &mut Components, are_partners: bool) {
    let more = if are_partners { &PARTNER[..] } else { &[] };
    for (name, meaning) in std::iter::once(&REQUEST_ID).chain(more) {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let header = HeaderBuilder::new()
            .schema(Some(text))
            .description(Some(*meaning))
            .build();
        components
            .headers
            .insert((*name).to_owned(), RefOr::T(header));
    }
}
