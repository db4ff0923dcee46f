//! `onyx-auth recommendation`.

use clap::Subcommand;
use serde_json::json;

use super::Done;
use super::admin_client::{AdminClient, path_segment};
use super::confirm::confirm;
use super::output::Output;
use super::paging::Paging;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List unused scopes, unused credentials, secrets and grants near their end
    List {
        /// unused_scope, unused_credential, secret_near_end or grant_near_end
        #[arg(long)]
        kind: Option<String>,
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: Option<String>,
        /// sandbox, live or admin
        #[arg(long)]
        realm: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Take an unused scope away, or revoke an unused credential
    Apply {
        #[arg(value_parser = path_segment)]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::List {
            kind,
            partner,
            realm,
            paging,
        } => {
            let filters = [
                ("kind", kind.as_deref()),
                ("partner_id", partner.as_deref()),
                ("realm", realm.as_deref()),
            ];
            let list = admin.get(&paging.of("/recommendations", &filters)).await?;
            output.list(&list, &["id", "kind", "realm", "apply", "reason"])
        }
        Verb::Apply { id, yes } => {
            confirm(
                &format!("Apply {id}? Tokens that hang on it die at once."),
                yes,
            )?;
            let path = format!("/recommendations/{id}/apply");
            output.record(&admin.post(&path, &json!({})).await?)
        }
    }
}
