//! `onyx-auth key`.

use clap::Subcommand;
use serde_json::json;

use super::Done;
use super::admin_client::{AdminClient, path_segment};
use super::confirm::confirm;
use super::output::Output;
use super::paging::Paging;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the published signing keys
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Make a successor: published now, signing once every cache has seen it
    Rotate {
        /// sandbox, live or admin
        #[arg(long)]
        realm: String,
        /// ES256, RS256, PS256 or EdDSA [default: the server's]
        #[arg(long)]
        alg: Option<String>,
    },
    /// Revoke a signing key, at once and for good: all that it signed is refused
    Revoke {
        /// The key's `kid`
        // A thumbprint in base64url: one of 64 begins with a hyphen.
        #[arg(value_parser = path_segment, allow_hyphen_values = true)]
        kid: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::List { paging } => {
            let list = admin.get(&paging.of("/keys", &[])).await?;
            output.list(
                &list,
                &[
                    "kid",
                    "realm",
                    "alg",
                    "origin",
                    "state",
                    "signs_from",
                    "signs_until",
                ],
            )
        }
        Verb::Rotate { realm, alg } => output.record(
            &admin
                .post("/keys/rotate", &json!({ "realm": realm, "alg": alg }))
                .await?,
        ),
        Verb::Revoke { kid, reason, yes } => {
            let question =
                format!("Revoke {kid}? Every token that it signed is refused from then on.");
            confirm(&question, yes)?;
            let body = json!({ "reason": reason });
            output.record(&admin.post(&format!("/keys/{kid}/revoke"), &body).await?)
        }
    }
}
