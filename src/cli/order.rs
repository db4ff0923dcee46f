//! `onyx-auth order`.

use clap::Subcommand;
use serde_json::json;

use super::admin_client::{AdminClient, path_segment};
use super::confirm::confirm;
use super::output::Output;
use super::{Done, paging::Paging};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List orders, the newest first
    List {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: Option<String>,
        /// sandbox or live
        #[arg(long)]
        realm: Option<String>,
        /// accepted, preparing, fulfilled, cancelled or failed
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show an order with its history
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Say that an order is being prepared
    Prepare {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say that an order is fulfilled
    Fulfil {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say that an order failed; the partner is credited what it was charged
    Fail {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Cancel an order; the partner is credited what it was charged
    Cancel {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::List {
            partner,
            realm,
            state,
            paging,
        } => {
            let filters = [
                ("partner_id", partner.as_deref()),
                ("realm", realm.as_deref()),
                ("state", state.as_deref()),
            ];
            let list = admin.get(&paging.of("/orders", &filters)).await?;
            let columns = [
                "id",
                "realm",
                "state",
                "partner_id",
                "partner_order_ref",
                "quantity",
                "total",
                "created_at",
            ];
            output.list(&list, &columns)
        }
        Verb::Show { id } => output.record(&admin.get(&format!("/orders/{id}")).await?),
        Verb::Prepare { id, reason } => take(admin, output, &id, "prepare", reason).await,
        Verb::Fulfil { id, reason } => take(admin, output, &id, "fulfil", reason).await,
        Verb::Fail { id, reason, yes } => {
            confirm(
                &format!("Fail {id}? Its partner is told and credited."),
                yes,
            )?;
            take(admin, output, &id, "fail", reason).await
        }
        Verb::Cancel { id, reason, yes } => {
            confirm(
                &format!("Cancel {id}? Its partner is told and credited."),
                yes,
            )?;
            take(admin, output, &id, "cancel", reason).await
        }
    }
}

async fn take(
    admin: &AdminClient,
    output: &Output,
    id: &str,
    verb: &str,
    reason: Option<String>,
) -> Done {
    let path = format!("/orders/{id}/{verb}");
    output.record(&admin.post(&path, &json!({ "reason": reason })).await?)
}
