//! `/{env}/v1/invoices`: what the partner is billed.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use super::ledger::EntryView;
use crate::app::App;
use crate::domain::id::InvoiceId;
use crate::domain::instant::Instant;
use crate::domain::invoice::InvoiceState;
use crate::domain::money::Money;
use crate::domain::month::Month;
use crate::http::extract::{Granted, InvoicesRead};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::invoices::{self, Filter, Invoice};
use crate::store::{StoreError, ledger};

/// An invoice.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invoice)]
pub struct InvoiceView {
    id: InvoiceId,
    /// Counted from 1, without gaps, for the partner and environment; a draft has none.
    number: Option<i64>,
    state: InvoiceState,
    /// The month that it bills.
    period: Month,
    total: Money,
    /// Why it was voided or given up.
    reason: Option<String>,
    created_at: Instant,
    opened_at: Option<Instant>,
    due_at: Option<Instant>,
    /// When it was paid, voided or given up.
    ended_at: Option<Instant>,
}

impl From<Invoice> for InvoiceView {
    fn from(invoice: Invoice) -> Self {
        Self {
            total: invoice.total(),
            id: invoice.id,
            number: invoice.number,
            state: invoice.state,
            period: invoice.period,
            reason: invoice.reason,
            created_at: invoice.created_at,
            opened_at: invoice.opened_at,
            due_at: invoice.due_at,
            ended_at: invoice.ended_at,
        }
    }
}

/// An invoice with what it bills.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InvoiceWithLines)]
pub struct InvoiceDetailView {
    #[serde(flatten)]
    invoice: InvoiceView,
    /// The entries of the ledger that it bills; their amounts are its total.
    lines: Vec<EntryView>,
}

impl InvoiceDetailView {
    /// An invoice with its entries.
    pub fn of(invoice: Invoice, lines: Vec<ledger::LedgerEntry>) -> Self {
        Self {
            invoice: invoice.into(),
            lines: lines.into_iter().map(EntryView::from).collect(),
        }
    }
}

/// Lists the partner's invoices, the newest first.
#[utoipa::path(
    get, path = "/{env}/v1/invoices", operation_id = "list_invoices", tag = "billing",
    params(
        ("state" = Option<InvoiceState>, Query, description = "Only invoices in this state."),
        ("period" = Option<Month>, Query, description = "Only invoices of this month, such as `2026-11`."),
    ),
    responses((status = 200, description = "A page of invoices", body = ListView<InvoiceView>))
)]
pub async fn list(
    who: Granted<InvoicesRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<InvoiceView>>, Problem> {
    let filter = Filter {
        state: query.filter("state")?,
        period: query.filter("period")?,
        ..Filter::default()
    };
    let asked = query.page_of::<InvoiceId>()?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        invoices::of_tenant(db, tenant, filter, &asked)
    });
    Ok(ListView::of(read.await?, InvoiceView::from))
}

/// Shows an invoice with what it bills.
#[utoipa::path(
    get, path = "/{env}/v1/invoices/{id}", operation_id = "show_invoice", tag = "billing",
    params(("id" = InvoiceId, Path, description = "The invoice")),
    responses((status = 200, description = "The invoice with its lines", body = InvoiceDetailView))
)]
pub async fn show(
    who: Granted<InvoicesRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<InvoiceDetailView>, Problem> {
    let id: InvoiceId = path.parse().map_err(|_| Problem::not_found())?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        let Some(invoice) = invoices::find(db, tenant, &id)? else {
            return Ok(None);
        };
        let lines = ledger::of_invoice(db, tenant, &id)?;
        Ok::<_, StoreError>(Some(InvoiceDetailView::of(invoice, lines)))
    });
    read.await?.map(web::Json).ok_or_else(Problem::not_found)
}
