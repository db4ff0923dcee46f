//! `/admin/v1/orders`: for operators, and for services that fulfil orders.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Reason, id};
use crate::app::App;
use crate::domain::id::{ClientId, OrderId, PartnerId};
use crate::domain::order::{OrderState, OrderStep};
use crate::domain::realm::Realm;
use crate::http::extract::{Operator, OrdersFulfil};
use crate::http::idempotency::{OptionalKey, execute_for_operator, kept};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::domain::Environment;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::http::v1::orders::{OrderDetailView, OrderView};
use crate::partner::idempotency::Once;
use crate::partner::orders;
use crate::store::StoreError;
use crate::store::orders::{Anywhere, Order, anywhere, history, page_anywhere};

/// An order as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartnerOrder)]
pub struct PartnerOrderView {
    partner_id: PartnerId,
    #[schema(value_type = Environment)]
    realm: Realm,
    /// The client that placed it.
    client_id: ClientId,
    #[serde(flatten)]
    order: OrderView,
}

/// An order with what became of it, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartnerOrderWithHistory)]
pub struct PartnerOrderDetailView {
    partner_id: PartnerId,
    #[schema(value_type = Environment)]
    realm: Realm,
    /// The client that placed it.
    client_id: ClientId,
    #[serde(flatten)]
    order: OrderDetailView,
}

impl From<Order> for PartnerOrderView {
    fn from(order: Order) -> Self {
        Self {
            partner_id: order.partner_id.clone(),
            realm: order.realm,
            client_id: order.client_id.clone(),
            order: order.into(),
        }
    }
}

/// Lists the orders of all partners, the newest first.
#[utoipa::path(
    get, path = "/admin/v1/orders", operation_id = "list_partner_orders", tag = "orders",
    params(
        ("partner_id" = Option<PartnerId>, Query, description = "Only orders of this partner."),
        ("realm" = Option<Environment>, Query, description = "Only orders of this environment."),
        ("state" = Option<OrderState>, Query, description = "Only orders in this state."),
    ),
    responses((status = 200, description = "A page of orders", body = ListView<PartnerOrderView>))
)]
pub async fn list(
    _: Operator<OrdersFulfil>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<PartnerOrderView>>, Problem> {
    let filter = Anywhere {
        partner_id: query.filter("partner_id")?,
        realm: query.filter("realm")?,
        state: query.filter("state")?,
    };
    let asked = query.page_of::<OrderId>()?;
    let read = app.store.read(move |db| page_anywhere(db, &filter, &asked));
    Ok(ListView::of(read.await?, PartnerOrderView::from))
}

/// Shows an order.
#[utoipa::path(
    get, path = "/admin/v1/orders/{id}", operation_id = "show_partner_order", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses((status = 200, description = "The order with its history", body = PartnerOrderDetailView))
)]
pub async fn show(
    _: Operator<OrdersFulfil>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<PartnerOrderDetailView>, Problem> {
    let id: OrderId = id(&path)?;
    let read = app.store.read(move |db| {
        let Some(order) = anywhere(db, &id)? else {
            return Ok(None);
        };
        let events = history(db, &order.tenant(), &order)?;
        Ok::<_, StoreError>(Some((order, events)))
    });
    let (order, events) = read.await?.ok_or_else(Problem::not_found)?;
    Ok(web::Json(PartnerOrderDetailView {
        partner_id: order.partner_id.clone(),
        realm: order.realm,
        client_id: order.client_id.clone(),
        order: OrderDetailView::of(order, events),
    }))
}

/// Says that an order is being prepared.
#[utoipa::path(
    post, path = "/admin/v1/orders/{id}/prepare", operation_id = "prepare_order", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    request_body = Reason,
    responses((status = 200, description = "The order", body = PartnerOrderView), Conflict)
)]
pub async fn prepare(
    who: Operator<OrdersFulfil>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), "orders.prepare", request.path(), &body)?;
    step(who, &path, app, OrderStep::Prepare, body, once).await
}

/// Says that an order is fulfilled.
#[utoipa::path(
    post, path = "/admin/v1/orders/{id}/fulfil", operation_id = "fulfil_order", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    request_body = Reason,
    responses((status = 200, description = "The order", body = PartnerOrderView), Conflict)
)]
pub async fn fulfil(
    who: Operator<OrdersFulfil>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), "orders.fulfil", request.path(), &body)?;
    step(who, &path, app, OrderStep::Fulfil, body, once).await
}

/// Says that an order failed: the partner is credited what it was charged, and told the reason.
#[utoipa::path(
    post, path = "/admin/v1/orders/{id}/fail", operation_id = "fail_order", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    request_body = Reason,
    responses((status = 200, description = "The order", body = PartnerOrderView), Conflict)
)]
pub async fn fail(
    who: Operator<OrdersFulfil>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), "orders.fail", request.path(), &body)?;
    step(who, &path, app, OrderStep::Fail, body, once).await
}

/// Cancels an order: the partner is credited what it was charged, and told the reason.
#[utoipa::path(
    post, path = "/admin/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    request_body = Reason,
    responses((status = 200, description = "The order", body = PartnerOrderView), Conflict)
)]
pub async fn cancel(
    who: Operator<OrdersFulfil>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), "orders.cancel", request.path(), &body)?;
    step(who, &path, app, OrderStep::Cancel, body, once).await
}

async fn step(
    who: Operator<OrdersFulfil>,
    path: &str,
    app: web::Data<App>,
    step: OrderStep,
    mut body: Members,
    once: Option<Once>,
) -> Result<HttpResponse, Problem> {
    let id: OrderId = id(path)?;
    let taken = (body.optional_text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    let act = app.partner_act(who.actor);
    execute_for_operator(&app, once, act.now, move |db| {
        let moved = orders::step_anywhere(db, &act, &id, step, reason.as_deref())?;
        let id = Some(moved.id.to_string());
        kept(StatusCode::OK, None, &PartnerOrderView::from(moved), id)
    })
    .await
}
