//! `GET /{env}/v1/usage`: what was used of the partner's orders.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::id::{OrderId, UsageRecordId};
use crate::domain::instant::Instant;
use crate::http::extract::{Granted, UsageRead};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::StoreError;
use crate::store::usage_records::{self, Filter, Total, UsageRecord};

/// Something that was used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageRecord)]
pub struct UsageView {
    id: UsageRecordId,
    order_id: OrderId,
    quantity: i64,
    unit: String,
    /// When it was used.
    recorded_at: Instant,
    /// When it was written down.
    created_at: Instant,
}

impl From<UsageRecord> for UsageView {
    fn from(record: UsageRecord) -> Self {
        Self {
            id: record.id,
            order_id: record.order_id,
            quantity: record.quantity,
            unit: record.unit,
            recorded_at: record.recorded_at,
            created_at: record.created_at,
        }
    }
}

/// A unit, and how much of it was used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageTotal)]
pub struct TotalView {
    unit: String,
    quantity: i64,
}

impl From<Total> for TotalView {
    fn from(total: Total) -> Self {
        Self {
            unit: total.unit,
            quantity: total.quantity,
        }
    }
}

/// A page of usage, and what all of it comes to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsagePage)]
pub struct UsagePageView {
    #[serde(flatten)]
    page: ListView<UsageView>,
    /// Of all records that were asked for, on this page or not.
    totals: Vec<TotalView>,
}

/// Lists what was used of the caller's partner's orders, the newest first, with totals.
#[utoipa::path(
    get, path = "/{env}/v1/usage", operation_id = "list_usage", tag = "billing",
    params(
        ("order_id" = Option<OrderId>, Query, description = "Only usage of this order."),
        ("from" = Option<Instant>, Query, description = "Only what was used then or later."),
        ("to" = Option<Instant>, Query, description = "Only what was used before."),
    ),
    responses((status = 200, description = "A page of usage", body = UsagePageView))
)]
pub async fn list(
    who: Granted<UsageRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<UsagePageView>, Problem> {
    let filter = Filter {
        order_id: query.filter("order_id")?,
        from: query.filter("from")?,
        to: query.filter("to")?,
    };
    let asked = query.page_of::<UsageRecordId>()?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        let page = usage_records::page(db, tenant, &filter, &asked)?;
        Ok::<_, StoreError>((page, usage_records::totals(db, tenant, &filter)?))
    });
    let (page, totals) = read.await?;
    Ok(web::Json(UsagePageView {
        page: ListView::of(page, UsageView::from).into_inner(),
        totals: totals.into_iter().map(TotalView::from).collect(),
    }))
}
