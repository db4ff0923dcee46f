//! `onyx-auth move`: from SQLite to PostgreSQL, on the machine that has the file.

use std::path::PathBuf;

use super::output::Output;
use super::settings::SettingFlags;
use super::{Done, Failure};
use crate::logging;
use crate::store::{OpenError, Target};

#[derive(clap::Args)]
pub(super) struct Move {
    /// The SQLite database, such as data/onyx.db
    file: PathBuf,
    #[command(flatten)]
    flags: SettingFlags,
}

/// Moves an SQLite database into the PostgreSQL database of the settings.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "there is nowhere to move to")
)]
pub(super) fn run(options: &Move, output: &Output) -> Done {
    let settings = options.flags.load()?;
    logging::start(&settings.log, settings.log_format);
    let target = Target::parse(&settings.database_url);
    match target.map_err(|error: OpenError| Failure::Usage(error.to_string()))? {
        Target::Sqlite(_) => Err(Failure::Usage(
            "database_url: name the PostgreSQL database that it moves to, postgres://…".to_owned(),
        )),
        #[cfg(feature = "postgres")]
        target @ Target::Postgres(_) => relocate(&options.file, &target, &settings, output),
    }
}

#[cfg(feature = "postgres")]
fn relocate(
    file: &std::path::Path,
    target: &Target,
    settings: &crate::config::Settings,
    output: &Output,
) -> Done {
    use crate::audit::{Action, Deed};
    use crate::store::backup;

    let now = crate::clock::Clock::system().now();
    let moved = backup::relocate(file, target, now, |db, moved| {
        let deed = Deed::new(Action::DatabaseMoved, "database").detail("rows", moved.rows);
        super::backup::put_on_record(db, settings, deed, now)
    })?;
    eprintln!(
        "All is on PostgreSQL. Start servers there, with this database_url and {}; {} holds what it held, and no \
         server starts on it any more.",
        settings.master_key_file.display(),
        file.display()
    );
    output.record(&serde_json::json!({
        "file": file,
        "moved_at": moved.at,
        "rows": moved.rows,
        "feed_head": moved.feed_head,
    }))
}
