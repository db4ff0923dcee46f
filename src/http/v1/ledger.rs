//! `/{env}/v1/ledger`: the partner's own account.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::id::{InvoiceId, LedgerEntryId, OrderId};
use crate::domain::instant::Instant;
use crate::domain::ledger::EntryKind;
use crate::domain::money::{Currency, Money};
use crate::http::extract::{Granted, LedgerRead};
use crate::http::list::{ListQuery, ListView, Parameters};
use crate::http::openapi::domain::SignedMoney;
use crate::http::problem::Problem;
use crate::partner::ledger::reference;
use crate::store::ledger::{self, Filter, LedgerEntry};

/// A movement on the partner's account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub struct EntryView {
    id: LedgerEntryId,
    kind: EntryKind,
    /// What it does to the balance: positive, and the partner owes more.
    #[schema(value_type = SignedMoney)]
    amount: Money,
    /// The order that it is about.
    order_id: Option<OrderId>,
    /// The invoice that it settles.
    invoice_id: Option<InvoiceId>,
    /// The entry that it corrects.
    corrects: Option<LedgerEntryId>,
    /// What it is about, once: no other entry of the partner has the same.
    reference: String,
    created_at: Instant,
}

impl From<LedgerEntry> for EntryView {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            amount: Money::new(entry.movement().signed(entry.amount), entry.currency),
            reference: reference(&entry).to_owned(),
            id: entry.id,
            kind: entry.kind,
            order_id: entry.order_id,
            invoice_id: entry.invoice_id,
            corrects: entry.corrects,
            created_at: entry.created_at,
        }
    }
}

/// What the partner owes: the sum of all its entries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerBalance)]
pub struct BalanceView {
    /// Where there is one currency, or none yet, what is owed in it; else none.
    #[schema(value_type = Option<SignedMoney>)]
    balance: Option<Money>,
    /// What is owed in each currency. Negative: the partner has credit.
    #[schema(value_type = Vec<SignedMoney>)]
    balances: Vec<Money>,
    as_of: Instant,
}

/// Lists the movements on the partner's account, the newest first.
#[utoipa::path(
    get, path = "/{env}/v1/ledger/entries", operation_id = "list_ledger_entries", tag = "billing",
    params(
        ("kind" = Option<EntryKind>, Query, description = "Only entries of this kind."),
        ("order_id" = Option<OrderId>, Query, description = "Only entries about this order."),
        ("invoice_id" = Option<InvoiceId>, Query, description = "Only entries that settle this invoice."),
        ("from" = Option<Instant>, Query, description = "Only entries written then or later."),
        ("to" = Option<Instant>, Query, description = "Only entries written before."),
    ),
    responses((status = 200, description = "A page of entries", body = ListView<EntryView>))
)]
pub async fn list(
    who: Granted<LedgerRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<EntryView>>, Problem> {
    let filter = Filter {
        kind: query.filter("kind")?,
        order_id: query.filter("order_id")?,
        invoice_id: query.filter("invoice_id")?,
        from: query.filter("from")?,
        to: query.filter("to")?,
    };
    let asked = query.page_of::<LedgerEntryId>()?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        ledger::page(db, tenant, &filter, &asked)
    });
    Ok(ListView::of(read.await?, EntryView::from))
}

/// Shows what the partner owes.
#[utoipa::path(
    get, path = "/{env}/v1/ledger/balance", operation_id = "show_ledger_balance", tag = "billing",
    responses((status = 200, description = "The balance", body = BalanceView))
)]
pub async fn balance(
    who: Granted<LedgerRead>,
    query: Parameters,
    app: web::Data<App>,
) -> Result<web::Json<BalanceView>, Problem> {
    query.finish()?;
    let as_of = app.clock.now();
    let balances = app.store.read_as(who.tenant, ledger::balances).await?;
    let balance = match balances.as_slice() {
        [] => Some(Money::new(0, Currency::Eur)),
        [one] => Some(*one),
        _ => None,
    };
    Ok(web::Json(BalanceView {
        balance,
        balances,
        as_of,
    }))
}
