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
    /// Issue a secret in the place of one, which is accepted for a while longer
    Rotate {
        id: String,
        /// How long the old one is accepted, 0 to 604800 [default: 86400]
        #[arg(long, value_name = "SECONDS")]
        overlap_seconds: Option<u32>,
        /// When the new one ends, like 2030-01-31T12:00:00Z
        #[arg(long)]
        expires_at: Option<String>,
        /// Do not ask, where the old one ends at once
        #[arg(long)]
        yes: bool,
    },
    /// End a rotation's overlap now: the superseded secret is revoked
    FinishRotation {
        /// The superseded credential
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Take a rotation back while the new secret is unused, and revoke that one
    UndoRotation {
        /// The superseded credential
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
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
const ISSUED: [&str; 20] = [
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
    "replaced_by",
    "first_used_at",
    "last_used_at",
    "use_count",
    "last_used_ip",
    "secret",
];

/// What the answer to `rotate` has.
const ROTATED: [&str; 11] = [
    "id",
    "state",
    "client_id",
    "kind",
    "hint",
    "secret",
    "expires_at",
    "created_by",
    "created_at",
    "replaces",
    "accepts_until",
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
                &[
                    "id",
                    "state",
                    "usable",
                    "hint",
                    "created_at",
                    "expires_at",
                    "accepts_until",
                    "last_used_at",
                    "use_count",
                    "last_used_ip",
                    "replaced_by",
                    "advice",
                ],
            )
        }
        Verb::Rotate {
            id,
            overlap_seconds,
            expires_at,
            yes,
        } => {
            output.expect_fields(&ROTATED)?;
            if overlap_seconds == Some(0) {
                let question = format!("End {id} at once? Its client needs the new secret then.");
                confirm(&question, yes)?;
            }
            let body = json!({ "overlap_seconds": overlap_seconds, "expires_at": expires_at });
            let path = format!("/credentials/{id}/rotate");
            let rotated = admin.post(&path, &body).await?;
            eprintln!("This is the only time that the new secret is shown.");
            output.record(&rotated)
        }
        Verb::FinishRotation { id, yes } => {
            confirm(&format!("Revoke {id}? Its tokens die at once."), yes)?;
            let path = format!("/credentials/{id}/finish-rotation");
            output.record(&admin.post(&path, &json!({})).await?)
        }
        Verb::UndoRotation { id, yes } => {
            confirm(&format!("Revoke what replaces {id}?"), yes)?;
            let path = format!("/credentials/{id}/undo-rotation");
            output.record(&admin.post(&path, &json!({})).await?)
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
