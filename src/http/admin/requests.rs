//! `GET /admin/v1/requests`: what partners called.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::call::Idempotency;
use crate::domain::id::{AnyId, ClientId, CredentialId, OrderId, PartnerId, RequestId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::http::extract::{Operator, RequestsRead};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::http::v1::requests::{filters, milliseconds};
use crate::store::request_log::{self, Call, Filter};

/// A partner's call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoggedRequest)]
pub struct LoggedRequestView {
    /// As in the answer's `Onyx-Request-Id`.
    id: RequestId,
    at: Instant,
    partner_id: PartnerId,
    realm: Realm,
    client_id: ClientId,
    credential_id: CredentialId,
    method: String,
    /// The route's template, as in the partner document.
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
    /// The id that was asked for and not found, if it has the form of one.
    not_found: Option<AnyId>,
}

impl From<Call> for LoggedRequestView {
    fn from(call: Call) -> Self {
        Self {
            milliseconds: milliseconds(&call),
            id: call.request_id,
            at: call.at,
            partner_id: call.partner_id,
            realm: call.realm,
            client_id: call.client_id,
            credential_id: call.credential_id,
            method: call.method,
            route: call.route,
            status: call.status,
            code: call.code,
            idempotency: call.idempotency,
            order_id: call.order_id,
            not_found: call.subject,
        }
    }
}

/// Lists partners' calls, newest first.
///
/// A call shows up about a second after its answer. Calls without a valid token are in the audit
/// trail, added up by the minute.
#[utoipa::path(
    get, path = "/admin/v1/requests", operation_id = "list_requests", tag = "requests",
    params(
        ("partner_id" = Option<PartnerId>, Query, description = "Only calls of this partner."),
        ("realm" = Option<Realm>, Query, description = "Only calls in this realm."),
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
    responses((status = 200, description = "A page of calls", body = ListView<LoggedRequestView>))
)]
pub async fn list(
    _: Operator<RequestsRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<LoggedRequestView>>, Problem> {
    let (partner_id, realm) = (query.filter("partner_id")?, query.filter("realm")?);
    let filter = Filter {
        partner_id,
        realm,
        ..filters(&mut query)?
    };
    let asked = query.page_of::<RequestId>()?;
    let found = app
        .store
        .read(move |db| request_log::page(db, filter, &asked))
        .await?;
    Ok(ListView::of(found, LoggedRequestView::from))
}
