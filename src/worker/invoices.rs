//! When a month has ended, what its entries come to is billed.
//!
//! Any number of nodes may do so: who bills a tenant holds its count, and who comes after finds
//! nothing left to bill.

use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::app::App;
use crate::audit::Actor;
use crate::domain::month::Month;
use crate::partner::PartnerError;
use crate::partner::invoices::{self, Closing, close};
use crate::store::partners;

/// How often is looked.
const ROUND: Duration = Duration::from_secs(900);

pub(super) async fn run(app: Arc<App>) {
    loop {
        match round(&app).await {
            Ok(0) => {}
            Ok(made) => log::info!("opened {made} invoices for the month that ended"),
            Err(error) => log::warn!("nobody's month could be billed, and will be: {error}"),
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn round(app: &App) -> Result<usize, PartnerError> {
    let ended = Month::of(surely_past(app).await?).previous();
    let mut made = 0;
    for tenant in app.store.read(partners::tenants).await? {
        let asked = tenant.clone();
        let is_due = app
            .store
            .read(move |db| invoices::is_due(db, &asked, ended));
        match is_due.await {
            Ok(true) => {}
            Ok(false) => continue,
            // One whose month cannot be looked at keeps nobody else from an invoice.
            Err(error) => {
                let named = tenant.partner_id();
                log::warn!("{named}'s month could not be looked at, and will be: {error}");
                continue;
            }
        }
        let act = app.partner_act(Actor::policy());
        let named = tenant.partner_id().clone();
        let bills = app
            .store
            .write(move |db| close(db, &tenant, &act, ended, Closing::Ended));
        match bills.await {
            Ok(bills) => made += bills.len(),
            // One whose month cannot be billed keeps nobody else from an invoice.
            Err(error) => log::warn!("{named}'s month could not be billed, and will be: {error}"),
        }
    }
    Ok(made)
}
