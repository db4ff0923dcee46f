//! `onyx-auth audit`.

mod fingerprint;

use clap::Subcommand;

use super::Done;
use super::output::Output;

#[derive(Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Host(HostVerb),
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

/// What needs no operator's credential.
pub(super) fn on_host(verb: &HostVerb, output: &Output) -> Done {
    match verb {
        HostVerb::Fingerprint(options) => fingerprint::run(options, output),
    }
}
