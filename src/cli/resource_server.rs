//! `onyx-auth resource-server`.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::admin_client::{AdminClient, path_segment};
use super::output::Output;
use super::paging::Paging;
use super::{Done, Failure};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Register an audience
    Create {
        /// sandbox or live
        #[arg(long)]
        realm: String,
        /// The absolute URI that tokens name in `aud`
        #[arg(long)]
        identifier: String,
        #[arg(long)]
        name: String,
        /// A scope that it knows; repeat for several
        #[arg(long, required = true)]
        scope: Vec<String>,
        /// ES256, RS256, PS256 or EdDSA [default: the server's]
        #[arg(long)]
        signing_alg: Option<String>,
    },
    /// List resource servers
    List(Paging),
    /// Show a resource server
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Change a resource server; what is not named stays
    Edit {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        name: Option<String>,
        /// A scope that it knows from now on, instead of those before; repeat for several
        #[arg(long)]
        scope: Vec<String>,
        /// ES256, RS256, PS256 or EdDSA
        #[arg(long)]
        signing_alg: Option<String>,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Create {
            realm,
            identifier,
            name,
            scope,
            signing_alg,
        } => {
            let body = json!({
                "realm": realm,
                "identifier": identifier,
                "name": name,
                "scopes": scope,
                "signing_alg": signing_alg,
            });
            output.record(&admin.post("/resource-servers", &body).await?)
        }
        Verb::List(paging) => {
            let list = admin.get(&paging.of("/resource-servers", &[])).await?;
            output.list(
                &list,
                &["id", "realm", "identifier", "signing_alg", "scopes"],
            )
        }
        Verb::Show { id } => output.record(&admin.get(&format!("/resource-servers/{id}")).await?),
        Verb::Edit {
            id,
            name,
            scope,
            signing_alg,
        } => {
            let scopes = (!scope.is_empty()).then(|| json!(scope));
            let members = [
                ("name", name.map(Value::from)),
                ("scopes", scopes),
                ("signing_alg", signing_alg.map(Value::from)),
            ];
            // What is left out stays; null would be a fault.
            let body: Map<String, Value> = members
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect();
            if body.is_empty() {
                return Err(Failure::Usage("nothing is to be changed".to_owned()));
            }
            let path = format!("/resource-servers/{id}");
            output.record(&admin.patch(&path, &Value::Object(body)).await?)
        }
    }
}
