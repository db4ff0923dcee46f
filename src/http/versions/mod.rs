//! Versions of the partner API: which one an answer is in, and what of it is said in the headers.
//!
//! Handlers speak the current version alone. What an older one said otherwise is written in one
//! file each, and done to the finished answer.

mod v2026_09_01;

use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_TYPE, EntityTag, HeaderMap, HeaderName, HeaderValue, HttpDate, LINK, VARY,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use chrono::{DateTime, Utc};

use super::limits;
use super::problem::Problem;
use crate::admin::version_notices::{self, Notice};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::tenant::Tenant;
use crate::domain::version::{ApiVersion, CURRENT};
use crate::limits::Charged;
use crate::store::changes::Subject;
use crate::store::{StoreError, partners};

/// The header that names a version.
pub const HEADER: &str = "onyx-version";

/// The version that a request is answered in, noted for whoever finishes the answer.
#[derive(Clone, Copy, Debug)]
struct Spoken(ApiVersion);

/// The largest answer that is put into an older version's words: more than any page has.
const LARGEST: usize = 16 * 1024 * 1024;

/// The version that a request asks for. `None`: it asks for none.
pub fn asked(request: &HttpRequest) -> Result<Option<ApiVersion>, Problem> {
    let mut given = request.headers().get_all(HEADER);
    let Some(value) = given.next() else {
        return Ok(None);
    };
    let version = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    match (version, given.next()) {
        (Some(version), None) => Ok(Some(version)),
        _ => {
            let known: Vec<&str> = ApiVersion::ALL.iter().map(|v| v.as_str()).collect();
            let detail = format!(
                "Onyx-Version must be one of {}, once; without it the partner's pinned version is spoken",
                known.join(", ")
            );
            Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "unknown_version",
                detail,
            ))
        }
    }
}

/// Settles which version a call is answered in. A partner's first call pins it.
pub async fn settle(
    app: &App,
    request: &HttpRequest,
    tenant: &Tenant,
    pinned: Option<ApiVersion>,
) -> Result<ApiVersion, Problem> {
    let version = answer_in(request, pinned)?;
    if pinned.is_some() {
        return Ok(version);
    }
    let tenant = tenant.clone();
    let pinned = app
        .carry_out(Actor::policy(), move |db, act| {
            let partner = tenant.partner_id();
            if !partners::pin_version(db, partner, version)? {
                // Another call was first, here or at another node, and was not heard of yet.
                let standing = partners::standing(db, partner)?;
                return Ok::<_, StoreError>(standing.and_then(|(_, pinned)| pinned));
            }
            log::info!("{partner} is pinned to version {version}, which it used first");
            db.touch(Subject::Partner(partner.clone()));
            // Who begins with a version that has a successor hears of it at once.
            version_notices::give(db, act, &Notice { tenant, version })?;
            Ok(Some(version))
        })
        .await?;
    answer_in(request, pinned)
}

/// The version that a call is answered in: the one asked for, else the partner's pinned one. Noted for whoever
/// finishes the answer.
pub fn answer_in(request: &HttpRequest, pinned: Option<ApiVersion>) -> Result<ApiVersion, Problem> {
    let version = asked(request)?.or(pinned).unwrap_or(CURRENT);
    request.extensions_mut().insert(Spoken(version));
    Ok(version)
}

/// Whether it is settled which version a call is answered in: who calls is known then.
pub fn is_settled(request: &HttpRequest) -> bool {
    request.extensions().get::<Spoken>().is_some()
}

/// The tag of what a request is answered, where the current version's has this one.
pub fn tag(request: &HttpRequest, current: &EntityTag) -> EntityTag {
    match request.extensions().get() {
        Some(Spoken(version)) if *version != CURRENT => {
            EntityTag::new(current.weak, format!("{}.{version}", current.tag()))
        }
        _ => current.clone(),
    }
}

/// Finishes the answer of the partner API: tells how the caller's limits stand, names its version, and puts it into
/// an older one's words.
pub async fn speak<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut answer = next.call(request).await?.map_into_boxed_body();
    let charged = answer.request().extensions_mut().remove::<Charged>();
    if let Some(charged) = charged {
        limits::tell(answer.headers_mut(), &charged);
    }
    let spoken = answer.request().extensions().get::<Spoken>().copied();
    let Some(Spoken(version)) = spoken else {
        // Nobody was recognised.
        return Ok(answer);
    };
    let mut answer = if version == CURRENT {
        answer
    } else {
        in_older_words(version, answer).await?
    };
    announce(version, &mut answer);
    Ok(answer)
}

fn announce(version: ApiVersion, answer: &mut ServiceResponse<BoxBody>) {
    let base = answer.request().app_data::<web::Data<App>>();
    let base = base
        .map(|app| app.addresses.base().to_owned())
        .unwrap_or_default();
    let headers = answer.headers_mut();
    headers.insert(
        HeaderName::from_static(HEADER),
        HeaderValue::from_static(version.as_str()),
    );
    headers.append(VARY, HeaderValue::from_static("Onyx-Version"));
    let Some(end) = version.retirement() else {
        return;
    };
    // RFC 9745 §2, RFC 8594 §3.
    let deprecated = format!("@{}", end.deprecated_at.epoch_seconds());
    let sunset = HttpDate::from(std::time::SystemTime::from(
        DateTime::<Utc>::from_timestamp(end.sunset_at.epoch_seconds(), 0).unwrap_or_default(),
    ))
    .to_string();
    let link = format!("<{base}/docs/>; rel=\"deprecation\"; type=\"text/html\"");
    insert(headers, HeaderName::from_static("deprecation"), &deprecated);
    insert(headers, HeaderName::from_static("sunset"), &sunset);
    insert(headers, LINK, &link);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

async fn in_older_words(
    version: ApiVersion,
    answer: ServiceResponse<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_json = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|media| media.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return Ok(answer);
    }
    let route = answer.request().match_pattern().unwrap_or_default();
    let (request, response) = answer.into_parts();
    let (response, body) = response.into_parts();
    let body = to_bytes_limited(body, LARGEST)
        .await
        .map_err(|_| internal("an answer is too large to be put into an older version's words"))?
        .map_err(|_| internal("an answer's body broke off"))?;
    let mut value = serde_json::from_slice(&body).map_err(|error| Problem::internal(&error))?;
    match version {
        ApiVersion::V20260901 => v2026_09_01::say(&route, &mut value),
        ApiVersion::V20261101 => {}
    }
    let text = serde_json::to_vec(&value).map_err(|error| Problem::internal(&error))?;
    Ok(ServiceResponse::new(
        request,
        response.set_body(BoxBody::new(text)),
    ))
}

fn internal(what: &'static str) -> Problem {
    Problem::internal(&std::io::Error::other(what))
}
