//! `GET /{realm}/oauth2/status-lists/{id}` (draft-ietf-oauth-status-list §8).

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETag, EntityTag, Header as _, HeaderValue, IfNoneMatch,
    RETRY_AFTER, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::app::App;
use crate::domain::id::StatusListId;
use crate::domain::realm::Realm;
use crate::http::list::Parameters;
use crate::http::problem::{Problem, ProblemView};
use crate::revocation::status_list::{Missing, Signed, TTL};

/// The media type; the form as a CWT is not served.
const JWT: &str = "application/statuslist+jwt";

/// Says which of the tokens that name this list are invalid, in a signed Token Status List.
///
/// One bit a token: 0 is valid, 1 is revoked, of whatever height, or its client suspended since. The list
/// is right as of the answer, and may be gone by for `ttl` seconds.
#[utoipa::path(
    get, path = "/{realm}/oauth2/status-lists/{id}", operation_id = "status_list", tag = "revocations",
    params(("id" = StatusListId, Path, description = "The last part of the `uri` in a token's `status` claim.")),
    responses(
        (status = 200, description = "The list, a JWT of type `statuslist+jwt`", body = String, content_type = "application/statuslist+jwt"),
        (status = 304, description = "`If-None-Match` names what would be sent"),
        (status = 406, description = "`Accept` allows no JWT (`not_acceptable`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 410, description = "Every token of this list is dead (`status_list_retired`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 501, description = "`time`: lists of the past are not kept (`not_implemented`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "The server has lost its database, or cannot sign (`unavailable`): trying again helps", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub async fn show(
    request: HttpRequest,
    path: web::Path<String>,
    mut query: Parameters,
    app: web::Data<App>,
    realm: web::ThinData<Realm>,
) -> Result<HttpResponse, Problem> {
    refuse_the_past(&mut query)?;
    query.finish()?;
    let id: StatusListId = path.parse().map_err(|_| Problem::not_found())?;
    if !accepts_jwt(&request) {
        let detail = format!("status lists are served as {JWT}: accept that");
        return Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "not_acceptable",
            detail,
        ));
    }
    let signed = app.into_inner().status_list(realm.0, id).await?;
    Ok(answer(&request, &signed))
}

fn answer(request: &HttpRequest, signed: &Signed) -> HttpResponse {
    let tag = EntityTag::new_strong(signed.tag().to_owned());
    let is_known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key("if-none-match"),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut answer = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((CACHE_CONTROL, format!("public, max-age={}", TTL.as_secs())))
        .insert_header((VARY, HeaderValue::from_static("accept")))
        .insert_header(ETag(tag));
    if is_known {
        return answer.finish();
    }
    answer
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(JWT)))
        .body(signed.jwt.to_string())
}

/// Lists as they were (§8.4) are not offered.
fn refuse_the_past(query: &mut Parameters) -> Result<(), Problem> {
    match query.take::<String>("time")? {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            "lists are served as they are now; leave time out",
        )),
    }
}

/// Whether a caller that says what it takes, takes this (RFC 9110 §12.5.1).
fn accepts_jwt(request: &HttpRequest) -> bool {
    let mut accepted = request
        .headers()
        .get_all(ACCEPT)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|one| one.split(';').next().unwrap_or_default().trim())
        .filter(|range| !range.is_empty())
        .peekable();
    accepted.peek().is_none()
        || accepted.any(|range| {
            ["*/*", "application/*", JWT]
                .iter()
                .any(|fits| range.eq_ignore_ascii_case(fits))
        })
}

impl From<Missing> for Problem {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Unknown => Self::not_found(),
            Missing::Retired => Self::new(
                StatusCode::GONE,
                "status_list_retired",
                "every token of this list is dead: refuse those that name it",
            ),
            Missing::Store(error) => error.into(),
            Missing::NoKey => {
                let detail = "the server cannot sign a list right now; try again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
                    .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            Missing::Signer(_) | Missing::Compression(_) => Self::internal(&missing),
        }
    }
}
