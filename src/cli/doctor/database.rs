//! The database: there, at this program's version, writable, with a clock like ours.

use std::path::Path;

use super::Report;
use crate::causes::Causes;
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::{Store, Target, Wall, instance};

/// Clocks that differ by more than this spoil what is compared by time.
const DOUBTFUL_SECONDS: i64 = 2;
const ILL_SECONDS: i64 = 30;

/// The database, where it can be worked with.
pub(super) async fn examine(
    settings: &Settings,
    clock: &Clock,
    report: &mut Report,
) -> Option<Store> {
    let store = open(settings, report)?;
    match store.pending() {
        Ok(pending) if pending.is_empty() => report.well("migrations", "at this program's version"),
        Ok(pending) => {
            let detail = format!(
                "{} to run ({}): `onyx-auth migrate` or the next start runs them",
                pending.len(),
                pending.join(", ")
            );
            report.ill("migrations", detail);
            return None;
        }
        Err(error) => {
            report.ill("migrations", Causes(&error).to_string());
            return None;
        }
    }
    match store.write(instance::touch).await {
        Ok(()) => report.well("database writes", "a transaction was committed"),
        Err(error) => report.ill("database writes", Causes(&error).to_string()),
    }
    match store.probe_wall().await {
        Ok(Wall::Stands) => report.well("row-level security", "stands behind the tenants' queries"),
        Ok(Wall::None) => report.well("row-level security", "SQLite has none"),
        Ok(Wall::Missing(why)) => report.doubtful("row-level security", why),
        Err(error) => report.ill("row-level security", Causes(&error).to_string()),
    }
    match store.read(instance::time).await {
        Ok(Some(theirs)) => compare_clocks(
            "database clock",
            theirs.epoch_seconds() - clock.now().epoch_seconds(),
            report,
        ),
        Ok(None) => report.well("database clock", "this machine's"),
        Err(error) => report.ill("database clock", Causes(&error).to_string()),
    }
    Some(store)
}

/// Says how far another clock is ahead.
pub(super) fn compare_clocks(check: &'static str, ahead: i64, report: &mut Report) {
    let (apart, side) = (ahead.abs(), if ahead < 0 { "behind" } else { "ahead of" });
    let detail = format!("{apart} s {side} this machine's; let both follow one time source");
    match apart {
        0..=DOUBTFUL_SECONDS => report.well(check, "agrees with this machine's"),
        apart if apart < ILL_SECONDS => report.doubtful(check, detail),
        _ => report.ill(check, detail),
    }
}

fn open(settings: &Settings, report: &mut Report) -> Option<Store> {
    // Opening would make the file.
    if let Ok(Target::Sqlite(path)) = Target::parse(&settings.database_url)
        && !Path::new(&path).exists()
    {
        let detail = format!("{path} does not exist: `onyx-auth serve` or `migrate` makes it");
        report.ill("database", detail);
        return None;
    }
    match Store::open(&settings.database_url) {
        Ok(store) => {
            report.well("database", "answers");
            Some(store)
        }
        Err(error) => {
            report.ill("database", Causes(&error).to_string());
            None
        }
    }
}
