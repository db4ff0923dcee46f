//! Events get their places: one statement for all of a batch, on either engine.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::store::db::Db;
use crate::store::error::StoreError;

/// An event's place.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Placed {
    pub id: String,
    pub leaf_index: i64,
    pub leaf_mac: String,
}

const ON_SQLITE: &str = "UPDATE audit_events SET leaf_index = p.leaf_index, leaf_mac = p.leaf_mac \
    FROM (SELECT value ->> 'id' AS id, value ->> 'leaf_index' AS leaf_index, value ->> 'leaf_mac' AS leaf_mac \
          FROM json_each(?)) AS p \
    WHERE audit_events.id = p.id AND audit_events.leaf_index IS NULL AND audit_events.set_aside IS NULL";

#[cfg(feature = "postgres")]
const ON_POSTGRES: &str = "UPDATE audit_events SET leaf_index = p.leaf_index, leaf_mac = p.leaf_mac \
    FROM json_to_recordset($1::json) AS p (id text, leaf_index bigint, leaf_mac text) \
    WHERE audit_events.id = p.id AND audit_events.leaf_index IS NULL AND audit_events.set_aside IS NULL";

/// Gives events their places. Answers how many have got theirs: all of them, unless somebody else is at work.
pub fn place(db: &mut Db, placed: &[Placed]) -> Result<usize, StoreError> {
    let batch = serde_json::to_string(placed).unwrap_or_default();
    Ok(match db {
        Db::Sqlite(conn) => diesel::sql_query(ON_SQLITE)
            .bind::<Text, _>(batch)
            .execute(conn)?,
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => diesel::sql_query(ON_POSTGRES)
            .bind::<Text, _>(batch)
            .execute(conn)?,
    })
}
