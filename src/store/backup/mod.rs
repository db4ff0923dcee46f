//! The whole database in one file, and its way back.
//!
//! What was revoked since stays revoked, and every number that was given out before is passed over,
//! so that whoever follows changes or revocations starts anew.

mod carry;
mod error;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod relocate;
mod sqlite;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use serde::{Deserialize, Serialize};

use super::db::{Db, Manager, Purpose, Target, on_engine};
use super::error::StoreError;
use super::{instance, migrate};
use crate::domain::instant::Instant;

pub use error::BackupError;

#[cfg(feature = "postgres")]
pub use relocate::{MoveError, Moved, relocate};

/// What a backup says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Label {
    /// The form of the file.
    pub format: u32,
    /// The engine that it was taken of.
    pub engine: String,
    /// The program that took it.
    pub version: String,
    /// When, in RFC 3339.
    pub made_at: String,
    /// The last revocation that it holds.
    pub feed_head: i64,
    /// The migrations that its tables have seen.
    pub migrations: Vec<String>,
}

/// The only form that there is yet.
const FORMAT: u32 = 1;

/// The last revocation.
const FEED_HEAD: &str = "SELECT value AS line FROM sequences WHERE name = 'revocations'";

/// What a restore did.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// What the backup said of itself.
    pub backup: Label,
    /// The number that revocations go on from; every cursor from before is below it.
    pub feed_starts_after: i64,
    /// How many records ended after the backup was taken, and stay so.
    pub kept_ended: i64,
    /// How many revocations are told again under new numbers.
    pub kept_revocations: i64,
    /// How many invoices were numbered or voided after the backup was taken, and are void now.
    pub voided_invoices: i64,
}

/// Writes the database into a new file that its owner alone can read.
pub fn take(
    target: &Target,
    path: &Path,
    version: &str,
    now: Instant,
) -> Result<Label, BackupError> {
    match target {
        // Opened, it would be made, empty and for everybody to read.
        Target::Sqlite(database) if !Path::new(database).exists() => {
            return Err(BackupError::NoDatabase(database.clone()));
        }
        _ => {}
    }
    let mut db = Manager::new(target, Purpose::Writing).open()?;
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let file = made.map_err(|cause| failed(path, cause))?;
    let label = |db: &mut Db| -> Result<Label, BackupError> {
        Ok(Label {
            format: FORMAT,
            engine: engine(db).to_owned(),
            version: version.to_owned(),
            made_at: now.to_string(),
            feed_head: number(db, FEED_HEAD)?,
            migrations: migrations(db)?,
        })
    };
    let taken = match &mut db {
        Db::Sqlite(conn) => sqlite::take(conn, path, label),
        #[cfg(feature = "postgres")]
        Db::Postgres(_) => postgres::take(&mut db, &file, path, label),
    };
    let synced = taken.and_then(|label| {
        file.sync_all().map_err(|cause| failed(path, cause))?;
        Ok(label)
    });
    if synced.is_err() {
        // Half a backup is worse than none.
        let _ = std::fs::remove_file(path);
    }
    synced
}

/// What becomes of what was revoked after the backup was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It stays revoked.
    Kept,
    /// It lives again.
    Forgotten,
}

/// Puts a backup in the place of what the database holds, in one transaction. `record` writes down
/// who did so, in the same.
pub fn restore(
    target: &Target,
    path: &Path,
    since: Since,
    now: Instant,
    record: impl FnOnce(&mut Db, &Restored) -> Result<(), BackupError>,
) -> Result<Restored, BackupError> {
    // Looked at before anything is made or changed.
    let label = read_label(target, path)?;
    match target {
        Target::Sqlite(database) => {
            if since == Since::Kept && !Path::new(database).exists() {
                return Err(BackupError::NothingKnown);
            }
            super::prepare_file(database)?;
        }
        #[cfg(feature = "postgres")]
        Target::Postgres(_) => {}
    }
    let restored = restore_over(target, path, label, since, now, record);
    restored.map_err(|error| error.told_of_damage(target))
}

fn restore_over(
    target: &Target,
    path: &Path,
    label: Label,
    since: Since,
    now: Instant,
    record: impl FnOnce(&mut Db, &Restored) -> Result<(), BackupError>,
) -> Result<Restored, BackupError> {
    let mut db = Manager::new(target, Purpose::Writing).open()?;
    match &mut db {
        Db::Sqlite(conn) => sqlite::hold(conn)?,
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => postgres::hold(conn)?,
    }
    migrate::run(&mut db)?;
    // What a role may do is in no backup: it is let at the tables that were made just now.
    super::raise_wall(&mut db);
    let source = match (&mut db, target) {
        (Db::Sqlite(conn), Target::Sqlite(database)) => Some(sqlite::attach(conn, path, database)?),
        #[cfg(feature = "postgres")]
        _ => None,
    };
    let restored = replace(&mut db, path, label, since, now, record);
    drop(source);
    restored
}

fn replace(
    db: &mut Db,
    path: &Path,
    label: Label,
    since: Since,
    now: Instant,
    record: impl FnOnce(&mut Db, &Restored) -> Result<(), BackupError>,
) -> Result<Restored, BackupError> {
    super::transaction(db, super::Begin::Writing(None), |db| {
        let before = fingerprint(db)?;
        if before.is_none() && since == Since::Kept {
            return Err(BackupError::NothingKnown);
        }
        if let Some(at) = instance::get(db, instance::Fact::MovedAt)? {
            log::warn!(
                "what is replaced moved to PostgreSQL at {at}: where servers run there, stop them, or what is revoked \
                 on one of the two lives on the other"
            );
        }
        let head = carry::remember(db)?;
        let loaded = load(db, path, &label)?;
        if before.is_some() && before != fingerprint(db)? {
            return Err(BackupError::OtherInstallation);
        }
        let kept = carry::carry(db, since, head, now)?;
        let restored = Restored {
            backup: label,
            feed_starts_after: kept.feed_starts_after,
            kept_ended: kept.ended,
            kept_revocations: kept.revocations,
            voided_invoices: kept.voided_invoices,
        };
        record(db, &restored)?;
        check(db, loaded)?;
        Ok(restored)
    })
}

/// What must be looked at when all rows are in.
enum Loaded {
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres(postgres::Constraints),
}

fn load(db: &mut Db, path: &Path, label: &Label) -> Result<Loaded, BackupError> {
    match db {
        Db::Sqlite(conn) => {
            // Attached already, from this very file.
            let _ = (path, label);
            sqlite::load(conn)?;
            Ok(Loaded::Sqlite)
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(_) => Ok(Loaded::Postgres(postgres::load(db, path, label)?)),
    }
}

fn check(db: &mut Db, loaded: Loaded) -> Result<(), BackupError> {
    match (db, loaded) {
        (Db::Sqlite(conn), _) => sqlite::check(conn),
        #[cfg(feature = "postgres")]
        (db, Loaded::Postgres(constraints)) => postgres::check(db, constraints),
        #[cfg(feature = "postgres")]
        (Db::Postgres(_), Loaded::Sqlite) => Ok(()),
    }
}

fn read_label(target: &Target, path: &Path) -> Result<Label, BackupError> {
    // Opened here, so that a missing file is told as such and never made.
    let file = File::open(path).map_err(|cause| failed(path, cause))?;
    let engine = match target {
        Target::Sqlite(_) => "sqlite",
        #[cfg(feature = "postgres")]
        Target::Postgres(_) => "postgres",
    };
    let label = if sqlite::is_one(&file, path)? {
        sqlite::label(path)?
    } else {
        lines_label(file, path)?
    };
    if label.format != FORMAT {
        let detail = format!(
            "its form is {}, and this program knows {FORMAT}",
            label.format
        );
        return Err(BackupError::NotABackup(path.to_owned(), detail));
    }
    if label.engine != engine {
        return Err(BackupError::OtherEngine {
            path: path.to_owned(),
            engine: label.engine,
        });
    }
    Ok(label)
}

/// The first line of a backup that is text.
fn lines_label(file: File, path: &Path) -> Result<Label, BackupError> {
    use std::io::{BufRead, BufReader, Read};
    let mut first = String::new();
    let read = BufReader::new(file.take(64 * 1024)).read_line(&mut first);
    let label = read
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str(&first).map_err(|error| error.to_string()));
    label.map_err(|detail| BackupError::NotABackup(path.to_owned(), detail))
}

/// One text of a row.
#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

/// The column `line` of each row of a query.
fn lines(db: &mut Db, query: &str) -> Result<Vec<String>, StoreError> {
    let rows = on_engine!(db, conn => diesel::sql_query(query).load::<Line>(conn))?;
    Ok(rows.into_iter().map(|row| row.line).collect())
}

/// The number that a query's one row holds; 0 where there is none.
fn number(db: &mut Db, query: &str) -> Result<i64, StoreError> {
    let as_text = format!("SELECT CAST(line AS TEXT) AS line FROM ({query}) AS one");
    let found = lines(db, &as_text)?;
    Ok(found
        .first()
        .and_then(|line| line.parse().ok())
        .unwrap_or(0))
}

fn migrations(db: &mut Db) -> Result<Vec<String>, StoreError> {
    lines(
        db,
        "SELECT version AS line FROM __diesel_schema_migrations ORDER BY version",
    )
}

/// Whose database it is. `None`: it was never used.
fn fingerprint(db: &mut Db) -> Result<Option<String>, StoreError> {
    let query = "SELECT value AS line FROM instance WHERE name = 'master_key_fingerprint'";
    Ok(lines(db, query)?.pop())
}

fn engine(db: &Db) -> &'static str {
    match db {
        Db::Sqlite(_) => "sqlite",
        #[cfg(feature = "postgres")]
        Db::Postgres(_) => "postgres",
    }
}

fn run(db: &mut Db, statements: &str) -> Result<(), StoreError> {
    Ok(db.batch_execute(statements)?)
}

fn failed(path: &Path, cause: std::io::Error) -> BackupError {
    BackupError::File {
        path: path.to_owned(),
        cause,
    }
}
