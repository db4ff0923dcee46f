//! Files that hold secrets: their owner's alone.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Report;
use crate::causes::Causes;
use crate::clock::Clock;
use crate::config::{Settings, Tls};
use crate::domain::instant::Instant;
use crate::http::tls::Pair;
use crate::keys::{file, import};
use crate::store::Target;

/// How long before its end a certificate is reported: long after whatever renews certificates should have.
const LAST_DAYS: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn examine(settings: &Settings, clock: &Clock, report: &mut Report) {
    if let Some(tls) = &settings.tls {
        certificate(tls, clock.now(), report);
    }
    match file::read(&settings.master_key_file) {
        Ok(_) => report.well("master key file", shown(&settings.master_key_file)),
        Err(error @ file::KeyFileError::Missing(_)) => report.ill(
            "master key file",
            format!("{error}: a first start makes it; a database that has one needs it back from your backup"),
        ),
        Err(error) => report.ill("master key file", error.to_string()),
    }
    match import::examine(&settings.keys_dir) {
        Ok(0) => {}
        Ok(count) => report.well("imported keys", format!("{count} can be read")),
        Err(error) => report.ill("imported keys", Causes(&error).to_string()),
    }
    let mut private = vec![settings.keys_dir.clone()];
    if let Ok(Target::Sqlite(path)) = Target::parse(&settings.database_url) {
        private.push(path.into());
    }
    if settings_hold_password(settings) {
        private.push("onyx.toml".into());
    }
    private.extend(["data/operator.json", "data/demo.json"].map(PathBuf::from));
    let open: Vec<String> = private.iter().filter_map(|path| too_open(path)).collect();
    if open.is_empty() {
        report.well("file modes", "no file with secrets is open to others");
    } else {
        report.ill("file modes", open.join("; "));
    }
}

/// The pair that the public listener shows, or will when it looks at its files.
fn certificate(tls: &Tls, now: Instant, report: &mut Report) {
    let shown = shown(&tls.cert);
    let ends_at = match Pair::read(tls) {
        Ok(pair) => pair.ends_at,
        Err(error) => return report.ill("certificate", error.to_string()),
    };
    match ends_at {
        Some(end) if end <= now => {
            report.ill("certificate", format!("{shown} ended at {end}: renew it"));
        }
        Some(end) if end < now.plus(LAST_DAYS) => report.ill(
            "certificate",
            format!("{shown} ends at {end}: renew it, or look why it was not"),
        ),
        Some(end) => report.well("certificate", format!("{shown} ends at {end}")),
        None => report.well("certificate", format!("{shown} belongs to its key")),
    }
}

/// Whether the settings' own file says how to get into a database.
fn settings_hold_password(settings: &Settings) -> bool {
    let url = url::Url::parse(&settings.database_url).ok();
    let password = url.as_ref().and_then(url::Url::password);
    let file = std::fs::read_to_string("onyx.toml").unwrap_or_default();
    password.is_some_and(|password| file.contains(password))
}

/// What is wrong with a path's mode. `None`: nothing, or there is no such file.
fn too_open(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    let mode = metadata.permissions().mode() & 0o7777;
    // A folder that others may look into is harmless, one that they may change is not.
    let (forbidden, right) = if metadata.is_dir() {
        (0o022, 700)
    } else {
        (0o077, 600)
    };
    let shown = shown(path);
    (mode & forbidden != 0)
        .then(|| format!("{shown} has mode {mode:04o}: run `chmod {right} {shown}`"))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
