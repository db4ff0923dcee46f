//! Request bodies: bounded in size and in time.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue,
};
use actix_web::{HttpRequest, web};

use super::problem::Problem;

/// No request body is larger than this many bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// What to do about a body that has a content coding.
pub const CODED: &str = "send the body as it is, without Content-Encoding";

/// How long a body may take to arrive: who sends a byte a second holds a connection for ever.
pub const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Over [`MAX_BODY`], or what else was allowed.
    TooLarge,
    /// Not there within [`BODY_PATIENCE`].
    Slow,
    /// The connection broke, or the transfer coding is wrong.
    Broken,
    /// It is compressed, or coded otherwise.
    Coded,
}

/// Reads a whole body of at most [`MAX_BODY`] bytes.
pub async fn bytes(request: &HttpRequest, payload: web::Payload) -> Result<web::Bytes, BodyError> {
    bytes_within(request, payload, MAX_BODY).await
}

/// Reads a whole body of at most `max` bytes. One that says that it is longer is not waited for.
pub async fn bytes_within(
    request: &HttpRequest,
    payload: web::Payload,
    max: usize,
) -> Result<web::Bytes, BodyError> {
    if is_coded(request) {
        return Err(BodyError::Coded);
    }
    if announced(request).is_some_and(|length| length > max) {
        return Err(BodyError::TooLarge);
    }
    match tokio::time::timeout(BODY_PATIENCE, payload.to_bytes_limited(max)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(BodyError::Broken),
        Ok(Err(_)) => Err(BodyError::TooLarge),
        Err(_) => Err(BodyError::Slow),
    }
}

/// Whether a body has a content coding, of which none is taken (RFC 9110 §8.4).
fn is_coded(request: &HttpRequest) -> bool {
    let mut codings = request.headers().get_all(CONTENT_ENCODING);
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// How long a body says that it is.
fn announced(request: &HttpRequest) -> Option<usize> {
    let length = request.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Whether a request's body has a media type, whatever its case and parameters.
pub fn is(request: &HttpRequest, media_type: &str) -> bool {
    let value = request.headers().get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let bare = value.and_then(|value| value.split(';').next());
    bare.is_some_and(|bare| bare.trim().eq_ignore_ascii_case(media_type))
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "a body has at most 65,536 bytes",
            ),
            BodyError::Slow => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "slow_body",
                "the body did not arrive within 10 seconds",
            ),
            BodyError::Broken => Problem::new(
                StatusCode::BAD_REQUEST,
                "broken_body",
                "the body did not arrive whole",
            ),
            BodyError::Coded => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_encoding",
                CODED,
            )
            // Of requests it says what is taken (RFC 9110 §12.5.3).
            .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        }
    }
}
