//! Calls of the partner API for what is not served.
//!
//! They are a partner's calls all the same: charged, told of and put on record like any other. Who shows no good
//! token gets the same answer, and is nobody.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;

use super::{extract, versions};

/// Recognises the caller of a path or a method that no handler has looked at.
pub(super) async fn recognise<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let answer = next.call(request).await?;
    let request = answer.request();
    let is_unserved = matches!(
        answer.status(),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    );
    let shows_token = request.headers().contains_key(AUTHORIZATION);
    if is_unserved && shows_token && !versions::is_settled(request) {
        // What is wrong with a token is of no interest where there is nothing.
        let _ = extract::recognise(request).await;
    }
    Ok(answer)
}
