//! Rows that a transaction writes and does not read again, written together at its end.
//!
//! On PostgreSQL they are one statement: one journey to the database where each row would have been one of its own, and
//! what the last of them holds to the commit is held for the commit alone. On SQLite, which is no journey
//! away, they are written one after the other.

use diesel::prelude::*;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::sqlite::{Sqlite, SqliteConnection};

#[cfg(feature = "postgres")]
use diesel::pg::{Pg, PgConnection};
#[cfg(feature = "postgres")]
use diesel::query_builder::AstPass;

use super::db::Db;
use super::error::StoreError;

/// Rows to be written. Dropped, they are not.
#[derive(Default)]
#[must_use = "rows are written by `write`"]
pub struct Together(Vec<Box<dyn Written>>);

/// Something that is written on either engine.
pub(super) trait Written: Send {
    /// Writes it.
    fn on_sqlite(self: Box<Self>, conn: &mut SqliteConnection) -> QueryResult<()>;

    /// Its part of the statement, one query or more under names that end in its number: `r1 AS (INSERT …)`.
    #[cfg(feature = "postgres")]
    fn on_postgres<'b>(&'b self, number: usize, out: AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

#[cfg(not(feature = "postgres"))]
impl<S> Written for S
where
    S: QueryFragment<Sqlite> + QueryId + RunQueryDsl<SqliteConnection> + Send,
{
    fn on_sqlite(self: Box<Self>, conn: &mut SqliteConnection) -> QueryResult<()> {
        (*self).execute(conn).map(|_| ())
    }
}

#[cfg(feature = "postgres")]
impl<S> Written for S
where
    S: QueryFragment<Sqlite> + QueryFragment<Pg> + QueryId + RunQueryDsl<SqliteConnection> + Send,
{
    fn on_sqlite(self: Box<Self>, conn: &mut SqliteConnection) -> QueryResult<()> {
        (*self).execute(conn).map(|_| ())
    }

    fn on_postgres<'b>(&'b self, number: usize, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(&format!("r{number} AS ("));
        self.walk_ast(out.reborrow())?;
        out.push_sql(")");
        Ok(())
    }
}

impl Together {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, which must not hang on how many rows it changes.
    pub(super) fn add(&mut self, row: impl Written + 'static) {
        self.0.push(Box::new(row));
    }

    /// Writes them. What the database refuses of one refuses all.
    pub fn write(self, db: &mut Db) -> Result<(), StoreError> {
        if self.0.is_empty() {
            return Ok(());
        }
        match db {
            Db::Sqlite(conn) => {
                for row in self.0 {
                    row.on_sqlite(conn)?;
                }
            }
            #[cfg(feature = "postgres")]
            Db::Postgres(conn) => {
                OneStatement(&self.0).execute(conn)?;
            }
        }
        Ok(())
    }
}

/// `WITH r0 AS (INSERT …), r1 AS (INSERT …) SELECT 1`: each is carried out to its end, whoever reads it (PostgreSQL,
/// "Data-Modifying Statements in WITH").
#[cfg(feature = "postgres")]
struct OneStatement<'a>(&'a [Box<dyn Written>]);

#[cfg(feature = "postgres")]
impl QueryId for OneStatement<'_> {
    type QueryId = ();
    // Known by its text, which differs by what is written.
    const HAS_STATIC_QUERY_ID: bool = false;
}

#[cfg(feature = "postgres")]
impl QueryFragment<Pg> for OneStatement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for (number, row) in self.0.iter().enumerate() {
            out.push_sql(if number == 0 { "WITH " } else { ", " });
            row.on_postgres(number, out.reborrow())?;
        }
        out.push_sql(" SELECT 1");
        Ok(())
    }
}

#[cfg(feature = "postgres")]
impl RunQueryDsl<PgConnection> for OneStatement<'_> {}

impl std::fmt::Debug for Together {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Together({})", self.0.len())
    }
}
