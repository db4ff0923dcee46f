//! `onyx-auth leak scan`: Onyx secrets and tokens in files.
//!
//! Walks as ripgrep does, in parallel, but hides nothing from itself: what Git ignores, `.env`
//! files among it, is where secrets lie.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use clap::Args;
use ignore::overrides::OverrideBuilder;
use ignore::{DirEntry, WalkBuilder, WalkParallel, WalkState};
use serde_json::{Value, json};

use super::find::{Finder, Finding, What};
use crate::cli::output::{Output, line};
use crate::cli::{Done, Failure};
use crate::domain::instant::Instant;
use crate::domain::secret::PlainSecret;

#[derive(Args)]
pub(in crate::cli) struct Scan {
    /// Files and folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Leave out what .gitignore and .ignore files say [default: searched too]
    #[arg(long)]
    respect_ignore: bool,
    /// Leave out what matches, as in .gitignore; repeat for several
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Follow symbolic links [default: only those that are named as PATH]
    #[arg(long)]
    follow: bool,
    /// Stay on the file system of each PATH
    #[arg(long)]
    one_file_system: bool,
    /// How many threads [default: as many as there are processors]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// Send the secrets that are found to ONYX_SERVER, which revokes them
    #[arg(long)]
    pub(super) report: bool,
    /// Do not ask before --report sends
    #[arg(long)]
    pub(super) yes: bool,
}

/// A finding and its file.
struct Located {
    file: PathBuf,
    finding: Finding,
}

/// What was found, and what was not searched.
pub(super) struct Outcome {
    located: Vec<Located>,
    files: usize,
    bytes: u64,
    unread: usize,
    git_objects: usize,
}

/// Searches everything.
pub(super) fn scan(scan: &Scan) -> Result<Outcome, Failure> {
    let search = Search::default();
    let (stdin, paths): (Vec<_>, Vec<_>) = scan.paths.iter().partition(|p| p.as_os_str() == "-");
    for path in &paths {
        if let Err(error) = path.symlink_metadata() {
            return Err(Failure::Usage(format!("{}: {error}", shown(path))));
        }
    }
    let walk = walk(scan, &paths, &search)?;
    if !stdin.is_empty() {
        let mut finder = Finder::new()?;
        search.stream(&mut finder, Path::new("-"), io::stdin().lock());
    }
    if let Some(walk) = walk {
        walk.run(|| {
            let mut finder = Finder::new();
            let search = &search;
            Box::new(move |entry| match &mut finder {
                Ok(finder) => search.entry(finder, entry),
                Err(_) => WalkState::Quit,
            })
        });
    }
    Ok(search.outcome())
}

fn walk(scan: &Scan, paths: &[&PathBuf], search: &Search) -> Result<Option<WalkParallel>, Failure> {
    let Some((first, more)) = paths.split_first() else {
        return Ok(None);
    };
    let mut walk = WalkBuilder::new(first);
    more.iter().for_each(|path| {
        walk.add(path);
    });
    let mut excluded = OverrideBuilder::new(std::env::current_dir()?);
    for glob in &scan.exclude {
        excluded
            .add(&format!("!{glob}"))
            .map_err(|error| Failure::Usage(format!("--exclude {glob}: {error}")))?;
    }
    let skipped = search.git_objects.clone();
    walk.standard_filters(false)
        .ignore(scan.respect_ignore)
        .git_ignore(scan.respect_ignore)
        .git_exclude(scan.respect_ignore)
        .git_global(scan.respect_ignore)
        .parents(scan.respect_ignore)
        .require_git(false)
        .overrides(excluded.build()?)
        .follow_links(scan.follow)
        .same_file_system(scan.one_file_system)
        .threads(scan.threads)
        .filter_entry(move |entry| {
            let is_skipped = is_git_objects(entry);
            if is_skipped {
                skipped.fetch_add(1, Ordering::Relaxed);
            }
            !is_skipped
        });
    Ok(Some(walk.build_parallel()))
}

/// Git's own store of objects: compressed, so that nothing can be seen in it.
fn is_git_objects(entry: &DirEntry) -> bool {
    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    let is_named = entry.depth() > 0 && entry.file_name() == "objects";
    is_folder
        && is_named
        && entry
            .path()
            .parent()
            .is_some_and(|git| git.join("HEAD").is_file() && git.join("refs").is_dir())
}

/// A search under way, shared by its threads.
#[derive(Default)]
struct Search {
    located: Mutex<Vec<Located>>,
    files: AtomicUsize,
    bytes: AtomicU64,
    unread: AtomicUsize,
    git_objects: std::sync::Arc<AtomicUsize>,
}

impl Search {
    fn entry(&self, finder: &mut Finder, entry: Result<DirEntry, ignore::Error>) -> WalkState {
        match entry {
            Ok(entry) => {
                let kind = entry.file_type();
                // Pipes and devices are read only where they are named: one in a tree could
                // keep the search waiting for ever.
                let is_wanted = match entry.depth() {
                    0 => !entry.path().is_dir(),
                    _ => kind.is_some_and(|kind| kind.is_file()),
                };
                if is_wanted {
                    match File::open(entry.path()) {
                        Ok(file) => self.stream(finder, entry.path(), file),
                        Err(error) => self.unread(&format!("{}: {error}", shown(entry.path()))),
                    }
                }
            }
            Err(error) if is_loop(&error) => {
                eprintln!("onyx-auth: {}", escaped(&error.to_string()));
            }
            Err(error) => self.unread(&escaped(&error.to_string())),
        }
        WalkState::Continue
    }

    fn stream(&self, finder: &mut Finder, file: &Path, from: impl io::Read) {
        let mut here = Vec::new();
        let read = finder.search(from, |finding| {
            here.push(Located {
                file: file.to_owned(),
                finding,
            });
        });
        self.files.fetch_add(1, Ordering::Relaxed);
        match read {
            Ok(bytes) => {
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(error) => self.unread(&format!("{}: {error}", shown(file))),
        }
        if !here.is_empty()
            && let Ok(mut located) = self.located.lock()
        {
            located.append(&mut here);
        }
    }

    fn unread(&self, why: &str) {
        self.unread.fetch_add(1, Ordering::Relaxed);
        eprintln!("onyx-auth: {why}");
    }

    fn outcome(self) -> Outcome {
        let mut located = self.located.into_inner().unwrap_or_default();
        let place = |l: &Located| (l.file.clone(), l.finding.line, l.finding.column);
        located.sort_by_cached_key(place);
        // A file may have been named twice.
        located.dedup_by_key(|l| place(l));
        Outcome {
            located,
            files: self.files.into_inner(),
            bytes: self.bytes.into_inner(),
            unread: self.unread.into_inner(),
            git_objects: self.git_objects.load(Ordering::Relaxed),
        }
    }
}

/// A folder that contains itself: told, and no reason to doubt the result.
fn is_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithDepth { err, .. }
        | ignore::Error::WithPath { err, .. }
        | ignore::Error::WithLineNumber { err, .. } => is_loop(err),
        _ => false,
    }
}

const COLUMNS: [&str; 8] = [
    "file",
    "line",
    "kind",
    "realm",
    "hint",
    "client_id",
    "credential_id",
    "expires_at",
];

impl Outcome {
    /// The secrets, for a report.
    pub(super) fn secrets(&self) -> Vec<PlainSecret> {
        let secret = |l: &Located| match &l.finding.what {
            What::Secret { secret, .. } => Some(secret.clone()),
            What::Token { .. } => None,
        };
        self.located.iter().filter_map(secret).collect()
    }

    /// Prints what was found, never a secret.
    pub(super) fn print(&self, output: &Output, now: Instant) -> Done {
        let rows: Vec<Value> = self.located.iter().map(|l| row(l, now)).collect();
        if output.is_json() {
            return line(&format!("{:#}", Value::Array(rows)));
        }
        if rows.is_empty() {
            return output.expect_fields(&FIELDS);
        }
        output.list(&json!({ "data": rows }), &COLUMNS)
    }

    /// Says how it went: found is a failure, and so is what could not be searched.
    pub(super) fn verdict(&self) -> Done {
        eprintln!(
            "Searched {} files, {} MB.",
            self.files,
            self.bytes / 1_000_000
        );
        if self.git_objects > 0 {
            eprintln!(
                "Git's compressed objects were left out; for what Git remembers: git log -p --all | onyx-auth leak scan -"
            );
        }
        let secrets = self.secrets().len();
        let tokens = self.located.len() - secrets;
        if secrets + tokens > 0 {
            return Err(Failure::Refused(format!(
                "found {secrets} secrets and {tokens} access tokens"
            )));
        }
        match self.unread {
            0 => Ok(()),
            some => Err(Failure::Usage(format!(
                "found nothing, but {some} files or folders could not be read"
            ))),
        }
    }
}

const FIELDS: [&str; 10] = [
    "file",
    "line",
    "column",
    "kind",
    "realm",
    "hint",
    "client_id",
    "credential_id",
    "expires_at",
    "expired",
];

fn row(located: &Located, now: Instant) -> Value {
    let Finding { line, column, what } = &located.finding;
    let (kind, realm, hint, client_id, credential_id, expires_at) = match what {
        What::Secret { secret, client_id } => (
            "client_secret",
            secret.realm(),
            Some(secret.hint()),
            client_id.as_ref(),
            None,
            None,
        ),
        What::Token {
            client_id,
            credential_id,
            expires_at,
        } => (
            "access_token",
            Some(client_id.realm()),
            None,
            Some(client_id),
            credential_id.as_ref(),
            Some(*expires_at),
        ),
    };
    json!({
        "file": shown(&located.file),
        "line": line,
        "column": column,
        "kind": kind,
        "realm": realm,
        "hint": hint,
        "client_id": client_id,
        "credential_id": credential_id,
        "expires_at": expires_at,
        "expired": expires_at.map(|end| end <= now),
    })
}

/// A path that cannot play tricks on a terminal, nor on who reads line by line.
fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

fn escaped(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}
