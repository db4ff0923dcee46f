//! `onyx-auth operator`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::admin_client::{AdminClient, path_segment};
use super::credential_file::{CredentialFile, Slot};
use super::output::Output;
use super::paging::Paging;
use super::settings::SettingFlags;
use super::{Done, Failure, serve};
use crate::admin::operators;
use crate::audit::Actor;
use crate::logging;

/// Where other commands look for an operator's credential.
const OPERATOR: &str = "data/operator.json";
const RECOVERED: &str = "data/operator-recovered.json";

#[derive(Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Host(HostVerb),
    /// Make an operator
    Create {
        #[arg(long)]
        name: String,
        /// An admin scope; repeat for several. /admin/docs of a server lists them
        #[arg(long, required = true)]
        scope: Vec<String>,
    },
    /// List operators
    List(Paging),
    /// Show an operator
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
}

/// What works on the database directly: for who holds the machine.
#[derive(Subcommand)]
pub(super) enum HostVerb {
    /// Make the very first operator, and keep its credential in a file
    Bootstrap(OnHost),
    /// Make an operator when no credential of any is left
    Recover(OnHost),
}

#[derive(clap::Args)]
pub(super) struct OnHost {
    /// Where the credential is kept [default: data/operator.json; data/operator-recovered.json where `recover` finds
    /// that taken]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    flags: SettingFlags,
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Create { name, scope } => {
            let body = json!({ "name": name, "scopes": scope });
            output.record(&admin.post("/operators", &body).await?)
        }
        Verb::List(paging) => {
            let list = admin.get(&paging.of("/operators", &[])).await?;
            output.list(&list, &["id", "state", "name", "scopes", "expires_at"])
        }
        Verb::Show { id } => output.record(&admin.get(&format!("/operators/{id}")).await?),
        Verb::Host(verb) => on_host(&verb, output),
    }
}

/// `bootstrap` and `recover`.
pub(super) fn on_host(verb: &HostVerb, output: &Output) -> Done {
    let (HostVerb::Bootstrap(options) | HostVerb::Recover(options)) = verb;
    output.expect_fields(&["id", "credential_id", "expires_at", "credential_file"])?;
    let settings = options.flags.load()?;
    logging::start(&settings.log, settings.log_format);
    let app = serve::build(settings)?;
    let out = match (&options.out, verb) {
        (Some(out), _) => out.clone(),
        // It holds the credential of the operator who is gone; whoever is in need should not have to guess that.
        (None, HostVerb::Recover(_)) if Path::new(OPERATOR).exists() => RECOVERED.into(),
        (None, _) => OPERATOR.into(),
    };
    let (loopback, act) = (app.settings.is_loopback(), app.act(Actor::host()));
    let (issued, slot) = app.store.alone(act.now, |db| {
        if let HostVerb::Bootstrap(_) = verb {
            operators::check_none(db)?;
        }
        // Nobody is made, and nothing said of it, whose credential could not be kept.
        let slot = Slot::prepare(&out)?;
        let issued = match verb {
            HostVerb::Bootstrap(_) => operators::bootstrap(db, &app.master, &act, loopback),
            HostVerb::Recover(_) => operators::recover(db, &app.master, &act, loopback),
        };
        Ok::<_, Failure>((issued?, slot))
    })?;
    let file = CredentialFile {
        server: app.settings.admin_url(),
        client_id: issued.credential.client_id.to_string(),
        client_secret: issued.secret.expose().to_owned().into(),
    };
    slot.fill(&file)?;
    eprintln!("The operator's credential is in {}.", out.display());
    if out.as_path() != Path::new(OPERATOR) {
        eprintln!(
            "ONYX_ADMIN_CREDENTIAL={} has other commands use it.",
            out.display()
        );
    }
    output.record(&json!({
        "id": issued.credential.client_id,
        "credential_id": issued.credential.id,
        "expires_at": issued.credential.expires_at,
        "credential_file": out,
    }))
}
