//! `/admin/v1/invoices`: closed from the ledger, opened, paid, voided, given up.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Nothing, Reason, id};
use crate::app::App;
use crate::domain::id::{InvoiceId, PartnerId};
use crate::domain::invoice::InvoiceState;
use crate::domain::month::Month;
use crate::domain::page::Page;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::http::admin::named::Named;
use crate::http::extract::{BillingWrite, Operator};
use crate::http::idempotency::{OptionalKey, execute_for_operator, kept};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::domain::Environment;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::http::v1::invoices::{InvoiceDetailView, InvoiceView};
use crate::partner::idempotency::Once;
use crate::partner::invoices::{self as bills, Closing};
use crate::partner::{Act, PartnerError};
use crate::store::invoices::{self, Filter, Invoice};
use crate::store::{Db, StoreError, ledger, partners};

/// An invoice as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartnerInvoice)]
pub struct PartnerInvoiceView {
    partner_id: PartnerId,
    #[schema(value_type = Environment)]
    realm: Realm,
    #[serde(flatten)]
    invoice: InvoiceView,
}

/// An invoice with what it bills, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartnerInvoiceWithLines)]
pub struct PartnerInvoiceDetailView {
    partner_id: PartnerId,
    #[schema(value_type = Environment)]
    realm: Realm,
    #[serde(flatten)]
    invoice: InvoiceDetailView,
}

impl From<Invoice> for PartnerInvoiceView {
    fn from(invoice: Invoice) -> Self {
        Self {
            partner_id: invoice.partner_id.clone(),
            realm: invoice.realm,
            invoice: invoice.into(),
        }
    }
}

/// What is billed.
#[derive(Debug, ToSchema)]
#[schema(as = Close, example = json!({"period": "2026-10"}))]
pub struct CloseBody {
    /// Only this partner; with `realm`.
    pub partner_id: Option<PartnerId>,
    /// Only in this environment.
    #[schema(value_type = Option<Environment>)]
    pub realm: Option<Realm>,
    /// The month up to whose end is billed; left out: this month, which is up to now.
    pub period: Option<Month>,
    /// Leave the invoices drafts, to be looked at and opened.
    pub draft: Option<bool>,
}

/// Bills what no invoice bills yet: one for each partner, environment and currency with something
/// to pay. What comes to nothing or less is carried over.
///
/// The server does so by itself when a month has ended. With an `Idempotency-Key` all of it is done at once, or
/// nothing.
#[utoipa::path(
    post, path = "/admin/v1/invoices/close", operation_id = "close_invoices", tag = "billing",
    request_body = CloseBody,
    responses((status = 200, description = "The invoices that were made, on one page", body = ListView<PartnerInvoiceView>))
)]
pub async fn close(
    who: Operator<BillingWrite>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), "invoices.close", request.path(), &body)?;
    let taken = (
        body.optional_parsed::<PartnerId>("partner_id"),
        body.optional_parsed::<Named>("realm"),
        body.optional_parsed::<Month>("period"),
        body.optional_flag("draft"),
    );
    let now = app.clock.now();
    if taken
        .2
        .flatten()
        .is_some_and(|period| period > Month::of(now))
    {
        let detail = "must not be a month to come: nothing of it can be billed";
        body.fault("/period".to_owned(), "invalid", detail);
    }
    let (partner, realm, period, draft) = body.finish(taken)?;
    let realm = realm.map(|Named(realm)| realm);
    let period = period.unwrap_or(Month::of(now));
    let closing = match draft {
        Some(true) => Closing::Draft,
        _ => Closing::Open,
    };
    let is_meant = move |tenant: &Tenant| {
        partner.as_ref().is_none_or(|id| id == tenant.partner_id())
            && realm.is_none_or(|realm| realm == tenant.realm())
    };
    let end = period.next().start();
    let act = app.partner_act(who.actor.clone());
    if once.is_some() {
        return execute_for_operator(&app, once, act.now, move |db| {
            let mut made = Vec::new();
            // In their order: whoever bills several holds their counters to the commit.
            for tenant in partners::tenants(db)?.iter().filter(|t| is_meant(t)) {
                if ledger::is_to_bill(db, tenant, end)? {
                    made.extend(bills::close(db, tenant, &act, period, closing)?);
                }
            }
            kept(StatusCode::OK, None, &shown(made).0, None::<String>)
        })
        .await;
    }
    // A transaction for each: others write in between.
    let mut made = Vec::new();
    for tenant in app.store.read(partners::tenants).await? {
        if !is_meant(&tenant) {
            continue;
        }
        let asked = tenant.clone();
        let is_to_bill = app
            .store
            .read(move |db| ledger::is_to_bill(db, &asked, end));
        if is_to_bill.await? {
            let act = app.partner_act(who.actor.clone());
            let bills = app
                .store
                .write(move |db| bills::close(db, &tenant, &act, period, closing));
            made.extend(bills.await?);
        }
    }
    Ok(HttpResponse::Ok().json(shown(made).0))
}

fn shown(made: Vec<Invoice>) -> web::Json<ListView<PartnerInvoiceView>> {
    let all = Page {
        rows: made,
        next: None,
    };
    ListView::of(all, PartnerInvoiceView::from)
}

/// Lists the invoices of all partners, the newest first.
#[utoipa::path(
    get, path = "/admin/v1/invoices", operation_id = "list_partner_invoices", tag = "billing",
    params(
        ("partner_id" = Option<PartnerId>, Query, description = "Only invoices of this partner."),
        ("realm" = Option<Environment>, Query, description = "Only invoices of this environment."),
        ("state" = Option<InvoiceState>, Query, description = "Only invoices in this state."),
        ("period" = Option<Month>, Query, description = "Only invoices of this month, such as `2026-11`."),
    ),
    responses((status = 200, description = "A page of invoices", body = ListView<PartnerInvoiceView>))
)]
pub async fn list(
    _: Operator<BillingWrite>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<PartnerInvoiceView>>, Problem> {
    let filter = Filter {
        partner_id: query.filter("partner_id")?,
        realm: query.filter("realm")?,
        state: query.filter("state")?,
        period: query.filter("period")?,
    };
    let asked = query.page_of::<InvoiceId>()?;
    let read = app
        .store
        .read(move |db| invoices::page(db, &filter, &asked));
    Ok(ListView::of(read.await?, PartnerInvoiceView::from))
}

/// Shows an invoice with what it bills.
#[utoipa::path(
    get, path = "/admin/v1/invoices/{id}", operation_id = "show_partner_invoice", tag = "billing",
    params(("id" = InvoiceId, Path, description = "The invoice")),
    responses((status = 200, description = "The invoice with its lines", body = PartnerInvoiceDetailView))
)]
pub async fn show(
    _: Operator<BillingWrite>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<PartnerInvoiceDetailView>, Problem> {
    let id: InvoiceId = id(&path)?;
    let read = app.store.read(move |db| {
        let Some(invoice) = invoices::anywhere(db, &id)? else {
            return Ok(None);
        };
        let lines = ledger::of_invoice(db, &invoice.tenant(), &id)?;
        Ok::<_, StoreError>(Some((invoice, lines)))
    });
    let (invoice, lines) = read.await?.ok_or_else(Problem::not_found)?;
    Ok(web::Json(PartnerInvoiceDetailView {
        partner_id: invoice.partner_id.clone(),
        realm: invoice.realm,
        invoice: InvoiceDetailView::of(invoice, lines),
    }))
}

/// Opens a draft: it gets its number, and its partner is told.
#[utoipa::path(
    post, path = "/admin/v1/invoices/{id}/open", operation_id = "open_invoice", tag = "billing",
    params(("id" = InvoiceId, Path, description = "The invoice")),
    request_body = Nothing,
    responses((status = 200, description = "The invoice", body = PartnerInvoiceView), Conflict)
)]
pub async fn open(
    who: Operator<BillingWrite>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), "invoices.open", request.path(), &body)?;
    body.finish(())?;
    step(who, &path, app, once, bills::open).await
}

/// Notes that an open invoice was paid.
#[utoipa::path(
    post, path = "/admin/v1/invoices/{id}/pay", operation_id = "pay_invoice", tag = "billing",
    params(("id" = InvoiceId, Path, description = "The invoice")),
    request_body = Nothing,
    responses((status = 200, description = "The invoice", body = PartnerInvoiceView), Conflict)
)]
pub async fn pay(
    who: Operator<BillingWrite>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), "invoices.pay", request.path(), &body)?;
    body.finish(())?;
    step(who, &path, app, once, bills::pay).await
}

/// Voids an open invoice: it keeps its number, and what it billed is billed by the next.
#[utoipa::path(
    post, path = "/admin/v1/invoices/{id}/void", operation_id = "void_invoice", tag = "billing",
    params(("id" = InvoiceId, Path, description = "The invoice")),
    request_body = Reason,
    responses((status = 200, description = "The invoice", body = PartnerInvoiceView), Conflict)
)]
pub async fn void(
    who: Operator<BillingWrite>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(who.client_id(), "invoices.void", request.path(), &body)?;
    let reason = reason(body)?;
    let work = move |db: &mut Db, tenant: &Tenant, act: &Act, id: &InvoiceId| {
        bills::void(db, tenant, act, id, reason.as_deref())
    };
    step(who, &path, app, once, work).await
}

/// Gives an open invoice up: what it comes to is written off.
#[utoipa::path(
    post, path = "/admin/v1/invoices/{id}/uncollectible", operation_id = "give_up_invoice", tag = "billing",
    params(("id" = InvoiceId, Path, description = "The invoice")),
    request_body = Reason,
    responses((status = 200, description = "The invoice", body = PartnerInvoiceView), Conflict)
)]
pub async fn give_up(
    who: Operator<BillingWrite>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let body = Members::read(&request, payload).await?;
    let once = key.once_of_operator(
        who.client_id(),
        "invoices.uncollectible",
        request.path(),
        &body,
    )?;
    let reason = reason(body)?;
    let work = move |db: &mut Db, tenant: &Tenant, act: &Act, id: &InvoiceId| {
        bills::give_up(db, tenant, act, id, reason.as_deref())
    };
    step(who, &path, app, once, work).await
}

fn reason(mut body: Members) -> Result<Option<String>, Problem> {
    let taken = (body.optional_text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    Ok(reason)
}

/// Takes an invoice a step on, whoever's it is.
async fn step<F>(
    who: Operator<BillingWrite>,
    path: &str,
    app: web::Data<App>,
    once: Option<Once>,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(&mut Db, &Tenant, &Act, &InvoiceId) -> Result<Invoice, PartnerError> + Send + 'static,
{
    let id: InvoiceId = id(path)?;
    let act = app.partner_act(who.actor);
    execute_for_operator(&app, once, act.now, move |db| {
        let found = invoices::anywhere(db, &id)?.ok_or(PartnerError::NotFound)?;
        let moved = work(db, &found.tenant(), &act, &id)?;
        let view = PartnerInvoiceView::from(moved);
        kept(StatusCode::OK, None, &view, Some(id.to_string()))
    })
    .await
}
