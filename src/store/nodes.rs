//! The processes that live: each says so every few seconds.

use std::time::Duration;

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::instance;
use super::schema::nodes;
use crate::domain::instant::Instant;

/// How long a node counts as living that says nothing more.
pub const SILENCE: Duration = Duration::from_secs(10);
/// How long the row of a node that ended without a word is kept, for who looks at what ran.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// A process that lives.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: String,
    pub version: &'static str,
    /// Whether it takes requests: those that do share the rates.
    pub serves: bool,
    pub started_at: Instant,
}

/// Says that a node lives; answers how many that take requests do, this one included if it does.
///
/// By the database's clock where it has one of its own, so that it does no harm where nodes' differ.
pub fn beat(db: &mut Db, node: &Node, now: Instant) -> Result<i64, StoreError> {
    let now = instance::time(db)?.unwrap_or(now);
    let row = (
        nodes::id.eq(&node.id),
        nodes::version.eq(node.version),
        nodes::serves.eq(node.serves),
        nodes::started_at.eq(node.started_at),
        nodes::heartbeat_at.eq(now),
    );
    let known = diesel::update(nodes::table.find(&node.id)).set(nodes::heartbeat_at.eq(now));
    if known.execute(db)? == 0 {
        diesel::insert_into(nodes::table).values(row).execute(db)?;
    }
    let forgotten = nodes::heartbeat_at.lt(now.minus(REMEMBERED));
    diesel::delete(nodes::table.filter(forgotten)).execute(db)?;
    Ok(nodes::table
        .filter(nodes::serves)
        .filter(nodes::heartbeat_at.gt(now.minus(SILENCE)))
        // One that was heard in the future was heard by a clock that was ahead.
        .filter(nodes::heartbeat_at.le(now.plus(SILENCE)))
        .count()
        .get_result(db)?)
}

/// A node ends: the others' shares grow by its own at once.
pub fn leave(db: &mut Db, id: &str) -> Result<(), StoreError> {
    diesel::delete(nodes::table.find(id)).execute(db)?;
    Ok(())
}
