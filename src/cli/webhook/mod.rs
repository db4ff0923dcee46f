//! `onyx-auth webhook`: what a partner does about webhooks, with its own credential.

mod client;
mod cursor;
mod endpoint;
mod forward;
mod listen;
mod secret;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::output::Output;
use super::{Done, Failure};
use crate::domain::event::EventKind;
use crate::domain::realm::Realm;
use client::PartnerClient;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Forward the partner's events to a receiver on this machine, signed, none of them lost
    Listen(listen::Listen),
    /// Let the sandbox make an event that nothing caused, to try a receiver with
    Trigger {
        /// Such as order.fulfilled
        #[arg(value_name = "TYPE")]
        kind: EventKind,
        #[command(flatten)]
        who: Who,
    },
    /// Verify a message as a receiver must, and say exactly what is wrong with it
    Verify(verify::Verify),
    #[command(flatten)]
    Endpoint(endpoint::Verb),
}

/// Whose credential it is.
#[derive(Args)]
pub(super) struct Who {
    /// The partner's credential file
    #[arg(long, value_name = "FILE", default_value = "data/demo.json")]
    credential: PathBuf,
}

impl Who {
    async fn connect(&self) -> Result<PartnerClient, Failure> {
        PartnerClient::connect(&self.credential).await
    }
}

pub(super) async fn run(verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Listen(options) => listen::run(options, output).await,
        Verb::Verify(options) => verify::run(&options, output),
        Verb::Endpoint(verb) => endpoint::run(verb, output).await,
        Verb::Trigger { kind, who } => {
            let mut partner = who.connect().await?;
            if partner.realm() != Realm::Sandbox {
                return Err(Failure::Usage(
                    "only the sandbox makes events to order: name a credential of the sandbox"
                        .to_owned(),
                ));
            }
            let body = json!({ "type": kind });
            output.record(&partner.call(Method::POST, "/events", Some(&body)).await?)
        }
    }
}
