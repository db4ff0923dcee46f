//! Entity tags: what a caller has already is not sent again, and what has changed is not overwritten.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, ETAG, EntityTag, Header, IF_MATCH, IfMatch, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponse};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::problem::Problem;
use super::versions;

/// A tag that changes with these bytes.
pub(super) fn of(bytes: &[u8]) -> EntityTag {
    let digest = digest(&SHA256, bytes);
    let half = digest.as_ref().get(..16).unwrap_or_default();
    EntityTag::new_strong(URL_SAFE_NO_PAD.encode(half))
}

/// A tag that changes with a record's version.
pub(super) fn of_version(id: impl std::fmt::Display, version: i64) -> EntityTag {
    EntityTag::new_strong(format!("{id}.{version}"))
}

/// Whether the caller has what the tag stands for (RFC 9110 §13.1.2).
pub(super) fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// The tags that a change is bound to (RFC 9110 §13.1.1). `None`: to none, or to any.
pub(super) fn demanded(request: &HttpRequest) -> Result<Option<Vec<EntityTag>>, Problem> {
    if !request.headers().contains_key(IF_MATCH) {
        return Ok(None);
    }
    match IfMatch::parse(request) {
        Ok(IfMatch::Any) => Ok(None),
        Ok(IfMatch::Items(tags)) => Ok(Some(tags)),
        Err(_) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_header",
            "If-Match must be an ETag of an earlier answer, quotes included",
        )),
    }
}

/// The version that `If-Match` demands of a record. `None`: any. A tag that is none of this record is of a
/// version that never was.
pub(super) fn expected_version(
    request: &HttpRequest,
    id: impl std::fmt::Display,
) -> Result<Option<i64>, Problem> {
    let Some(tags) = demanded(request)? else {
        return Ok(None);
    };
    let id = id.to_string();
    let versions = tags.iter().filter_map(|tag| {
        let (named, version) = tag.tag().rsplit_once('.')?;
        (!tag.weak && named == id).then(|| version.parse().ok())?
    });
    Ok(Some(versions.max().unwrap_or(0)))
}

/// Refuses a change that is bound to tags where a record has none: no such condition holds.
pub(super) fn unbound(request: &HttpRequest) -> Result<(), Problem> {
    match demanded(request)? {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "outdated",
            "this record has no ETag, so no change can be bound to one: send it without If-Match",
        )),
    }
}

/// A view for its caller alone, to be asked about again before it is shown: 304 where it has it already.
pub(super) fn answer(
    request: &HttpRequest,
    tag: &EntityTag,
    view: &impl Serialize,
) -> HttpResponse {
    // Another version has other words, so another tag (RFC 9110 §8.8.3).
    let tag = versions::tag(request, tag);
    let known = is_known(request, &tag);
    let status = if known {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    };
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header((ETAG, tag.to_string()));
    if known {
        answer.finish()
    } else {
        answer.json(view)
    }
}
