//! `/{env}/v1/orders`: placed once, and read.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::id::{ClientId, OrderId, PackageId};
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::order::{Metadata, OrderRef, OrderState};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::http::extract::{Granted, OrdersCreate, OrdersRead};
use crate::http::idempotency::{self, IdempotencyKey};
use crate::http::json;
use crate::http::limits;
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::domain::Environment;
use crate::http::problem::Problem;
use crate::http::prohibited;
use crate::partner::orders::{self, Buyer, NewOrder};
use crate::partner::quotas::OrderQuotas;
use crate::store::StoreError;
use crate::store::orders::{Filter, Order, OrderEvent, by_reference, find, history, page};

/// The operation that keys are bound to.
const PLACE: &str = "orders.create";
/// The route that the fingerprint covers.
const ROUTE: &str = "/{env}/v1/orders";

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderView {
    id: OrderId,
    #[schema(value_type = Environment)]
    env: Realm,
    state: OrderState,
    partner_order_ref: OrderRef,
    package_id: PackageId,
    /// The package's version when it was ordered.
    package_version: i64,
    quantity: i64,
    unit_price: Money,
    total: Money,
    metadata: Option<Metadata>,
    /// Why it failed or was cancelled, where that was said.
    reason: Option<String>,
    created_at: Instant,
    updated_at: Instant,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        Self {
            unit_price: order.unit_price(),
            total: order.total(),
            id: order.id,
            env: order.realm,
            state: order.state,
            partner_order_ref: order.partner_order_ref,
            package_id: order.package_id,
            package_version: order.package_version,
            quantity: order.quantity,
            metadata: order.metadata,
            reason: order.reason,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// An order with what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderWithHistory)]
pub struct OrderDetailView {
    #[serde(flatten)]
    order: OrderView,
    /// The states that it reached, in order.
    history: Vec<ReachedView>,
}

/// A state that an order reached.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderHistory)]
pub struct ReachedView {
    state: OrderState,
    at: Instant,
    reason: Option<String>,
}

impl OrderDetailView {
    /// An order with its events.
    pub fn of(order: Order, events: Vec<OrderEvent>) -> Self {
        let reached = |event: OrderEvent| ReachedView {
            state: event.state,
            at: event.at,
            reason: event.reason,
        };
        Self {
            order: order.into(),
            history: events.into_iter().map(reached).collect(),
        }
    }
}

/// An order to be.
#[derive(Debug, ToSchema)]
#[schema(as = NewOrder, example = json!({
    "package_id": "pkg_01K2ZJ6V9D3M5K7N2R4T6W8Y0A", "quantity": 2, "partner_order_ref": "PO-2026-0017",
    "metadata": {"trip": "Oslo"}
}))]
pub struct NewOrderBody {
    pub package_id: PackageId,
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub quantity: i64,
    /// Not a bare number of 13 to 19 digits, with or without spaces, hyphens and dots between them, unless it is a
    /// UUID: one in ten would pass for a card's (`prohibited_material`). Put letters before it.
    pub partner_order_ref: OrderRef,
    pub metadata: Option<Metadata>,
}

/// Places an order, once.
///
/// Ask again with the same `Idempotency-Key` and the same body whenever an answer was lost: it is the
/// first answer again, with `Idempotent-Replayed: true`, for 24 hours. A `partner_order_ref` names
/// one order for ever. Refusals are not kept.
#[utoipa::path(
    post, path = "/{env}/v1/orders", operation_id = "place_order", tag = "orders",
    request_body = NewOrderBody,
    responses((status = 201, description = "The order, in the state `accepted`", body = OrderView,
        headers(
            ("Location" = String, description = "Where it is read."),
            ("Idempotent-Replayed" = String, description = "`true`: it was placed by an earlier request."),
        )))
)]
pub async fn create(
    who: Granted<OrdersCreate>,
    key: IdempotencyKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let key = key.check()?;
    let mut body = Members::read(&request, payload).await?;
    let once = key.once(&who.tenant, PLACE, ROUTE, &body)?;
    let found = prohibited::look_through(&mut body, "partner_order_ref", "metadata");
    if !found.is_empty() {
        prohibited::report(&app, who.actor.clone(), &who.tenant, found).await?;
    }
    let new = new_order(body)?;
    let act = app.partner_act(who.actor);
    let quotas = quotas(&app, &who.tenant, &who.client_id, act.now).await?;
    let buyer = Buyer {
        tenant: who.tenant,
        client_id: who.client_id,
        credential_id: who.credential_id,
        quotas: quotas.clone(),
    };
    let tenant = buyer.tenant.clone();
    let answer = idempotency::execute(&request, &app, tenant, once, move |db, once| {
        orders::place(db, &buyer, &act, once, new, |order| {
            let location = format!("/{}/v1/orders/{}", order.realm, order.id);
            let view = OrderView::from(order.clone());
            idempotency::kept(StatusCode::CREATED, Some(location), &view, Some(&order.id))
        })
    })
    .await;
    if let Some(told) = quotas.told() {
        limits::note(&request, told);
    }
    answer
}

/// How much a client's partner may order: from memory.
async fn quotas(
    app: &App,
    tenant: &Tenant,
    client: &ClientId,
    now: Instant,
) -> Result<OrderQuotas, Problem> {
    let found = app.directory.client(tenant.realm(), client.clone(), now);
    let entry = found.await?;
    Ok(entry.map_or_else(OrderQuotas::default, |entry| {
        OrderQuotas::of(entry.limits.limits(now))
    }))
}

fn new_order(mut body: Members) -> Result<NewOrder, Problem> {
    let taken = (
        body.parsed("package_id"),
        body.whole("quantity", 1..=orders::MOST),
        body.parsed("partner_order_ref"),
        metadata(&mut body, "metadata"),
    );
    let (package_id, quantity, partner_order_ref, metadata) = body.finish(taken)?;
    Ok(NewOrder {
        package_id,
        quantity,
        partner_order_ref,
        metadata,
    })
}

/// Pairs of texts, or nothing. The outer `None`: a fault was noted.
fn metadata(body: &mut Members, name: &str) -> Option<Option<Metadata>> {
    let Some(members) = body.optional_object(name)? else {
        return Some(None);
    };
    let mut pairs = Some(BTreeMap::new());
    if members.len() > Metadata::PAIRS {
        let detail = format!("has at most {} pairs", Metadata::PAIRS);
        body.fault(format!("/{name}"), "invalid", detail);
        pairs = None;
    }
    let is_plain =
        |text: &str, max: usize| text.chars().count() <= max && !text.chars().any(char::is_control);
    for (key, value) in members.into_iter().take(100) {
        if crate::domain::prohibited::in_text(&key).is_some() {
            // Told already, and not to be repeated.
            pairs = None;
            continue;
        }
        // A name that is itself at fault is not repeated at length.
        let shown: String = key.chars().take(Metadata::NAME).collect();
        let pointer = format!("/{name}/{}", json::pointer_token(&shown));
        let fault = match &value {
            _ if key.is_empty() || !is_plain(&key, Metadata::NAME) => Some((
                "invalid",
                format!(
                    "names are 1 to {} characters, without control characters",
                    Metadata::NAME
                ),
            )),
            Value::String(text) if is_plain(text, Metadata::VALUE) => None,
            Value::String(_) => Some((
                "invalid",
                format!(
                    "must be at most {} characters, without control characters",
                    Metadata::VALUE
                ),
            )),
            _ => Some(("type", "must be a string".to_owned())),
        };
        match (fault, value) {
            (None, Value::String(text)) => {
                if let Some(pairs) = &mut pairs {
                    pairs.insert(key, text);
                }
            }
            (Some((code, detail)), _) => {
                body.fault(pointer, code, detail);
                pairs = None;
            }
            (None, _) => pairs = None,
        }
    }
    pairs.map(|pairs| Some(Metadata::from(pairs)))
}

/// Lists the orders of the caller's partner, the newest first.
#[utoipa::path(
    get, path = "/{env}/v1/orders", operation_id = "list_orders", tag = "orders",
    params(
        ("state" = Option<OrderState>, Query, description = "Only orders in this state."),
        ("package_id" = Option<PackageId>, Query, description = "Only orders of this package."),
        ("created_from" = Option<Instant>, Query, description = "Only orders placed then or later."),
        ("created_to" = Option<Instant>, Query, description = "Only orders placed before."),
    ),
    responses((status = 200, description = "A page of orders", body = ListView<OrderView>))
)]
pub async fn list(
    who: Granted<OrdersRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<OrderView>>, Problem> {
    let filter = Filter {
        state: query.filter("state")?,
        package_id: query.filter("package_id")?,
        from: query.filter("created_from")?,
        to: query.filter("created_to")?,
    };
    let asked = query.page_of::<OrderId>()?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        page(db, tenant, &filter, &asked)
    });
    Ok(ListView::of(read.await?, OrderView::from))
}

/// Shows an order.
#[utoipa::path(
    get, path = "/{env}/v1/orders/{id}", operation_id = "show_order", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses((status = 200, description = "The order with its history", body = OrderDetailView))
)]
pub async fn show(
    who: Granted<OrdersRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<OrderDetailView>, Problem> {
    let id: OrderId = path.parse().map_err(|_| Problem::not_found())?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        let Some(order) = find(db, tenant, &id)? else {
            return Ok(None);
        };
        let events = history(db, tenant, &order)?;
        Ok::<_, StoreError>(Some(OrderDetailView::of(order, events)))
    });
    read.await?.map(web::Json).ok_or_else(Problem::not_found)
}

/// Shows the order of a reference: after a lost answer, whether it was placed.
#[utoipa::path(
    get, path = "/{env}/v1/orders/by-reference/{partner_order_ref}", operation_id = "show_order_by_reference",
    tag = "orders",
    params(("partner_order_ref" = OrderRef, Path, description = "What the partner calls it, percent-encoded")),
    responses((status = 200, description = "The order with its history", body = OrderDetailView))
)]
pub async fn show_by_reference(
    who: Granted<OrdersRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<OrderDetailView>, Problem> {
    let reference: OrderRef = path.parse().map_err(|_| Problem::not_found())?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        let Some(order) = by_reference(db, tenant, &reference)? else {
            return Ok(None);
        };
        let events = history(db, tenant, &order)?;
        Ok::<_, StoreError>(Some(OrderDetailView::of(order, events)))
    });
    read.await?.map(web::Json).ok_or_else(Problem::not_found)
}
