//! A world's database, looked at and changed behind the server's back.

use std::process::Command;

use super::{Engine, World};

impl World {
    /// Runs SQL on this world's database; answers the column `line` of each row.
    pub fn lines(&self, query: &str) -> Vec<String> {
        match self.engine {
            Engine::Sqlite => {
                use diesel::prelude::*;
                let path = self.path().join("data/onyx.db");
                let mut db = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                let rows = diesel::sql_query(query).load::<Line>(&mut db).unwrap();
                rows.into_iter().map(|row| row.line).collect()
            }
            Engine::Postgres => {
                let rows = psql(&self.database_url(), query);
                rows.lines().map(str::to_owned).collect()
            }
        }
    }

    /// The same on PostgreSQL, after statements in the same session.
    pub fn lines_behind(&self, statements: &str, query: &str) -> Vec<String> {
        let rows = psql(&self.database_url(), &format!("{statements}; {query}"));
        rows.lines().map(str::to_owned).collect()
    }

    /// Changes this world's database behind the server's back.
    pub fn execute(&self, statement: &str) {
        let done = self.try_execute(statement);
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Changes this world's database behind the server's back; the error is the database's own.
    pub fn try_execute(&self, statement: &str) -> Result<(), String> {
        match self.engine {
            Engine::Sqlite => {
                use diesel::prelude::*;
                let path = self.path().join("data/onyx.db");
                let mut db = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                // The server writes too.
                let patience = diesel::sql_query("PRAGMA busy_timeout = 10000");
                patience.execute(&mut db).unwrap();
                let done = diesel::sql_query(statement).execute(&mut db);
                done.map(|_| ()).map_err(|error| error.to_string())
            }
            Engine::Postgres => try_psql(&self.database_url(), statement).map(|_| ()),
        }
    }

    /// Does something on PostgreSQL in a transaction that stays open for so many seconds.
    pub fn hold(&self, statement: &str, seconds: u32) -> std::thread::JoinHandle<()> {
        let statements = format!("BEGIN; {statement}; SELECT pg_sleep({seconds}); COMMIT");
        let database = self.database_url();
        std::thread::spawn(move || drop(psql(&database, &statements)))
    }

    /// Takes down the triggers that guard the audit trail's tables, as somebody may who owns the database.
    pub fn take_down_the_audit_fence(&self) {
        let triggers = match self.engine {
            Engine::Sqlite => {
                "SELECT name AS line FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit%'"
            }
            Engine::Postgres => {
                "SELECT t.tgname || ' ON ' || c.relname AS line FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
                 WHERE c.relnamespace = current_schema()::regnamespace AND t.tgname LIKE 'audit%' AND NOT t.tgisinternal"
            }
        };
        let triggers = self.lines(triggers);
        assert!(triggers.len() >= 6);
        for trigger in triggers {
            self.execute(&format!("DROP TRIGGER {trigger}"));
        }
    }
}

/// The PostgreSQL server that `./test` starts.
pub fn postgres() -> String {
    std::env::var("ONYX_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("ONYX_TEST_POSTGRES is not set: run the tests with ./test, which starts a PostgreSQL server for them")
    })
}

/// Runs SQL on the PostgreSQL server.
pub fn sql(statements: &str) {
    psql(&postgres(), statements);
}

/// Takes a world's tables away. The last statement of a process that was killed may run still: the two can wait for each
/// other, which PostgreSQL ends, and it runs out by itself.
pub(super) fn drop_schema(schema: &str) {
    let statement = format!("DROP SCHEMA {schema} CASCADE");
    for _ in 0..20 {
        match try_psql(&postgres(), &statement) {
            Err(error) if error.contains("deadlock detected") => {}
            done => {
                done.unwrap_or_else(|error| panic!("{statement}: {error}"));
                return;
            }
        }
    }
    panic!("{statement}: deadlocks again and again");
}

/// One row of a query whose only column is `line`.
#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

fn psql(database: &str, statements: &str) -> String {
    try_psql(database, statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
}

fn try_psql(database: &str, statements: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args([
            "-qAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            database,
            "-c",
            statements,
        ])
        .output()
        .expect("psql: install postgresql-client");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8(output.stdout).unwrap())
}
