//! Of PostgreSQL a backup is text: a line that says what it is, then each table's name and its rows as
//! JSON, all from one moment; and a last line, without which it is not whole.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

use super::{BackupError, Label, failed, lines, migrations, run};
use crate::store::{Db, StoreError, in_use};

/// How many rows are fetched, or put back, at a time.
pub(super) const BATCH: usize = 1000;
/// How often, and how soon again, it is tried to be alone.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) const TABLES: &str = "SELECT tablename AS line FROM pg_tables WHERE schemaname = current_schema() \
                      AND tablename NOT LIKE '\\_\\_%' ORDER BY tablename";

/// A line between rows.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    /// The rows of this table follow.
    Table(String),
    /// That was all, so many rows.
    End(usize),
}

pub(super) fn take(
    db: &mut Db,
    file: &File,
    path: &Path,
    label: impl FnOnce(&mut Db) -> Result<Label, BackupError>,
) -> Result<Label, BackupError> {
    run(
        db,
        "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
         BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    )?;
    let label = label(db)?;
    let mut out = BufWriter::new(file);
    let mut write = |line: &str| {
        let written = out.write_all(line.as_bytes());
        let written = written.and_then(|()| out.write_all(b"\n"));
        written.map_err(|cause| failed(path, cause))
    };
    write(&json(&label)?)?;
    let mut rows = 0;
    for table in lines(db, TABLES)? {
        write(&json(&Mark::Table(table.clone()))?)?;
        run(
            db,
            &format!(
                "DECLARE rows NO SCROLL CURSOR FOR SELECT row_to_json(t)::text AS line FROM \"{table}\" t"
            ),
        )?;
        loop {
            let some = lines(db, &format!("FETCH {BATCH} FROM rows"))?;
            if some.is_empty() {
                break;
            }
            rows += some.len();
            some.iter().try_for_each(|row| write(row))?;
        }
        run(db, "CLOSE rows")?;
    }
    write(&json(&Mark::End(rows))?)?;
    out.flush().map_err(|cause| failed(path, cause))?;
    run(db, "COMMIT")?;
    Ok(label)
}

/// Makes sure that no server runs on the database, and that none starts until the connection ends.
pub(super) fn hold(conn: &mut PgConnection) -> Result<(), BackupError> {
    conn.batch_execute(
        "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0",
    )?;
    // A server that has just ended may take a moment to be missed.
    for _ in 0..TRIES {
        if in_use::try_alone(conn)? {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(BackupError::InUse)
}

/// What makes the constraints again that a load has dropped.
pub(super) struct Constraints(Vec<String>);

/// Puts the file's rows in the place of all there are.
pub(super) fn load(db: &mut Db, path: &Path, label: &Label) -> Result<Constraints, BackupError> {
    if label.migrations != migrations(db)? {
        return Err(BackupError::OtherTables {
            path: path.to_owned(),
            version: label.version.clone(),
        });
    }
    refill(db, |conn| {
        read_rows(conn, path).map_err(|error| match error {
            // The engine read the row, and would not have it.
            BackupError::Store(
                error
                @ (StoreError::Failed(_) | StoreError::Duplicate(_) | StoreError::Dangling(_)),
            ) => BackupError::NotABackup(path.to_owned(), error.to_string()),
            other => other,
        })
    })
}

/// Empties all tables for whoever fills them again. Until [`check`] no row need point at one that is there.
pub(super) fn refill<E: From<BackupError> + From<StoreError>>(
    db: &mut Db,
    fill: impl FnOnce(&mut PgConnection) -> Result<(), E>,
) -> Result<Constraints, E> {
    // Tables point at one another in circles.
    let constraints =
        "FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace";
    let add = lines(
        db,
        &format!(
            "SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, \
             pg_get_constraintdef(oid)) AS line {constraints}"
        ),
    )?;
    let drop = lines(
        db,
        &format!(
            "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS line {constraints}"
        ),
    )?;
    for statement in drop {
        run(db, &statement)?;
    }
    let tables = lines(db, TABLES)?;
    for table in &tables {
        // Some forbid that rows go; a restore is not bound by that, and everything after it is.
        run(
            db,
            &format!("ALTER TABLE \"{table}\" DISABLE TRIGGER USER; DELETE FROM \"{table}\""),
        )?;
    }
    let Db::Postgres(conn) = db else {
        return Err(BackupError::Broken("not a PostgreSQL database".to_owned()).into());
    };
    fill(conn)?;
    for table in &tables {
        run(db, &format!("ALTER TABLE \"{table}\" ENABLE TRIGGER USER"))?;
    }
    Ok(Constraints(add))
}

/// Whether every row points at one that is there; and so it must from here on.
pub(super) fn check(db: &mut Db, constraints: Constraints) -> Result<(), BackupError> {
    for statement in constraints.0 {
        // As it was when it was dropped: the engine looks at every row.
        let added = run(db, &statement);
        added.map_err(|error| BackupError::Broken(error.to_string()))?;
    }
    Ok(())
}

fn read_rows(conn: &mut PgConnection, path: &Path) -> Result<(), BackupError> {
    let not_whole = |detail: &str| BackupError::NotABackup(path.to_owned(), detail.to_owned());
    let file = File::open(path).map_err(|cause| failed(path, cause))?;
    let (mut table, mut batch, mut rows) = (None, Vec::new(), 0);
    for line in BufReader::new(file).lines().skip(1) {
        let line = line.map_err(|cause| failed(path, cause))?;
        match serde_json::from_str::<Mark>(&line) {
            Ok(mark) => {
                insert(conn, table.as_deref(), &mut batch)?;
                match mark {
                    Mark::Table(next) => table = Some(next),
                    Mark::End(expected) if expected == rows => return Ok(()),
                    Mark::End(_) => return Err(not_whole("rows are missing")),
                }
            }
            Err(_) => {
                rows += 1;
                batch.push(line);
                if batch.len() >= BATCH {
                    insert(conn, table.as_deref(), &mut batch)?;
                }
            }
        }
    }
    Err(not_whole("its end is missing"))
}

/// Puts a batch of rows, each as JSON, into a table.
pub(super) fn insert(
    conn: &mut PgConnection,
    table: Option<&str>,
    batch: &mut Vec<String>,
) -> Result<(), BackupError> {
    let Some(table) = table.filter(|_| !batch.is_empty()) else {
        return Ok(());
    };
    // The name comes from a file: as an identifier it can be no more than a name.
    let name = table.replace('"', "\"\"");
    let statement = format!(
        "INSERT INTO \"{name}\" SELECT * FROM json_populate_recordset(NULL::\"{name}\", $1::json)"
    );
    diesel::sql_query(statement)
        .bind::<Text, _>(format!("[{}]", batch.join(",")))
        .execute(conn)?;
    batch.clear();
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String, BackupError> {
    serde_json::to_string(value).map_err(|error| BackupError::Broken(error.to_string()))
}
