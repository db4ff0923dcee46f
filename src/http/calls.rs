//! What is put on record of a request once it is answered: a partner's call in the request log, a
//! refusal in the audit trail's tally.

use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::dev::ServiceResponse;
use actix_web::http::{Method, StatusCode};

use super::problem::Problem;
use super::refused;
use super::remarks::Remarks;
use crate::app::App;
use crate::domain::call::Idempotency;
use crate::domain::id::{AnyId, RequestId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::store::request_log::Call;

/// Notes an answered request, if it is one that is kept: a partner's call with a good token, or a
/// refusal that concerns security.
///
/// It waits for nothing: the row is written within a second.
pub(super) fn note<B>(
    app: &App,
    id: &RequestId,
    at: Instant,
    took: Duration,
    answer: &ServiceResponse<B>,
) {
    let remarks = answer.request().extensions_mut().remove::<Remarks>();
    let client = remarks
        .as_ref()
        .and_then(|remarks| remarks.client_id.as_ref());
    refused::note(app, answer, client, at);
    let Some(log) = &app.requests else { return };
    if let Some(call) = remarks.and_then(|remarks| call(id, at, took, answer, remarks)) {
        log.enqueue(call);
    }
}

fn call<B>(
    id: &RequestId,
    at: Instant,
    took: Duration,
    answer: &ServiceResponse<B>,
    remarks: Remarks,
) -> Option<Call> {
    let (tenant, credential_id) = remarks.caller?;
    let request = answer.request();
    let status = answer.status();
    let error = answer.response().error();
    let problem = error.and_then(|error| error.as_error::<Problem>());
    Some(Call {
        request_id: id.clone(),
        at,
        partner_id: tenant.partner_id().clone(),
        realm: tenant.realm(),
        client_id: remarks.client_id?,
        credential_id,
        method: method(request.method()).to_owned(),
        route: route(request.match_pattern(), tenant.realm()),
        status: status.as_u16().into(),
        code: problem.map(|problem| problem.code().to_owned()),
        micros: i64::try_from(took.as_micros()).unwrap_or(i64::MAX),
        idempotency: remarks.idempotency.unwrap_or(Idempotency::None),
        order_id: remarks.order_id,
        version: remarks.version,
        subject: remarks.subject.or_else(|| {
            let ids = request.match_info().iter().map(|(_, value)| value);
            let mut ids = ids.filter_map(|value| value.parse::<AnyId>().ok());
            ids.next().filter(|_| status == StatusCode::NOT_FOUND)
        }),
    })
}

/// A caller can make methods up; what is no method of this server has no name in the log.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

/// The template as the documents print it.
fn route(pattern: Option<String>, realm: Realm) -> String {
    let pattern = pattern.unwrap_or_default();
    let below = pattern
        .strip_prefix('/')
        .and_then(|rest| rest.strip_prefix(realm.as_str()));
    format!("/{{env}}{}", below.unwrap_or_default())
}
