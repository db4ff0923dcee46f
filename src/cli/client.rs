//! `onyx-auth client`.

use clap::Subcommand;
use serde_json::json;

use super::Done;
use super::admin_client::AdminClient;
use super::output::Output;
use super::paging::Paging;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Make a client for a partner
    Create {
        #[arg(long, value_name = "PARTNER_ID")]
        partner: String,
        /// sandbox or live
        #[arg(long)]
        realm: String,
        #[arg(long)]
        name: String,
        /// A scope that it may hold; repeat for several
        #[arg(long, required = true)]
        scope: Vec<String>,
        /// A scope of a token that is asked for without any; repeat for several [default: all]
        #[arg(long)]
        default_scope: Vec<String>,
        /// Seconds that its tokens live, 60 to 900
        #[arg(long)]
        token_ttl: Option<u32>,
        /// When it ends, like 2030-01-31T12:00:00Z
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// List clients
    List {
        #[arg(long, value_name = "PARTNER_ID")]
        partner: Option<String>,
        #[arg(long)]
        realm: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a client
    Show { id: String },
    /// Show the scopes that a client holds against those that it asked for and used
    Usage {
        id: String,
        /// How many days back, 1 to 365, today included
        #[arg(long, default_value_t = 30)]
        days: u16,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Create {
            partner,
            realm,
            name,
            scope,
            default_scope,
            token_ttl,
            expires_at,
        } => {
            let body = json!({
                "realm": realm,
                "name": name,
                "scopes": scope,
                "default_scopes": if default_scope.is_empty() { None } else { Some(default_scope) },
                "token_ttl": token_ttl,
                "expires_at": expires_at,
            });
            output.record(
                &admin
                    .post(&format!("/partners/{partner}/clients"), &body)
                    .await?,
            )
        }
        Verb::List {
            partner,
            realm,
            paging,
        } => {
            let filters = [
                ("partner_id", partner.as_deref()),
                ("realm", realm.as_deref()),
            ];
            let list = admin.get(&paging.of("/clients", &filters)).await?;
            output.list(
                &list,
                &["id", "state", "realm", "kind", "name", "partner_id"],
            )
        }
        Verb::Show { id } => output.record(&admin.get(&format!("/clients/{id}")).await?),
        Verb::Usage { id, days } => {
            let path = format!("/clients/{id}/scope-usage?days={days}");
            let usage = admin.get(&path).await?;
            if output.is_json() {
                return output.record(&usage);
            }
            let columns = [
                "scope",
                "held",
                "asked",
                "used",
                "last_asked_on",
                "last_used_on",
            ];
            output.list(&json!({ "data": usage.get("scopes") }), &columns)
        }
    }
}
