//! `onyx-auth credential`.

use clap::Subcommand;
use serde_json::json;

use super::Done;
use super::admin_client::AdminClient;
use super::confirm::confirm;
use super::output::Output;
use super::paging::Paging;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Issue a secret to a client; it is shown once
    Issue {
        #[arg(long, value_name = "CLIENT_ID")]
        client: String,
        /// When it ends, like 2030-01-31T12:00:00Z
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// List a client's credentials
    List {
        #[arg(long, value_name = "CLIENT_ID")]
        client: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Revoke a credential, at once and for good
    Revoke {
        id: String,
        /// compromised, unused, offboarding, superseded or other
        #[arg(long, default_value = "other")]
        reason: String,
        #[arg(long)]
        note: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What the answer to `issue` has: a mistyped field must not cost a secret that is shown once.
const ISSUED: [&str; 15] = [
    "id",
    "state",
    "usable",
    "client_id",
    "kind",
    "hint",
    "expires_at",
    "accepts_until",
    "created_by",
    "created_at",
    "revoked_at",
    "revoked_by",
    "revoked_reason",
    "revoked_note",
    "secret",
];

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Issue { client, expires_at } => {
            output.expect_fields(&ISSUED)?;
            let body = json!({ "kind": "secret", "expires_at": expires_at });
            let issued = admin
                .post(&format!("/clients/{client}/credentials"), &body)
                .await?;
            eprintln!("This is the only time that the secret is shown.");
            output.record(&issued)
        }
        Verb::List { client, paging } => {
            let list = admin
                .get(&paging.of(&format!("/clients/{client}/credentials"), &[]))
                .await?;
            output.list(
                &list,
                &["id", "state", "usable", "hint", "created_at", "expires_at"],
            )
        }
        Verb::Revoke {
            id,
            reason,
            note,
            yes,
        } => {
            confirm(
                &format!("Revoke {id}? Its client gets no more tokens with it."),
                yes,
            )?;
            let body = json!({ "reason": reason, "note": note });
            output.record(
                &admin
                    .post(&format!("/credentials/{id}/revoke"), &body)
                    .await?,
            )
        }
    }
}
