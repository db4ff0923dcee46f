//! Of SQLite a backup is a database itself, as the engine copies it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;

use super::error::says_damage;
use super::{BackupError, Label, Line, failed};
use crate::store::{Db, OpenError};

/// How every SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

pub(super) fn take(
    conn: &mut SqliteConnection,
    path: &Path,
    label: impl FnOnce(&mut Db) -> Result<Label, BackupError>,
) -> Result<Label, BackupError> {
    // One read of the database as it is now, beside whoever writes; the empty file was made for it.
    diesel::sql_query("VACUUM INTO ?")
        .bind::<Text, _>(text(path)?)
        .execute(conn)?;
    let mut copy = open(path)?;
    copy.batch_execute("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;")?;
    let label = label(&mut Db::Sqlite(copy))?;
    let json =
        serde_json::to_string(&label).map_err(|error| BackupError::Broken(error.to_string()))?;
    diesel::sql_query("INSERT INTO instance (name, value) VALUES ('backup', ?)")
        .bind::<Text, _>(json)
        .execute(&mut open(path)?)?;
    Ok(label)
}

/// Whether a file is an SQLite database.
pub(super) fn is_one(mut file: &File, path: &Path) -> Result<bool, BackupError> {
    let mut begins = Vec::new();
    let read = file.by_ref().take(16).read_to_end(&mut begins);
    read.map_err(|cause| failed(path, cause))?;
    std::io::Seek::rewind(&mut file).map_err(|cause| failed(path, cause))?;
    Ok(begins == MAGIC)
}

pub(super) fn label(path: &Path) -> Result<Label, BackupError> {
    let query = "SELECT value AS line FROM instance WHERE name = 'backup'";
    let found = diesel::sql_query(query).load::<Line>(&mut open(path)?);
    let not = |detail: String| BackupError::NotABackup(path.to_owned(), detail);
    let line = found
        .map_err(|error| not(error.to_string()))?
        .pop()
        .ok_or_else(|| not("it does not say so; take one with `onyx-auth backup`".to_owned()))?;
    serde_json::from_str(&line.line).map_err(|error| not(error.to_string()))
}

/// Makes sure that nobody else has the database open, and that nobody opens it until the end.
pub(super) fn hold(conn: &mut SqliteConnection) -> Result<(), BackupError> {
    // A database leaves WAL only for whoever is alone with it.
    conn.batch_execute("PRAGMA busy_timeout = 1000; PRAGMA locking_mode = EXCLUSIVE;")?;
    let query = "SELECT journal_mode AS line FROM pragma_journal_mode";
    let alone = conn
        .batch_execute("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE; COMMIT;")
        .and_then(|()| diesel::sql_query(query).load::<Line>(conn));
    match alone {
        Ok(mode) if mode.iter().any(|mode| mode.line == "delete") => {}
        Err(error) if says_damage(&error.to_string()) => return Err(error.into()),
        _ => return Err(BackupError::InUse),
    }
    // What points at what is checked when all is in.
    conn.batch_execute("PRAGMA foreign_keys = OFF;")?;
    Ok(())
}

/// A copy of the backup that is brought to this program's tables; gone when it is dropped.
pub(super) struct Source(PathBuf);

impl Source {
    /// Removes the copy and what the engine keeps beside it. One that a killed restore left would be rolled back into
    /// the next copy of the same name.
    fn remove(&self) -> std::io::Result<()> {
        for beside in ["", "-journal", "-wal", "-shm"] {
            let mut file = self.0.clone().into_os_string();
            file.push(beside);
            match std::fs::remove_file(file) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

pub(super) fn attach(
    conn: &mut SqliteConnection,
    path: &Path,
    database: &str,
) -> Result<Source, BackupError> {
    let copy = Source(PathBuf::from(format!("{database}.restoring")));
    let fail = |cause| failed(&copy.0, cause);
    copy.remove().map_err(fail)?;
    let mut from = File::open(path).map_err(|cause| failed(path, cause))?;
    let mut to = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&copy.0)
        .map_err(fail)?;
    std::io::copy(&mut from, &mut to).map_err(fail)?;
    let mut source = open(&copy.0)?;
    let not = |detail: String| BackupError::NotABackup(path.to_owned(), detail);
    if let Some(damage) = damage(&mut source) {
        return Err(not(format!("it is damaged: {damage}")));
    }
    match crate::store::migrate::run(&mut Db::Sqlite(source)) {
        Err(OpenError::Newer(version)) => {
            let detail = format!("it is of a newer program (migration {version}): run that one");
            return Err(not(detail));
        }
        ran => ran?,
    };
    diesel::sql_query("ATTACH ? AS backup")
        .bind::<Text, _>(text(&copy.0)?)
        .execute(conn)?;
    Ok(copy)
}

/// What the engine finds wrong with a file.
pub(super) fn damage(conn: &mut SqliteConnection) -> Option<String> {
    let query = "SELECT integrity_check AS line FROM pragma_integrity_check LIMIT 1";
    match diesel::sql_query(query).load::<Line>(conn) {
        Ok(found) => found
            .into_iter()
            .map(|found| found.line)
            .find(|line| line != "ok"),
        Err(error) => Some(error.to_string()),
    }
}

/// Puts the attached database's rows in the place of all there are.
pub(super) fn load(conn: &mut SqliteConnection) -> Result<(), BackupError> {
    // Some forbid that rows go; a restore is not bound by that, and everything after it is.
    let triggers = "FROM main.sqlite_schema WHERE type = 'trigger'";
    let make = format!("SELECT sql AS line {triggers}");
    let make = diesel::sql_query(make).load::<Line>(conn)?;
    let names = format!("SELECT name AS line {triggers}");
    for trigger in diesel::sql_query(names).load::<Line>(conn)? {
        conn.batch_execute(&format!("DROP TRIGGER main.\"{}\"", trigger.line))?;
    }
    let tables = "SELECT name AS line FROM main.sqlite_schema WHERE type = 'table' \
                  AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_\\_%' ESCAPE '\\'";
    for table in diesel::sql_query(tables).load::<Line>(conn)? {
        let table = table.line;
        let columns = format!(
            "SELECT group_concat('\"' || name || '\"', ', ') AS line FROM pragma_table_info('{table}', 'main')"
        );
        let columns = diesel::sql_query(columns).load::<Line>(conn)?;
        let columns = columns.into_iter().next().map_or(String::new(), |c| c.line);
        conn.batch_execute(&format!(
            "DELETE FROM main.\"{table}\"; \
             INSERT INTO main.\"{table}\" ({columns}) SELECT {columns} FROM backup.\"{table}\";"
        ))?;
    }
    for trigger in make {
        conn.batch_execute(&trigger.line)?;
    }
    Ok(())
}

/// Whether every row points at one that is there.
pub(super) fn check(conn: &mut SqliteConnection) -> Result<(), BackupError> {
    let query = "SELECT \"table\" || ' points at a missing row of ' || parent AS line \
                 FROM pragma_foreign_key_check LIMIT 1";
    match diesel::sql_query(query).load::<Line>(conn)?.pop() {
        None => Ok(()),
        Some(fault) => Err(BackupError::Broken(fault.line)),
    }
}

fn open(path: &Path) -> Result<SqliteConnection, BackupError> {
    Ok(SqliteConnection::establish(text(path)?)?)
}

pub(super) fn text(path: &Path) -> Result<&str, BackupError> {
    path.to_str().ok_or_else(|| {
        let cause = std::io::Error::other("its name must be UTF-8");
        failed(path, cause)
    })
}
