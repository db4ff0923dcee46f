//! `onyx-auth leak`: secrets where they do not belong, found, reported and looked into.

mod find;
mod report;
mod scan;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::admin_client::{AdminClient, path_segment};
use super::confirm::confirm;
use super::output::Output;
use super::paging::Paging;
use super::{Done, Failure, block_on};
use crate::clock::Clock;
use crate::domain::secret::PlainSecret;
use find::{Finder, What};

#[derive(Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Local(LocalVerb),
    /// List the reports of leaked secrets, with what matched
    List {
        /// received or done
        #[arg(long)]
        state: Option<String>,
        #[arg(long, value_name = "CREDENTIAL_ID")]
        credential: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// List reviews: cases to look into
    Reviews {
        /// open or closed
        #[arg(long)]
        state: Option<String>,
        /// leak, prohibited_material, related_partner or unexpected_activity
        #[arg(long)]
        kind: Option<String>,
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Close a review
    CloseReview {
        #[arg(value_name = "REVIEW_ID")]
        #[arg(value_parser = path_segment)]
        id: String,
        /// What came of it
        #[arg(long)]
        reason: String,
    },
}

/// What needs no operator's credential.
#[derive(Subcommand)]
pub(super) enum LocalVerb {
    /// Find Onyx secrets and access tokens in files; exit 1 if there are any
    ///
    /// Hidden and ignored files are searched too, binary ones as text, UTF-16 as well. Not
    /// found is what is compressed, encrypted, or encoded otherwise than as HTTP Basic
    /// credentials. Exit 0: nothing found; 1: something found; 2: wrong usage, or nothing
    /// found where not everything could be read.
    Scan(scan::Scan),
    /// Send leaked secrets to ONYX_SERVER, which revokes them
    Report {
        /// A file that holds them somewhere, or - for standard input
        file: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Runs what needs no operator's credential.
pub(super) fn on_host(verb: LocalVerb, output: &Output) -> Done {
    match verb {
        LocalVerb::Scan(asked) => run_scan(&asked, output),
        LocalVerb::Report { file, yes } => run_report(&file, yes, output),
    }
}

fn run_scan(asked: &scan::Scan, output: &Output) -> Done {
    // Known before the search, which may be long.
    let server = asked.report.then(|| will_send(asked.yes)).transpose()?;
    let outcome = scan::scan(asked)?;
    outcome.print(output, Clock::system().now())?;
    let secrets = outcome.secrets();
    if let Some(server) = server.filter(|_| !secrets.is_empty()) {
        send(server, &secrets, asked.yes)?;
    }
    outcome.verdict()
}

fn run_report(file: &PathBuf, yes: bool, output: &Output) -> Done {
    let server = will_send(yes)?;
    let mut secrets = Vec::new();
    let from: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let fail = |error| Failure::Refused(format!("{}: {error}", file.display()));
        Box::new(File::open(file).map_err(fail)?)
    };
    Finder::new()?.search(from, |finding| {
        if let What::Secret { secret, .. } = finding.what {
            secrets.push(secret);
        }
    })?;
    if secrets.is_empty() {
        return Err(Failure::Refused("there is no Onyx secret in it".to_owned()));
    }
    let sent = send(server, &secrets, yes)?;
    output.record(&json!({ "reported": sent }))
}

/// Where to send, once it is clear that sending can be agreed to.
fn will_send(yes: bool) -> Result<String, Failure> {
    if !yes && !io::stdin().is_terminal() {
        let advice = "what is reported is revoked, which cannot be undone: say --yes";
        return Err(Failure::Usage(advice.to_owned()));
    }
    report::server()
}

fn send(server: String, secrets: &[PlainSecret], yes: bool) -> Result<usize, Failure> {
    let question = format!(
        "Report {} secrets to {server}? It revokes those that it knows.",
        secrets.len()
    );
    confirm(&question, yes)?;
    let secrets = secrets.to_vec();
    let mut sent = 0;
    block_on(async {
        sent = report::send(&server, &secrets).await?;
        Ok(())
    })?;
    eprintln!("Reported {sent} secrets to {server}.");
    Ok(sent)
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Local(_) => Ok(()),
        Verb::List {
            state,
            credential,
            paging,
        } => {
            let filters = [
                ("state", state.as_deref()),
                ("credential_id", credential.as_deref()),
            ];
            let list = admin.get(&paging.of("/leak-reports", &filters)).await?;
            output.list(
                &list,
                &[
                    "id",
                    "state",
                    "received_at",
                    "source_ip",
                    "candidates",
                    "matches",
                ],
            )
        }
        Verb::Reviews {
            state,
            kind,
            partner,
            paging,
        } => {
            let filters = [
                ("state", state.as_deref()),
                ("kind", kind.as_deref()),
                ("partner_id", partner.as_deref()),
            ];
            let list = admin.get(&paging.of("/reviews", &filters)).await?;
            output.list(
                &list,
                &["id", "state", "kind", "partner_id", "pointer", "opened_at"],
            )
        }
        Verb::CloseReview { id, reason } => {
            let body = json!({ "reason": reason });
            output.record(&admin.post(&format!("/reviews/{id}/close"), &body).await?)
        }
    }
}
