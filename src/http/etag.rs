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
use crate::domain::revision::Revision;

/// A tag that changes with these bytes.
pub(super) fn of(bytes: &[u8]) -> EntityTag {
    let digest = digest(&SHA256, bytes);
    let half = digest.as_ref().get(..16).unwrap_or_default();
    EntityTag::new_strong(URL_SAFE_NO_PAD.encode(half))
}

/// A tag that changes with a record's revision.
pub(super) fn of_revision(id: impl std::fmt::Display, revision: Revision) -> EntityTag {
    EntityTag::new_strong(format!("{id}.{revision}"))
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
        // The parser leaves out what is no tag: of one without its quotes nothing would be left, and fit nothing.
        Ok(IfMatch::Items(tags)) if !tags.is_empty() => Ok(Some(tags)),
        Ok(IfMatch::Items(_)) | Err(_) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_header",
            "If-Match must be an ETag of an earlier answer, quotes included",
        )),
    }
}

/// The revisions of a record of which `If-Match` demands one. `None`: it demands nothing. Tags that are weak, or none
/// of this record's, stand for no revision.
pub(super) fn expected_revisions(
    request: &HttpRequest,
    id: impl std::fmt::Display,
) -> Result<Option<Vec<Revision>>, Problem> {
    let Some(tags) = demanded(request)? else {
        return Ok(None);
    };
    let beginning = format!("{id}.");
    let strong = tags.iter().filter(|tag| !tag.weak);
    let revisions =
        strong.filter_map(|tag| Revision::parse(tag.tag().strip_prefix(beginning.as_str())?));
    Ok(Some(revisions.collect()))
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
