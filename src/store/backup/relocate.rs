//! From SQLite to PostgreSQL: every row as it is, with its number, so that nobody who follows notices.
//!
//! Both databases are held alone meanwhile, and the old one is marked before the new one counts: at no time would
//! servers start on both, and one let in what was revoked on the other.

use std::fs::File;
use std::path::{Path, PathBuf};

use diesel::connection::DefaultLoadingMode;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::{BackupError, FEED_HEAD, Line, fingerprint, lines, number, postgres, sqlite};
use crate::domain::instant::Instant;
use crate::store::db::{Db, Manager, Purpose, Target};
use crate::store::instance::{self, Fact};
use crate::store::{Begin, OpenError, StoreError, migrate, raise_wall, transaction};

/// A database cannot move; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// One of the two cannot be held, read or written.
    #[error(transparent)]
    Failed(#[from] BackupError),
    /// The file is missing, damaged or something else.
    #[error("{0} cannot be moved: {1}")]
    NoSource(PathBuf, String),
    /// Rows that PostgreSQL does not take, or tables that are not its own.
    #[error("it does not fit: {0}")]
    Unfit(String),
    /// Something is in the other database.
    #[error(
        "the PostgreSQL database holds an installation already: name one on which no onyx-auth was ever started, or \
         another schema of it"
    )]
    Occupied,
    /// Nothing is left to be done.
    #[error("it moved there at {0}: start servers on the PostgreSQL database")]
    Done(String),
}

impl From<StoreError> for MoveError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<OpenError> for MoveError {
    fn from(error: OpenError) -> Self {
        Self::Failed(error.into())
    }
}

/// What moved.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// When.
    pub at: Instant,
    /// How many rows.
    pub rows: i64,
    /// The last revocation, which whoever follows goes on from.
    pub feed_head: i64,
}

/// Moves all that an SQLite file holds into an empty PostgreSQL database, in one transaction. `record` writes down
/// who did so, in the same.
pub fn relocate(
    from: &Path,
    to: &Target,
    now: Instant,
    record: impl FnOnce(&mut Db, Moved) -> Result<(), BackupError>,
) -> Result<Moved, MoveError> {
    let mut old = hold_old(from)?;
    let Some(whose) = installation(&mut old)? else {
        let detail = "no onyx-auth was ever started on it".to_owned();
        return Err(MoveError::NoSource(from.to_owned(), detail));
    };
    let mut new = hold_new(to)?;
    if let Some(there) = installation(&mut new)? {
        return Err(match instance::get(&mut old, Fact::MovedAt)? {
            Some(at) if there == whose => MoveError::Done(at),
            _ => MoveError::Occupied,
        });
    }
    // Only now: whoever is refused has both as they were, for whichever program they are.
    migrate::run(&mut new)?;
    raise_wall(&mut new);
    migrate::run(&mut old)?;
    let before = instance::get(&mut old, Fact::MovedAt)?;
    if let Some(at) = &before {
        log::warn!(
            "a move began at {at}: where it came to its end, in another database, that one must not be served from \
             beside this"
        );
    }
    instance::put(&mut old, Fact::MovedAt, &now.to_string())?;
    let moved = transaction(&mut new, Begin::Writing(None), |new| {
        fill(new, &mut old, now, record)
    });
    drop(new);
    let is_where_it_was = match &moved {
        Ok(_) => false,
        // Nothing of it was sent.
        Err(MoveError::Occupied) => true,
        Err(_) => is_empty(to),
    };
    if is_where_it_was {
        match before {
            Some(at) => instance::put(&mut old, Fact::MovedAt, &at)?,
            None => instance::forget(&mut old, Fact::MovedAt)?,
        }
    }
    moved
}

fn hold_old(path: &Path) -> Result<Db, MoveError> {
    let no = |detail: String| MoveError::NoSource(path.to_owned(), detail);
    // Opened here first, so that a missing file is never made.
    let file = File::open(path).map_err(|error| no(error.to_string()))?;
    if !sqlite::is_one(&file, path)? {
        return Err(no("it is no SQLite database".to_owned()));
    }
    // Before the engine locks it: who closes any descriptor of a file gives up all locks that its process has on it.
    drop(file);
    let mut db = open(&Target::Sqlite(sqlite::text(path)?.to_owned()))?;
    if let Db::Sqlite(conn) = &mut db {
        sqlite::hold(conn)?;
        if let Some(damage) = sqlite::damage(conn) {
            return Err(no(format!("it is damaged: {damage}")));
        }
    }
    Ok(db)
}

fn hold_new(target: &Target) -> Result<Db, MoveError> {
    let mut db = open(target)?;
    if let Db::Postgres(conn) = &mut db {
        postgres::hold(conn)?;
    }
    Ok(db)
}

fn open(target: &Target) -> Result<Db, BackupError> {
    Ok(Manager::new(target, Purpose::Writing).open()?)
}

/// Whose database it is, whichever version made its tables. `None`: it was never used.
fn installation(db: &mut Db) -> Result<Option<String>, StoreError> {
    match instance::is_there(db)? {
        true => fingerprint(db),
        false => Ok(None),
    }
}

/// Whether nothing has come there for certain, whatever became of the answer to a commit: a session that is at it
/// still has what this waits for.
fn is_empty(target: &Target) -> bool {
    let asked = hold_new(target).and_then(|mut db| Ok(installation(&mut db)?));
    matches!(asked, Ok(None))
}

fn fill(
    new: &mut Db,
    old: &mut Db,
    now: Instant,
    record: impl FnOnce(&mut Db, Moved) -> Result<(), BackupError>,
) -> Result<Moved, MoveError> {
    // Whoever starts there waits for this, and may have been quicker.
    migrate::lock(new)?;
    if fingerprint(new)?.is_some() {
        return Err(MoveError::Occupied);
    }
    let mut tables = Vec::new();
    for table in lines(new, postgres::TABLES)? {
        let query = rows_of(&table, new, old)?;
        tables.push((table, query));
    }
    let Db::Sqlite(from) = old else {
        return Err(MoveError::Unfit("it is not SQLite's".to_owned()));
    };
    let mut rows = 0;
    let constraints = postgres::refill(new, |to| {
        for (table, query) in &tables {
            let copied = copy(from, query, to, table);
            rows += copied.map_err(|error| MoveError::Unfit(format!("{table}: {error}")))?;
        }
        Ok::<_, MoveError>(())
    })?;
    instance::forget(new, Fact::MovedAt)?;
    let moved = Moved {
        at: now,
        // The mark stays where it is.
        rows: rows - 1,
        feed_head: number(new, FEED_HEAD)?,
    };
    record(new, moved)?;
    postgres::check(new, constraints).map_err(|error| match error {
        BackupError::Broken(detail) => MoveError::Unfit(detail),
        other => other.into(),
    })?;
    Ok(moved)
}

/// The query that writes each row of a table as JSON, as PostgreSQL reads it.
fn rows_of(table: &str, new: &mut Db, old: &mut Db) -> Result<String, MoveError> {
    let there = format!(
        "SELECT attname AS line FROM pg_attribute WHERE attrelid = '\"{table}\"'::regclass \
         AND attnum > 0 AND NOT attisdropped ORDER BY attname COLLATE \"C\""
    );
    let here = format!("SELECT name AS line FROM pragma_table_info('{table}') ORDER BY name");
    // A column that the other does not know would be left out without a word.
    if lines(new, &there)? != lines(old, &here)? {
        let detail = format!("the table {table} is another one on PostgreSQL");
        return Err(MoveError::Unfit(detail));
    }
    let columns = format!(
        "SELECT CASE type WHEN 'BLOB' \
             THEN 'CASE WHEN \"' || name || '\" IS NOT NULL THEN ''\\x'' || hex(\"' || name || '\") END' \
             ELSE '\"' || name || '\"' END || ' AS \"' || name || '\"' AS line FROM pragma_table_info('{table}')"
    );
    let names = format!(
        "SELECT '''' || name || ''', \"' || name || '\"' AS line FROM pragma_table_info('{table}')"
    );
    let (columns, names) = (
        lines(old, &columns)?.join(", "),
        lines(old, &names)?.join(", "),
    );
    Ok(format!(
        "SELECT json_object({names}) AS line FROM (SELECT {columns} FROM \"{table}\")"
    ))
}

fn copy(
    from: &mut SqliteConnection,
    query: &str,
    to: &mut PgConnection,
    table: &str,
) -> Result<i64, BackupError> {
    let (mut batch, mut rows) = (Vec::new(), 0);
    for row in diesel::sql_query(query).load_iter::<Line, DefaultLoadingMode>(from)? {
        batch.push(row?.line);
        rows += 1;
        if batch.len() >= postgres::BATCH {
            postgres::insert(to, Some(table), &mut batch)?;
        }
    }
    postgres::insert(to, Some(table), &mut batch)?;
    Ok(rows)
}
