//! `onyx-auth audit`: who did what, and whether the record of it still is what it was.

mod fingerprint;
mod keeping;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Done;
use super::admin_client::{AdminClient, path_segment};
use super::output::Output;
use super::paging::Paging;

pub(super) use verify::{FromFile, offline};

#[derive(Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Host(HostVerb),
    /// List audit events, oldest first
    List {
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        paging: Paging,
    },
    /// Write the whole trail to a file, one JSON object a line
    Export {
        /// The file; - for standard output
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Print the newest signed head of the tree
    Checkpoint,
    /// Print the public key that verifies checkpoints
    Key,
    /// Prove that an event is in the tree; the proof is checked before it is printed
    Proof {
        /// The event
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Check that nothing on record was changed
    Verify {
        #[command(flatten)]
        from: FromFile,
    },
}

/// What works on the database directly: for who holds the machine.
#[derive(Subcommand)]
pub(super) enum HostVerb {
    /// Ask whether a secret or a token was seen, without storing or showing it
    ///
    /// Prints a keyed fingerprint, by which it can be named in a report, and where it was seen. Needs the
    /// master key and the database: run it where the server runs. It writes nothing.
    Fingerprint(fingerprint::Fingerprint),
}

/// Which events.
#[derive(clap::Args)]
pub(super) struct Filters {
    /// Only events of this partner
    #[arg(long, value_name = "ID")]
    #[arg(value_parser = path_segment)]
    partner: Option<String>,
    /// Only events of this realm: sandbox, live or admin
    #[arg(long)]
    realm: Option<String>,
    /// Only what this client, host, policy or link_holder did
    #[arg(long)]
    actor: Option<String>,
    /// Only this action
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to this, by its id
    // A key's id may begin with a hyphen.
    #[arg(long, allow_hyphen_values = true)]
    target: Option<String>,
    /// Only what was done, or only what was refused
    #[arg(long)]
    outcome: Option<String>,
    /// Only events from this moment on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only events from before this moment (RFC 3339)
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

/// What a table shows.
const COLUMNS: &[&str] = &[
    "id",
    "at",
    "actor",
    "action",
    "target",
    "outcome",
    "leaf_index",
];

/// What needs no operator's credential.
pub(super) fn on_host(verb: &HostVerb, output: &Output) -> Done {
    match verb {
        HostVerb::Fingerprint(options) => fingerprint::run(options, output),
    }
}

/// A signed note by its parts (C2SP tlog-checkpoint): origin, size and root hash on a line each.
fn checkpoint(note: &str) -> Value {
    let mut lines = note.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (origin, size, root) = (next(), next(), next());
    json!({
        "origin": origin, "size": size.parse::<u64>().ok(), "root": root, "checkpoint": note,
    })
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Host(verb) => on_host(&verb, output),
        Verb::List { filters, paging } => {
            let path = paging.of(
                "/audit/events",
                &[
                    ("partner_id", filters.partner.as_deref()),
                    ("realm", filters.realm.as_deref()),
                    ("actor", filters.actor.as_deref()),
                    ("action", filters.action.as_deref()),
                    ("target", filters.target.as_deref()),
                    ("outcome", filters.outcome.as_deref()),
                    ("from", filters.from.as_deref()),
                    ("to", filters.to.as_deref()),
                ],
            );
            output.list(&admin.get(&path).await?, COLUMNS)
        }
        Verb::Export { file } => keeping::export(admin, &file).await,
        Verb::Checkpoint => {
            let note = admin.text("/audit/checkpoint").await?;
            output.text(note.trim_end(), &checkpoint(&note))
        }
        Verb::Key => {
            let key = admin.text("/audit/key").await?;
            output.text(key.trim_end(), &json!({ "key": key.trim_end() }))
        }
        Verb::Proof { id } => {
            let proof = admin.get(&format!("/audit/events/{id}/proof")).await?;
            verify::proof(&proof)?;
            eprintln!(
                "The proof holds: the event is in the tree that the checkpoint was signed for."
            );
            output.record(&proof)
        }
        Verb::Verify { from } => verify::server(&from, admin, output).await,
    }
}
