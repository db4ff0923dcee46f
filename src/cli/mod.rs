//! The command line: one file a noun.
//!
//! `serve`, `quickstart`, `migrate`, `move`, `backup` and `restore` work on this machine; every other noun speaks
//! to the admin API over HTTP, as any client of it would. Data goes to standard
//! output, prose to standard error. Exit 0: done; 1: refused or failed; 2: wrong usage.

mod admin_client;
mod agreement;
mod audit;
mod backup;
mod client;
mod confirm;
mod credential;
mod credential_file;
mod delivery;
mod doctor;
mod fresh_file;
mod grant;
mod invoice;
mod key;
mod launch;
mod leak;
mod limit;
mod link;
mod operator;
mod order;
mod output;
mod package;
mod paging;
mod partner;
mod quickstart;
mod recommendation;
mod relocate;
mod resource_server;
mod serve;
mod settings;
mod token;
mod webhook;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::causes::Causes;
use admin_client::AdminClient;
use output::{Format, Output};
use settings::SettingFlags;

const WHO: &str = "Operators' commands speak to a running server, with the credential in the file that \
    ONYX_ADMIN_CREDENTIAL names [default: data/operator.json]. It names the server, too; ONYX_SERVER names another, \
    such as the admin listener. Settings are ONYX_* variables, flags, or members of onyx.toml: see `onyx-auth config`.";

/// OAuth 2.0 client-credentials authorization server for partner APIs.
#[derive(Parser)]
#[command(name = "onyx-auth", version, propagate_version = true, after_help = WHO)]
struct Cli {
    #[command(flatten)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(SettingFlags),
    /// Set up a demo on this machine, show a token at work, and stay up
    Quickstart(quickstart::Quickstart),
    /// Bring the database to this program's version
    Migrate(SettingFlags),
    /// Write the whole database into a file
    Backup(backup::Backup),
    /// Put a backup in the place of the database
    Restore(backup::Restore),
    /// Move all that an SQLite database holds to PostgreSQL
    Move(relocate::Move),
    /// Print the effective settings, secrets masked
    Config(SettingFlags),
    /// Look at clock, database, keys, files and issuer; change nothing
    Doctor(doctor::Doctor),
    /// Operators: clients of the admin realm
    #[command(subcommand)]
    Operator(operator::Verb),
    /// Partners
    #[command(subcommand)]
    Partner(partner::Verb),
    /// Contracts and data processing agreements
    #[command(subcommand)]
    Agreement(agreement::Verb),
    /// How much partners may ask for, and plans of it
    #[command(subcommand)]
    Limit(limit::Verb),
    /// Launch reviews: the way from sandbox to live
    #[command(subcommand)]
    Launch(launch::Verb),
    /// Scope grants
    #[command(subcommand)]
    Grant(grant::Verb),
    /// Clients
    #[command(subcommand)]
    Client(client::Verb),
    /// Credentials
    #[command(subcommand)]
    Credential(credential::Verb),
    /// Recommendations: what is held and not needed, and what is about to end
    #[command(subcommand)]
    Recommendation(recommendation::Verb),
    /// Resource servers
    #[command(subcommand)]
    ResourceServer(resource_server::Verb),
    /// Packages: what is for sale
    #[command(subcommand)]
    Package(package::Verb),
    /// Orders of partners
    #[command(subcommand)]
    Order(order::Verb),
    /// Invoices and refunds
    #[command(subcommand)]
    Invoice(invoice::Verb),
    /// Signing keys
    #[command(subcommand)]
    Key(key::Verb),
    /// Access tokens
    #[command(subcommand)]
    Token(token::Verb),
    /// The audit trail: who did what, and proofs of it
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Webhooks, with a partner's credential: listen, try, verify, and set endpoints up
    #[command(subcommand)]
    Webhook(webhook::Verb),
    /// Leaked secrets: find them, report them, look into them
    #[command(subcommand)]
    Leak(leak::Verb),
}

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit 1: refused or failed.
    Refused(String),
    /// Exit 2: the usage or the configuration is wrong.
    Usage(String),
    /// Exit 2, unless something was done already: the answer has no field of that name.
    NoSuchField(String),
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(Causes(&error).to_string())
    }
}

type Done = Result<(), Failure>;

/// Runs the command that the process's arguments name.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.format);
    let done = match cli.command {
        Command::Serve(flags) => serve::serve(&flags),
        Command::Quickstart(options) => quickstart::run(&options, &output),
        Command::Migrate(flags) => serve::migrate(&flags),
        Command::Config(flags) => settings::print(&flags, &output),
        Command::Doctor(doctor) => doctor::run(&doctor, &output),
        Command::Backup(options) => backup::take(&options, &output),
        Command::Restore(options) => backup::restore(&options, &output),
        Command::Move(options) => relocate::run(&options, &output),
        Command::Operator(operator::Verb::Host(verb)) => operator::on_host(&verb, &output),
        Command::Audit(audit::Verb::Host(verb)) => audit::on_host(&verb, &output),
        Command::Leak(leak::Verb::Local(verb)) => leak::on_host(verb, &output),
        Command::Audit(audit::Verb::Verify { from }) if from.export.is_some() => {
            audit::offline(&from, &output)
        }
        remote => block_on(over_http(remote, &output)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused(message)) => complain(&message, 1),
        Err(Failure::Usage(message) | Failure::NoSuchField(message)) => complain(&message, 2),
    }
}

fn complain(message: &str, code: u8) -> ExitCode {
    for line in message.lines() {
        eprintln!("onyx-auth: {line}");
    }
    ExitCode::from(code)
}

async fn over_http(command: Command, output: &Output) -> Done {
    if let Command::Token(verb) = command {
        return token::run(verb, output).await;
    }
    if let Command::Webhook(verb) = command {
        return webhook::run(verb, output).await;
    }
    if let Command::Credential(credential::Verb::Link(verb)) = command {
        return link::run(verb, output).await;
    }
    let admin = AdminClient::connect().await?;
    match by_operator(command, &admin, output).await {
        // Wrong usage would be tried again, and do it twice.
        Err(Failure::NoSuchField(message)) if admin.has_changed() => {
            let message = format!("what was asked for is done, but cannot be shown: {message}");
            Err(Failure::Refused(message))
        }
        done => done,
    }
}

async fn by_operator(command: Command, admin: &AdminClient, output: &Output) -> Done {
    match command {
        Command::Operator(verb) => operator::run(verb, admin, output).await,
        Command::Partner(verb) => partner::run(verb, admin, output).await,
        Command::Agreement(verb) => agreement::run(verb, admin, output).await,
        Command::Launch(verb) => launch::run(verb, admin, output).await,
        Command::Limit(verb) => limit::run(verb, admin, output).await,
        Command::Grant(verb) => grant::run(verb, admin, output).await,
        Command::Client(verb) => client::run(verb, admin, output).await,
        Command::Credential(verb) => credential::run(verb, admin, output).await,
        Command::Recommendation(verb) => recommendation::run(verb, admin, output).await,
        Command::ResourceServer(verb) => resource_server::run(verb, admin, output).await,
        Command::Package(verb) => package::run(verb, admin, output).await,
        Command::Order(verb) => order::run(verb, admin, output).await,
        Command::Invoice(verb) => invoice::run(verb, admin, output).await,
        Command::Key(verb) => key::run(verb, admin, output).await,
        Command::Audit(verb) => audit::run(verb, admin, output).await,
        Command::Leak(verb) => leak::run(verb, admin, output).await,
        Command::Serve(_)
        | Command::Quickstart(_)
        | Command::Migrate(_)
        | Command::Config(_)
        | Command::Doctor(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Move(_)
        | Command::Webhook(_)
        | Command::Token(_) => Ok(()),
    }
}

/// Runs a future on actix's runtime, which servers need and clients do not mind.
fn block_on(work: impl Future<Output = Done>) -> Done {
    actix_web::rt::System::new().block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn every_command_is_well_formed() {
        Cli::command().debug_assert();
    }
}
