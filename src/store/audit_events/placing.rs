//! Events get their places: one round trip for all of a batch.

use diesel::prelude::*;

use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::schema::audit_events;

/// An event's place.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Placed {
    pub id: String,
    pub leaf_index: i64,
    pub leaf_mac: String,
}

#[cfg(feature = "postgres")]
const ON_POSTGRES: &str = "UPDATE audit_events SET leaf_index = p.leaf_index, leaf_mac = p.leaf_mac \
    FROM json_to_recordset($1::json) AS p (id text, leaf_index bigint, leaf_mac text) \
    WHERE audit_events.id = p.id AND audit_events.leaf_index IS NULL AND audit_events.set_aside IS NULL";

/// Gives events their places. Answers how many have got theirs: all of them, unless somebody else is at work.
pub fn place(db: &mut Db, placed: &[Placed]) -> Result<usize, StoreError> {
    Ok(match db {
        // One statement for all, joined with JSON, makes SQLite walk through all that waits for each row.
        Db::Sqlite(conn) => {
            let mut done = 0;
            for one in placed {
                let row = audit_events::table
                    .filter(audit_events::id.eq(&one.id))
                    .filter(audit_events::leaf_index.is_null())
                    .filter(audit_events::set_aside.is_null());
                done += diesel::update(row)
                    .set((
                        audit_events::leaf_index.eq(one.leaf_index),
                        audit_events::leaf_mac.eq(&one.leaf_mac),
                    ))
                    .execute(conn)?;
            }
            done
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => diesel::sql_query(ON_POSTGRES)
            .bind::<diesel::sql_types::Text, _>(serde_json::to_string(placed).unwrap_or_default())
            .execute(conn)?,
    })
}
