//! Changes: what every node must look at again, numbered in the order of commit.

use std::ops::{Deref, DerefMut};

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::{changes, sequences};
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;

/// The counter that orders changes.
const COUNTER: &str = "changes";
/// Up to where changes were forgotten.
const PURGED: &str = "changes_purged";

/// What a change touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A client, its credentials included.
    Client(ClientId),
    /// A partner, its grants included: all its clients with it.
    Partner(PartnerId),
    /// A registered audience.
    ResourceServer {
        /// The realm that it is registered in.
        realm: Realm,
        /// Its identifier.
        identifier: String,
    },
    /// The signing keys, as a whole.
    Keys,
}

impl Subject {
    fn entity(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Partner(_) => "partner",
            Self::ResourceServer { .. } => "resource_server",
            Self::Keys => "keys",
        }
    }

    fn id(&self) -> String {
        match self {
            Self::Client(id) => id.to_string(),
            Self::Partner(id) => id.to_string(),
            Self::ResourceServer { realm, identifier } => format!("{realm} {identifier}"),
            Self::Keys => "all".to_owned(),
        }
    }

    /// Reads back what was stored. `None`: written by a newer version.
    fn parse(entity: &str, id: &str) -> Option<Self> {
        match entity {
            "client" => id.parse().ok().map(Self::Client),
            "partner" => id.parse().ok().map(Self::Partner),
            "resource_server" => {
                let (realm, identifier) = id.split_once(' ')?;
                let realm = realm.parse().ok()?;
                Some(Self::ResourceServer {
                    realm,
                    identifier: identifier.to_owned(),
                })
            }
            "keys" => Some(Self::Keys),
            _ => None,
        }
    }
}

/// A transaction that changes what nodes hold in memory. It is the connection, and it
/// remembers what was touched.
pub struct Change<'a> {
    db: &'a mut Db,
    touched: Vec<Subject>,
}

impl<'a> Change<'a> {
    /// Takes the next number, and with it the right to commit next.
    pub(super) fn begin(db: &'a mut Db) -> Result<(Self, i64), StoreError> {
        let seq = diesel::update(sequences::table.find(COUNTER))
            .set(sequences::value.eq(sequences::value + 1))
            .returning(sequences::value)
            .get_result(db)?;
        Ok((
            Self {
                db,
                touched: Vec::new(),
            },
            seq,
        ))
    }

    /// Notes that nodes must look at something again.
    pub fn touch(&mut self, subject: Subject) {
        if !self.touched.contains(&subject) {
            self.touched.push(subject);
        }
    }

    /// Writes what was touched under the change's number.
    pub(super) fn record(self, seq: i64, now: Instant) -> Result<Vec<Subject>, StoreError> {
        for subject in &self.touched {
            let row = (
                changes::seq.eq(seq),
                changes::entity.eq(subject.entity()),
                changes::id.eq(subject.id()),
                changes::at.eq(now),
            );
            diesel::insert_into(changes::table)
                .values(row)
                .execute(self.db)?;
        }
        notify(self.db)?;
        Ok(self.touched)
    }
}

impl Deref for Change<'_> {
    type Target = Db;
    fn deref(&self) -> &Db {
        self.db
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Db {
        self.db
    }
}

/// The channel on which PostgreSQL tells nodes that there is something to read.
#[cfg(feature = "postgres")]
pub(super) const CHANNEL: &str = "onyx_changes";

/// Wakes the nodes when the transaction commits; SQLite's poll instead.
fn notify(db: &mut Db) -> Result<(), StoreError> {
    match db {
        Db::Sqlite(_) => {}
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            diesel::sql_query(format!("NOTIFY {CHANNEL}")).execute(conn)?;
        }
    }
    Ok(())
}

/// The number of the last change.
pub fn head(db: &mut Db) -> Result<i64, StoreError> {
    counter(db, COUNTER)
}

/// What was touched after a number, up to where.
#[derive(Debug)]
pub struct News {
    /// The last number that is covered.
    pub upto: i64,
    /// What was touched; `None` for what a newer version wrote.
    pub touched: Vec<Option<Subject>>,
}

/// The most rows that are read at a time.
const PAGE: i64 = 1000;

/// The news after a number. `None`: none.
///
/// # Errors
/// `Rewound` where what came after the number is no longer on record, or the database
/// has not come that far: whoever asks must look at everything again.
pub fn after(db: &mut Db, seq: i64) -> Result<Option<News>, StoreError> {
    let rows: Vec<(i64, String, String)> = changes::table
        .filter(changes::seq.gt(seq))
        .order(changes::seq.asc())
        .limit(PAGE)
        .select((changes::seq, changes::entity, changes::id))
        .load(db)?;
    let Some((last, _, _)) = rows.last() else {
        return Ok(None);
    };
    // Asked after the rows were read: what was purged before then would be missing among them.
    if counter(db, PURGED)? > seq {
        return Err(StoreError::Rewound);
    }
    // A full page may end within a change: that one is read again with the next page.
    let is_full = i64::try_from(rows.len()).is_ok_and(|read| read >= PAGE);
    let upto = if is_full { last - 1 } else { *last };
    let touched = rows
        .iter()
        .map(|(_, entity, id)| Subject::parse(entity, id))
        .collect();
    Ok(Some(News { upto, touched }))
}

/// Forgets changes from before a moment, and remembers up to where; answers how many.
pub fn purge(db: &mut Db, before: Instant) -> Result<usize, StoreError> {
    let last: Option<i64> = changes::table
        .filter(changes::at.lt(before))
        .select(diesel::dsl::max(changes::seq))
        .first(db)?;
    let Some(last) = last else { return Ok(0) };
    diesel::update(
        sequences::table
            .find(PURGED)
            .filter(sequences::value.lt(last)),
    )
    .set(sequences::value.eq(last))
    .execute(db)?;
    Ok(diesel::delete(changes::table.filter(changes::seq.le(last))).execute(db)?)
}

fn counter(db: &mut Db, name: &str) -> Result<i64, StoreError> {
    Ok(sequences::table
        .find(name)
        .select(sequences::value)
        .first(db)?)
}
