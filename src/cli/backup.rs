//! `onyx-auth backup` and `onyx-auth restore`: for who holds the machine.

use std::path::PathBuf;

use serde_json::json;

use super::confirm::confirm;
use super::output::Output;
use super::settings::SettingFlags;
use super::{Done, Failure};
use crate::audit::{self, Action, Actor, Deed};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::instant::Instant;
use crate::keys::MasterKey;
use crate::logging;
use crate::store::backup::{self, BackupError, Since};
use crate::store::{Db, OpenError, Target};

#[derive(clap::Args)]
pub(super) struct Backup {
    /// The file to write, which must not exist yet
    file: PathBuf,
    #[command(flatten)]
    flags: SettingFlags,
}

#[derive(clap::Args)]
pub(super) struct Restore {
    /// A file that `onyx-auth backup` wrote
    file: PathBuf,
    /// Let what was revoked since the backup live again
    #[arg(long)]
    forget_revocations: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    flags: SettingFlags,
}

/// Takes a backup, also of a database that servers run on.
pub(super) fn take(options: &Backup, output: &Output) -> Done {
    output.expect_fields(&["file", "engine", "version", "made_at", "feed_head"])?;
    let settings = options.flags.load()?;
    logging::start(&settings.log, settings.log_format);
    let target = target(&settings.database_url)?;
    let now = Clock::system().now();
    let label = backup::take(&target, &options.file, env!("CARGO_PKG_VERSION"), now)?;
    eprintln!(
        "The backup is in {}. It holds no master key: keep {} too, and elsewhere.",
        options.file.display(),
        settings.master_key_file.display()
    );
    output.record(&json!({
        "file": options.file,
        "engine": label.engine,
        "version": label.version,
        "made_at": label.made_at,
        "feed_head": label.feed_head,
    }))
}

/// Puts a backup in the place of the database.
pub(super) fn restore(options: &Restore, output: &Output) -> Done {
    output.expect_fields(&[
        "made_at",
        "feed_starts_after",
        "kept_ended",
        "kept_revocations",
        "voided_invoices",
    ])?;
    let settings = options.flags.load()?;
    logging::start(&settings.log, settings.log_format);
    let target = target(&settings.database_url)?;
    let question = format!(
        "Replace all that the database holds by {}?",
        options.file.display()
    );
    confirm(&question, options.yes)?;
    let since = if options.forget_revocations {
        Since::Forgotten
    } else {
        Since::Kept
    };
    let now = Clock::system().now();
    let restored = backup::restore(&target, &options.file, since, now, |db, restored| {
        let deed = Deed::new(Action::DatabaseRestored, "database")
            .detail("made_at", restored.backup.made_at.as_str())
            .detail("forgot_revocations", since == Since::Forgotten)
            .detail("feed_starts_after", restored.feed_starts_after)
            .detail("voided_invoices", restored.voided_invoices);
        put_on_record(db, &settings, deed, now)
    })?;
    output.record(&json!({
        "made_at": restored.backup.made_at,
        "feed_starts_after": restored.feed_starts_after,
        "kept_ended": restored.kept_ended,
        "kept_revocations": restored.kept_revocations,
        "voided_invoices": restored.voided_invoices,
    }))
}

/// Records what the host did with a database, under the key that its rows were made with: another would seal what
/// nobody can verify.
pub(super) fn put_on_record(
    db: &mut Db,
    settings: &Settings,
    deed: Deed,
    now: Instant,
) -> Result<(), BackupError> {
    let master = MasterKey::existing(db, &settings.master_key_file)
        .map_err(|error| BackupError::NoKey(error.to_string()))?;
    Ok(audit::record(
        db,
        master.audit(),
        &Actor::host(),
        deed,
        now,
    )?)
}

fn target(url: &str) -> Result<Target, Failure> {
    Target::parse(url).map_err(|error: OpenError| Failure::Usage(error.to_string()))
}
