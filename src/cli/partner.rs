//! `onyx-auth partner`.

use clap::Subcommand;
use serde_json::json;

use super::admin_client::AdminClient;
use super::output::Output;
use super::{Done, paging::Paging};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Record an application
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// The name in its contracts [default: the name]
        #[arg(long)]
        legal_name: Option<String>,
        /// Whom to tell about its credentials
        #[arg(long)]
        security_contact: String,
    },
    /// List partners
    List(Paging),
    /// Show a partner
    Show { id: String },
    /// Approve an application
    Approve {
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Reject an application
    Reject {
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Create {
            name,
            legal_name,
            security_contact,
        } => {
            let legal_name = legal_name.unwrap_or_else(|| name.clone());
            let body = json!({ "name": name, "legal_name": legal_name, "security_contact": security_contact });
            output.record(&admin.post("/partners", &body).await?)
        }
        Verb::List(paging) => {
            let list = admin.get(&paging.of("/partners", &[])).await?;
            output.list(&list, &["id", "state", "name", "created_at"])
        }
        Verb::Show { id } => output.record(&admin.get(&format!("/partners/{id}")).await?),
        Verb::Approve { id, reason } => decide(admin, output, &id, "approve", reason).await,
        Verb::Reject { id, reason } => decide(admin, output, &id, "reject", reason).await,
    }
}

async fn decide(
    admin: &AdminClient,
    output: &Output,
    id: &str,
    verb: &str,
    reason: Option<String>,
) -> Done {
    let body = json!({ "reason": reason });
    output.record(&admin.post(&format!("/partners/{id}/{verb}"), &body).await?)
}
