//! `onyx-auth key`.

use clap::Subcommand;
use serde_json::json;

use super::Done;
use super::admin_client::AdminClient;
use super::output::Output;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the published signing keys
    List,
    /// Make a successor: published now, signing once every cache has seen it
    Rotate {
        /// sandbox, live or admin
        #[arg(long)]
        realm: String,
        /// ES256, RS256, PS256 or EdDSA [default: the server's]
        #[arg(long)]
        alg: Option<String>,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::List => {
            let list = admin.get("/keys").await?;
            output.list(
                &list,
                &["kid", "realm", "alg", "origin", "signs_from", "signs_until"],
            )
        }
        Verb::Rotate { realm, alg } => output.record(
            &admin
                .post("/keys/rotate", &json!({ "realm": realm, "alg": alg }))
                .await?,
        ),
    }
}
