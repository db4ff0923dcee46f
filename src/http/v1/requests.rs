//! `GET /{env}/v1/requests`: what the partner called.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::call::{Idempotency, Term};
use crate::domain::id::{ClientId, CredentialId, OrderId, RequestId};
use crate::domain::instant::Instant;
use crate::http::extract::{AnyScope, Granted};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::request_log::{self, Call, Filter};

/// A call of the partner's.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
pub struct RequestView {
    /// As in the answer's `Onyx-Request-Id`.
    id: RequestId,
    at: Instant,
    client_id: ClientId,
    credential_id: CredentialId,
    method: String,
    /// The route's template, as in this document.
    route: String,
    status: i32,
    /// The `code` of a refusal.
    code: Option<String>,
    /// From its coming to its answer.
    milliseconds: f64,
    /// What became of its idempotency key.
    idempotency: Idempotency,
    /// The order that it made or was about.
    order_id: Option<OrderId>,
}

impl From<Call> for RequestView {
    fn from(call: Call) -> Self {
        Self {
            milliseconds: milliseconds(&call),
            id: call.request_id,
            at: call.at,
            client_id: call.client_id,
            credential_id: call.credential_id,
            method: call.method,
            route: call.route,
            status: call.status,
            code: call.code,
            idempotency: call.idempotency,
            order_id: call.order_id,
        }
    }
}

/// To the microsecond.
#[expect(
    clippy::cast_precision_loss,
    reason = "a call lasts less than 2^53 microseconds"
)]
pub(crate) fn milliseconds(call: &Call) -> f64 {
    call.micros as f64 / 1000.0
}

/// The filters that partners and operators share.
pub(crate) fn filters(query: &mut ListQuery) -> Result<Filter, Problem> {
    let term = |found: Option<Term>| found.map(Term::into_text);
    Ok(Filter {
        partner_id: None,
        realm: None,
        request_id: query.filter("id")?,
        client_id: query.filter("client_id")?,
        credential_id: query.filter("credential_id")?,
        order_id: query.filter("order_id")?,
        route: term(query.filter("route")?),
        status: query.filter("status")?,
        code: term(query.filter("code")?),
        from: query.filter("from")?,
        to: query.filter("to")?,
    })
}

/// Lists the partner's calls in this environment, newest first.
///
/// A call shows up about a second after its answer, and is kept for 90 days unless the operators say
/// otherwise. Calls without a valid token are nobody's and are not here. With filters a page may be
/// short or empty before the last: go on until `next_cursor` is `null`.
#[utoipa::path(
    get, path = "/{env}/v1/requests", operation_id = "list_own_requests", tag = "requests",
    params(
        ("id" = Option<RequestId>, Query, description = "Only this one."),
        ("client_id" = Option<ClientId>, Query, description = "Only calls of this client."),
        ("credential_id" = Option<CredentialId>, Query, description = "Only calls with tokens of this credential."),
        ("order_id" = Option<OrderId>, Query, description = "Only calls that made this order or were about it."),
        ("route" = Option<String>, Query, description = "Only calls of this route, by its template such as `/{env}/v1/me`."),
        ("status" = Option<String>, Query, description = "Only calls with this status, such as `404`, or of this class, such as `4xx`."),
        ("code" = Option<String>, Query, description = "Only refusals with this `code`."),
        ("from" = Option<Instant>, Query, description = "Only calls at this moment or later."),
        ("to" = Option<Instant>, Query, description = "Only calls before this moment."),
    ),
    responses((status = 200, description = "A page of calls", body = ListView<RequestView>))
)]
pub async fn list(
    who: Granted<AnyScope>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<RequestView>>, Problem> {
    let filter = filters(&mut query)?;
    let asked = query.page_of::<RequestId>()?;
    let found = app
        .store
        .read_as(who.tenant, move |db, tenant| {
            request_log::of_tenant(db, tenant, filter, &asked)
        })
        .await?;
    Ok(ListView::of(found, RequestView::from))
}
