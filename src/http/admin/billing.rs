//! `/admin/v1/usage-records` and `/admin/v1/ledger`: usage that is metered, and corrections.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::id::{LedgerEntryId, OrderId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::money::{LARGEST, Money};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::http::admin::named::Named;
use crate::http::extract::{BillingWrite, Operator, UsageWrite};
use crate::http::idempotency::{OptionalKey, execute_for_operator, kept};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::domain::{Environment, SignedMoney};
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::http::v1::ledger::EntryView;
use crate::http::v1::usage::UsageView;
use crate::partner::ledger::{self as corrections, NewAdjustment, NewRefund};
use crate::partner::usage::{self, NewUsage};
use crate::store::ledger::{self, Filter, LedgerEntry};

/// The most that a record of usage may say.
const MOST: i64 = 1_000_000_000_000;

/// The operations that keys are bound to.
const USAGE: &str = "usage.record";
const REFUND: &str = "ledger.refund";
const ADJUST: &str = "ledger.adjust";

/// Usage to be written down.
#[derive(Debug, ToSchema)]
#[schema(as = NewUsageRecord, example = json!({
    "order_id": "ord_01K2ZJ6V9D3M5K7N2R4T6W8Y0A", "quantity": 512, "unit": "megabyte",
    "recorded_at": "2030-01-31T12:00:00Z"
}))]
pub struct NewUsageBody {
    pub order_id: OrderId,
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub quantity: i64,
    #[schema(min_length = 1, max_length = 40)]
    pub unit: String,
    /// When it was used, by the clock of whoever measures.
    pub recorded_at: Instant,
}

/// A movement on a partner's account, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartnerLedgerEntry)]
pub struct PartnerEntryView {
    partner_id: PartnerId,
    #[schema(value_type = Environment)]
    realm: Realm,
    /// Who wrote it.
    actor: String,
    #[serde(flatten)]
    entry: EntryView,
}

impl From<LedgerEntry> for PartnerEntryView {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            partner_id: entry.partner_id.clone(),
            realm: entry.realm,
            actor: entry.actor.clone(),
            entry: entry.into(),
        }
    }
}

/// A refund of an order.
#[derive(Debug, ToSchema)]
#[schema(as = NewRefund, example = json!({
    "order_id": "ord_01K2ZJ6V9D3M5K7N2R4T6W8Y0A", "amount": 500, "reference": "RF-2030-0007", "reason": "no coverage"
}))]
pub struct RefundBody {
    pub order_id: OrderId,
    /// Minor units; left out: all that the order costs still.
    #[schema(minimum = 1)]
    pub amount: Option<i64>,
    /// What you call it. One refund or adjustment of a partner has one name.
    #[schema(min_length = 1, max_length = 100)]
    pub reference: String,
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// An adjustment of what a partner owes.
#[derive(Debug, ToSchema)]
#[schema(as = NewAdjustment, example = json!({
    "partner_id": "ptn_01K2ZJ6V9D3M5K7N2R4T6W8Y0A", "realm": "live", "amount": {"amount": -250, "currency": "EUR"},
    "corrects": "led_01K2ZJ6V9D3M5K7N2R4T6W8Y0A", "reference": "ADJ-12", "reason": "wrong price"
}))]
pub struct AdjustmentBody {
    pub partner_id: PartnerId,
    #[schema(value_type = Environment)]
    pub realm: Realm,
    /// Positive: the partner owes more.
    #[schema(value_type = SignedMoney)]
    pub amount: Money,
    /// The entry that it corrects.
    pub corrects: LedgerEntryId,
    /// What you call it. One refund or adjustment of a partner has one name.
    #[schema(min_length = 1, max_length = 100)]
    pub reference: String,
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// Writes down what was used of an order.
#[utoipa::path(
    post, path = "/admin/v1/usage-records", operation_id = "record_usage", tag = "billing",
    request_body = NewUsageBody,
    responses((status = 201, description = "The record", body = UsageView))
)]
pub async fn record_usage(
    who: Operator<UsageWrite>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), USAGE, request.path(), &body)?;
    let taken = (
        body.parsed("order_id"),
        body.whole("quantity", 1..=MOST),
        body.line("unit", 40),
        body.parsed("recorded_at"),
    );
    let (order_id, quantity, unit, recorded_at) = body.finish(taken)?;
    let new = NewUsage {
        order_id,
        quantity,
        unit,
        recorded_at,
    };
    let act = app.partner_act(who.actor);
    execute_for_operator(&app, once, act.now, move |db| {
        let written = usage::record(db, &act, new)?;
        let id = Some(written.id.to_string());
        kept(StatusCode::CREATED, None, &UsageView::from(written), id)
    })
    .await
}

/// Lists the movements on a partner's account, the newest first.
#[utoipa::path(
    get, path = "/admin/v1/ledger/entries", operation_id = "list_partner_ledger_entries", tag = "billing",
    params(
        ("partner_id" = PartnerId, Query, description = "The partner whose account it is."),
        ("realm" = Environment, Query, description = "In which environment."),
        ("order_id" = Option<OrderId>, Query, description = "Only entries about this order."),
        ("from" = Option<Instant>, Query, description = "Only entries written then or later."),
        ("to" = Option<Instant>, Query, description = "Only entries written before."),
    ),
    responses((status = 200, description = "A page of entries", body = ListView<PartnerEntryView>))
)]
pub async fn list_entries(
    _: Operator<BillingWrite>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<PartnerEntryView>>, Problem> {
    let (partner, realm) = (query.filter("partner_id")?, query.filter::<Realm>("realm")?);
    let filter = Filter {
        order_id: query.filter("order_id")?,
        from: query.filter("from")?,
        to: query.filter("to")?,
        ..Filter::default()
    };
    let asked = query.page_of::<LedgerEntryId>()?;
    let (Some(partner), Some(realm)) = (partner, realm) else {
        let detail = "say whose account: partner_id and realm must both be given";
        return Err(Problem::bad_parameter(detail));
    };
    let account = Tenant::of_record(partner, realm);
    let read = app
        .store
        .read(move |db| ledger::page(db, &account, &filter, &asked));
    Ok(ListView::of(read.await?, PartnerEntryView::from))
}

/// Gives back what an order cost, or a part of it; never more than it costs still.
#[utoipa::path(
    post, path = "/admin/v1/ledger/refunds", operation_id = "refund_order", tag = "billing",
    request_body = RefundBody,
    responses((status = 201, description = "The entry", body = PartnerEntryView), Conflict)
)]
pub async fn refund(
    who: Operator<BillingWrite>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), REFUND, request.path(), &body)?;
    let taken = (
        body.parsed("order_id"),
        body.optional_whole("amount", 1..=LARGEST),
        body.line("reference", 100),
        body.text("reason", 1000),
    );
    let (order_id, amount, reference, reason) = body.finish(taken)?;
    let new = NewRefund {
        order_id,
        amount,
        reference,
        reason,
    };
    let act = app.partner_act(who.actor);
    execute_for_operator(&app, once, act.now, move |db| {
        let written = corrections::refund(db, &act, new)?;
        let id = Some(written.id.to_string());
        kept(
            StatusCode::CREATED,
            None,
            &PartnerEntryView::from(written),
            id,
        )
    })
    .await
}

/// Adds to what a partner owes, or takes from it, by an entry that names the one it corrects.
#[utoipa::path(
    post, path = "/admin/v1/ledger/adjustments", operation_id = "adjust_ledger", tag = "billing",
    request_body = AdjustmentBody,
    responses((status = 201, description = "The entry", body = PartnerEntryView), Conflict)
)]
pub async fn adjust(
    who: Operator<BillingWrite>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), ADJUST, request.path(), &body)?;
    let taken = (
        body.parsed::<PartnerId>("partner_id"),
        body.parsed::<Named>("realm"),
        money(&mut body, "amount"),
        body.parsed("corrects"),
        body.line("reference", 100),
        body.text("reason", 1000),
    );
    let (partner, Named(realm), amount, corrects, reference, reason) = body.finish(taken)?;
    let account = Tenant::of_record(partner, realm);
    let new = NewAdjustment {
        amount,
        corrects,
        reference,
        reason,
    };
    let act = app.partner_act(who.actor);
    execute_for_operator(&app, once, act.now, move |db| {
        let written = corrections::adjust(db, &account, &act, new)?;
        let id = Some(written.id.to_string());
        kept(
            StatusCode::CREATED,
            None,
            &PartnerEntryView::from(written),
            id,
        )
    })
    .await
}

/// An amount that may be negative, and is not zero.
fn money(body: &mut Members, name: &str) -> Option<Money> {
    let members = body.object(name)?;
    let mut part = Members::within(members);
    let taken = (
        part.whole("amount", -LARGEST..=LARGEST),
        part.parsed("currency"),
    );
    let (amount, currency) = body.part(name, part, taken)?;
    if amount == 0 {
        body.fault(format!("/{name}/amount"), "invalid", "must not be zero");
        return None;
    }
    Some(Money::new(amount, currency))
}
