//! `onyx-auth credential`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin_client::{AdminClient, path_segment};
use super::confirm::confirm;
use super::credential_file::{CredentialFile, Slot};
use super::delivery::Delivery;
use super::link::{self, LinkVerb};
use super::output::Output;
use super::paging::Paging;
use super::{Done, Failure};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Issue a secret to a client; it is shown once
    Issue {
        #[arg(long, value_name = "CLIENT_ID")]
        #[arg(value_parser = path_segment)]
        client: String,
        /// When it ends, like 2030-01-31T12:00:00Z
        #[arg(long)]
        expires_at: Option<String>,
        /// Keep the secret in a credential file, readable by its owner alone, and do not show it
        #[arg(long, value_name = "FILE", conflicts_with = "deliver")]
        out: Option<PathBuf>,
        #[command(flatten)]
        delivery: Delivery,
    },
    #[command(flatten)]
    Link(LinkVerb),
    /// List a client's credentials
    List {
        #[arg(long, value_name = "CLIENT_ID")]
        #[arg(value_parser = path_segment)]
        client: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Issue a secret in the place of one, which is accepted for a while longer
    Rotate {
        #[arg(value_parser = path_segment)]
        id: String,
        /// How long the old one is accepted, 0 to 604800 [default: 86400]
        #[arg(long, value_name = "SECONDS")]
        overlap_seconds: Option<u32>,
        /// When the new one ends, like 2030-01-31T12:00:00Z
        #[arg(long)]
        expires_at: Option<String>,
        /// Keep the new credential in this file, instead of showing its secret
        #[arg(long, value_name = "FILE", conflicts_with = "deliver")]
        out: Option<PathBuf>,
        /// Do not ask, where the old one ends at once
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        delivery: Delivery,
    },
    /// End a rotation's overlap now: the superseded secret is revoked
    FinishRotation {
        /// The superseded credential
        #[arg(value_parser = path_segment)]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Take a rotation back while the new secret is unused, and revoke that one
    UndoRotation {
        /// The superseded credential
        #[arg(value_parser = path_segment)]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Revoke a credential, at once and for good
    Revoke {
        #[arg(value_parser = path_segment)]
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
const ISSUED: [&str; 19] = [
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
];

/// What the answer to `rotate` has.
const ROTATED: [&str; 10] = [
    "id",
    "state",
    "client_id",
    "kind",
    "hint",
    "expires_at",
    "created_by",
    "created_at",
    "replaces",
    "accepts_until",
];

/// Keeps a secret in a file instead of the answer.
async fn keep(slot: Slot, admin: &AdminClient, issued: &mut Value) -> Done {
    let secret = issued.as_object_mut().and_then(|all| all.remove("secret"));
    let client = issued.get("client_id").and_then(Value::as_str);
    let (Some(Value::String(secret)), Some(client)) = (secret, client) else {
        let why = "the server answered without a secret: revoke the credential, and issue another";
        return Err(Failure::Refused(why.to_owned()));
    };
    let told = format!("The credential is in {}.", slot.path().display());
    slot.fill(&CredentialFile {
        server: admin.server_of(client).await,
        client_id: client.to_owned(),
        client_secret: secret.into(),
    })?;
    eprintln!("{told}");
    Ok(())
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Issue {
            client,
            expires_at,
            out,
            delivery,
        } => {
            match &out {
                Some(_) => output.expect_fields(&ISSUED)?,
                None => delivery.expect_fields(output, &ISSUED)?,
            }
            // Found good before there is a secret to be kept in it.
            let slot = out.as_deref().map(Slot::prepare).transpose()?;
            let mut body = json!({ "kind": "secret", "expires_at": expires_at });
            delivery.add_to(&mut body)?;
            let mut issued = admin
                .post(&format!("/clients/{client}/credentials"), &body)
                .await?;
            match slot {
                Some(slot) => keep(slot, admin, &mut issued).await?,
                None => delivery.explain(),
            }
            output.record(&issued).map_err(|error| lost(error, &issued))
        }
        Verb::Link(verb) => link::run(verb, output).await,
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
            out,
            yes,
            delivery,
        } => {
            match &out {
                Some(_) => output.expect_fields(&ROTATED)?,
                None => delivery.expect_fields(output, &ROTATED)?,
            }
            let slot = out.as_deref().map(Slot::prepare).transpose()?;
            if overlap_seconds == Some(0) {
                let question = format!("End {id} at once? Its client needs the new secret then.");
                confirm(&question, yes)?;
            }
            let mut body = json!({ "overlap_seconds": overlap_seconds, "expires_at": expires_at });
            delivery.add_to(&mut body)?;
            let path = format!("/credentials/{id}/rotate");
            let mut rotated = admin.post(&path, &body).await?;
            match slot {
                Some(slot) => keep(slot, admin, &mut rotated).await?,
                None => delivery.explain(),
            }
            output
                .record(&rotated)
                .map_err(|error| lost(error, &rotated))
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

/// What to do where a secret could not be printed: it is shown once.
fn lost(error: Failure, issued: &Value) -> Failure {
    let id = issued.get("id").and_then(Value::as_str).unwrap_or("it");
    let (Failure::Refused(why) | Failure::Usage(why) | Failure::NoSuchField(why)) = error;
    Failure::Refused(format!(
        "{why}\n{id} was issued, and if its secret is lost: `onyx-auth credential revoke {id} --reason unused`, and issue \
         another"
    ))
}
