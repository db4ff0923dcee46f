//! A partner's webhook endpoints, set up and looked after from the command line.

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Who, secret};
use crate::cli::admin_client::path_segment;
use crate::cli::confirm::confirm;
use crate::cli::output::Output;
use crate::cli::paging::Paging;
use crate::cli::{Done, Failure};

#[derive(Subcommand)]
pub(in crate::cli) enum Verb {
    /// List the partner's endpoints
    List {
        /// pending, active, disabled or deleted
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        who: Who,
    },
    /// Show an endpoint
    Show {
        #[arg(value_name = "ENDPOINT_ID")]
        #[arg(value_parser = path_segment)]
        id: String,
        #[command(flatten)]
        who: Who,
    },
    /// Set an endpoint up: it is asked for its challenge at once
    Create {
        #[arg(long)]
        url: String,
        /// A type that it is told of; may be said several times [default: all]
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// v1 or v1a [default: v1]
        #[arg(long)]
        signature: Option<String>,
        /// Keep the secret in this new file; otherwise it is printed
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[command(flatten)]
        who: Who,
    },
    /// Ask an endpoint for its challenge again
    Challenge {
        #[arg(value_name = "ENDPOINT_ID")]
        #[arg(value_parser = path_segment)]
        id: String,
        #[command(flatten)]
        who: Who,
    },
    /// Give an endpoint a new secret; the old one signs beside it for a while
    RotateSecret {
        #[arg(value_name = "ENDPOINT_ID")]
        #[arg(value_parser = path_segment)]
        id: String,
        /// How long the old one still signs [default: 86400]
        #[arg(long)]
        overlap_seconds: Option<i64>,
        /// Keep the secret in this new file; otherwise it is printed
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[command(flatten)]
        who: Who,
    },
    /// Send an endpoint a message that is no event
    Test {
        #[arg(value_name = "ENDPOINT_ID")]
        #[arg(value_parser = path_segment)]
        id: String,
        #[command(flatten)]
        who: Who,
    },
    /// Deliver to a disabled endpoint again
    Enable {
        #[arg(value_name = "ENDPOINT_ID")]
        #[arg(value_parser = path_segment)]
        id: String,
        #[command(flatten)]
        who: Who,
    },
    /// Deliver nothing to an endpoint until it is enabled
    Disable {
        #[arg(value_name = "ENDPOINT_ID")]
        #[arg(value_parser = path_segment)]
        id: String,
        #[command(flatten)]
        who: Who,
    },
    /// Delete an endpoint
    Delete {
        #[arg(value_name = "ENDPOINT_ID")]
        #[arg(value_parser = path_segment)]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        who: Who,
    },
}

const COLUMNS: [&str; 5] = ["id", "state", "url", "event_types", "failing_since"];

pub(super) async fn run(verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::List { state, paging, who } => {
            let path = paging.of("/webhook-endpoints", &[("state", state.as_deref())]);
            let list = who.connect().await?.call(Method::GET, &path, None).await?;
            output.list(&list, &COLUMNS)
        }
        Verb::Show { id, who } => {
            let path = format!("/webhook-endpoints/{id}");
            output.record(&who.connect().await?.call(Method::GET, &path, None).await?)
        }
        Verb::Create {
            url,
            types,
            signature,
            secret_file,
            who,
        } => {
            free(secret_file.as_ref())?;
            let types = if types.is_empty() {
                vec!["*".to_owned()]
            } else {
                types
            };
            let body = json!({ "url": url, "event_types": types, "signature": signature });
            let mut partner = who.connect().await?;
            let path = "/webhook-endpoints";
            let made = partner.call(Method::POST, path, Some(&body)).await?;
            output.record(&keep(made, secret_file)?)
        }
        Verb::RotateSecret {
            id,
            overlap_seconds,
            secret_file,
            who,
        } => {
            free(secret_file.as_ref())?;
            let path = format!("/webhook-endpoints/{id}/rotate-secret");
            let body = json!({ "overlap_seconds": overlap_seconds });
            let mut partner = who.connect().await?;
            let rotated = partner.call(Method::POST, &path, Some(&body)).await?;
            output.record(&keep(rotated, secret_file)?)
        }
        Verb::Challenge { id, who } => step(&who, &id, "verify", output).await,
        Verb::Test { id, who } => step(&who, &id, "test", output).await,
        Verb::Enable { id, who } => step(&who, &id, "enable", output).await,
        Verb::Disable { id, who } => step(&who, &id, "disable", output).await,
        Verb::Delete { id, yes, who } => {
            confirm(&format!("Delete {id}? Nothing is sent to it again."), yes)?;
            let path = format!("/webhook-endpoints/{id}");
            who.connect()
                .await?
                .call(Method::DELETE, &path, None)
                .await?;
            Ok(())
        }
    }
}

async fn step(who: &Who, id: &str, verb: &str, output: &Output) -> Done {
    let path = format!("/webhook-endpoints/{id}/{verb}");
    let mut partner = who.connect().await?;
    let done = partner.call(Method::POST, &path, Some(&json!({}))).await?;
    output.record(&done)
}

/// A secret is shown once: where it is to be kept must be free before it is made.
fn free(file: Option<&PathBuf>) -> Result<(), Failure> {
    match file.filter(|path| path.exists()) {
        Some(path) => Err(Failure::Refused(format!(
            "{} exists: a secret is never written over another",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Takes the secret out of an answer and into its file, where one is named.
fn keep(mut answer: Value, file: Option<PathBuf>) -> Result<Value, Failure> {
    let Some(path) = file else {
        return Ok(answer);
    };
    let members = answer.as_object_mut();
    if let Some(Value::String(text)) = members.and_then(|members| members.remove("secret")) {
        secret::write(&path, &zeroize::Zeroizing::new(text))?;
        eprintln!("The secret is in {}.", path.display());
    }
    Ok(answer)
}
