//! `onyx-auth agreement`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::admin_client::{AdminClient, path_segment};
use super::confirm::confirm;
use super::output::Output;
use super::{Done, Failure, paging::Paging};
use crate::clock::Clock;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Record a contract or a data processing agreement, as a draft
    Record {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
        /// contract or dpa
        #[arg(long)]
        kind: String,
        /// Where it is filed
        #[arg(long)]
        reference: String,
        #[command(flatten)]
        document: Document,
        #[arg(long)]
        lawful_basis: Option<String>,
        /// When it begins, like 2030-01-31T12:00:00Z [default: now]
        #[arg(long)]
        in_force_from: Option<String>,
        /// When it ends, like 2031-01-31T12:00:00Z
        #[arg(long)]
        expires_at: String,
    },
    /// List a partner's agreements
    List {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
        /// contract or dpa
        #[arg(long)]
        kind: Option<String>,
        /// draft, in_force, expired or terminated
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Bring a draft into force
    BringIntoForce {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// End an agreement before its time; live access ends with the last contract
    Terminate {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What was signed.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Document {
    /// The signed document; only its SHA-256 is sent
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// Its SHA-256 in hexadecimal
    #[arg(long, value_name = "HEX")]
    document_sha256: Option<String>,
}

impl Document {
    fn sha256(self) -> Result<String, Failure> {
        match (self.document, self.document_sha256) {
            (Some(file), _) => hash(&file),
            (None, Some(hex)) => Ok(hex),
            (None, None) => Err(Failure::Usage("name the document".to_owned())),
        }
    }
}

fn hash(file: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(file)
        .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    Ok(digest.as_ref().iter().map(|b| format!("{b:02x}")).collect())
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Record {
            partner,
            kind,
            reference,
            document,
            lawful_basis,
            in_force_from,
            expires_at,
        } => {
            let now = || Clock::system().now().to_string();
            let body = json!({
                "kind": kind,
                "reference": reference,
                "document_sha256": document.sha256()?,
                "lawful_basis": lawful_basis,
                "in_force_from": in_force_from.unwrap_or_else(now),
                "expires_at": expires_at,
            });
            let path = format!("/partners/{partner}/agreements");
            output.record(&admin.post(&path, &body).await?)
        }
        Verb::List {
            partner,
            kind,
            state,
            paging,
        } => {
            let filters = [("kind", kind.as_deref()), ("state", state.as_deref())];
            let path = format!("/partners/{partner}/agreements");
            let list = admin.get(&paging.of(&path, &filters)).await?;
            output.list(
                &list,
                &[
                    "id",
                    "state",
                    "kind",
                    "reference",
                    "in_force_from",
                    "expires_at",
                    "counts_now",
                ],
            )
        }
        Verb::BringIntoForce { id, reason } => {
            let path = format!("/agreements/{id}/bring-into-force");
            output.record(&admin.post(&path, &json!({ "reason": reason })).await?)
        }
        Verb::Terminate { id, reason, yes } => {
            let question = format!("Terminate {id}? Without another contract, live access ends.");
            confirm(&question, yes)?;
            let path = format!("/agreements/{id}/terminate");
            output.record(&admin.post(&path, &json!({ "reason": reason })).await?)
        }
    }
}
