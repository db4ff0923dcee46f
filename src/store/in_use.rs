//! Whether servers run on a PostgreSQL database: each holds a lock together with the others, and who
//! must be alone takes it whole. (SQLite knows by its file.)

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::error::StoreError;

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// Holds the lock together with others, until the connection ends.
pub(super) fn share(conn: &mut PgConnection) -> Result<(), StoreError> {
    if taken(conn, "pg_try_advisory_lock_shared")? {
        Ok(())
    } else {
        let detail = "it is being restored from a backup";
        Err(StoreError::Unreachable(detail.to_owned()))
    }
}

/// Takes the lock alone, until the connection ends. `false`: somebody holds it.
pub(super) fn try_alone(conn: &mut PgConnection) -> Result<bool, StoreError> {
    taken(conn, "pg_try_advisory_lock")
}

/// "onyx" in ASCII, and the schema: several installations may share a database.
fn taken(conn: &mut PgConnection, how: &str) -> Result<bool, StoreError> {
    let query = format!("SELECT {how}(1869511032, hashtext(current_schema()::text)) AS taken");
    let row: Taken = diesel::sql_query(query).get_result(conn)?;
    Ok(row.taken)
}
