//! `onyx-auth invoice`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin_client::{AdminClient, path_segment};
use super::confirm::confirm;
use super::output::Output;
use super::{Done, paging::Paging};

/// What a table of invoices shows.
const COLUMNS: [&str; 7] = [
    "id",
    "number",
    "state",
    "partner_id",
    "realm",
    "period",
    "total",
];

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Bill what no invoice bills yet
    Close {
        /// Only this partner
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: Option<String>,
        /// sandbox or live
        #[arg(long)]
        realm: Option<String>,
        /// The month up to whose end is billed, such as 2030-01; otherwise up to now
        #[arg(long)]
        period: Option<String>,
        /// Leave the invoices drafts
        #[arg(long)]
        draft: bool,
    },
    /// List invoices, the newest first
    List {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: Option<String>,
        /// sandbox or live
        #[arg(long)]
        realm: Option<String>,
        /// draft, open, paid, void or uncollectible
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        period: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show an invoice with what it bills
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Open a draft: it gets its number
    Open {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Note that an open invoice was paid
    Pay {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Void an open invoice: what it billed is billed by the next
    Void {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Give an open invoice up: what it comes to is written off
    Uncollectible {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Give back what an order cost, or a part of it
    Refund {
        #[arg(long, value_name = "ORDER_ID")]
        #[arg(value_parser = path_segment)]
        order: String,
        /// Minor units; otherwise all that the order costs still
        #[arg(long)]
        amount: Option<i64>,
        /// What you call it, once
        #[arg(long)]
        reference: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Close {
            partner,
            realm,
            period,
            draft,
        } => {
            let body = json!({
                "partner_id": partner, "realm": realm, "period": period, "draft": draft,
            });
            output.list(&admin.post("/invoices/close", &body).await?, &COLUMNS)
        }
        Verb::List {
            partner,
            realm,
            state,
            period,
            paging,
        } => {
            let filters = [
                ("partner_id", partner.as_deref()),
                ("realm", realm.as_deref()),
                ("state", state.as_deref()),
                ("period", period.as_deref()),
            ];
            let list = admin.get(&paging.of("/invoices", &filters)).await?;
            output.list(&list, &COLUMNS)
        }
        Verb::Show { id } => output.record(&admin.get(&format!("/invoices/{id}")).await?),
        Verb::Open { id } => take(admin, output, &id, "open", json!({})).await,
        Verb::Pay { id } => take(admin, output, &id, "pay", json!({})).await,
        Verb::Void { id, reason, yes } => {
            confirm(&format!("Void {id}?"), yes)?;
            take(admin, output, &id, "void", json!({ "reason": reason })).await
        }
        Verb::Uncollectible { id, reason, yes } => {
            confirm(&format!("Give {id} up, and write it off?"), yes)?;
            take(
                admin,
                output,
                &id,
                "uncollectible",
                json!({ "reason": reason }),
            )
            .await
        }
        Verb::Refund {
            order,
            amount,
            reference,
            reason,
            yes,
        } => {
            confirm(&format!("Refund {order}?"), yes)?;
            let body = json!({
                "order_id": order, "amount": amount, "reference": reference, "reason": reason,
            });
            output.record(&admin.post("/ledger/refunds", &body).await?)
        }
    }
}

async fn take(admin: &AdminClient, output: &Output, id: &str, verb: &str, body: Value) -> Done {
    output.record(&admin.post(&format!("/invoices/{id}/{verb}"), &body).await?)
}
