//! Changes: what every node must look at again, numbered in the order of commit.

use std::ops::{Deref, DerefMut};

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{changes, revocations, sequences};
use crate::domain::id::{ClientId, PartnerId, PlanId};
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
    /// A plan: all partners that are on it.
    Plan(PlanId),
}

impl Subject {
    fn entity(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Partner(_) => "partner",
            Self::ResourceServer { .. } => "resource_server",
            Self::Keys => "keys",
            Self::Plan(_) => "plan",
        }
    }

    fn id(&self) -> String {
        match self {
            Self::Client(id) => id.to_string(),
            Self::Partner(id) => id.to_string(),
            Self::ResourceServer { realm, identifier } => format!("{realm} {identifier}"),
            Self::Keys => "all".to_owned(),
            Self::Plan(id) => id.to_string(),
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
            "plan" => id.parse().ok().map(Self::Plan),
            _ => None,
        }
    }
}

/// A transaction that changes what nodes hold in memory. It is the connection, and it
/// remembers what was touched.
pub struct Change<'a> {
    db: &'a mut Db,
    touched: Vec<Subject>,
    revoked: Option<i64>,
}

/// What a change did that nodes must hear of.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// What must be looked at again.
    pub subjects: Vec<Subject>,
    /// The number of its last revocation. `None`: it revoked nothing.
    pub revoked: Option<i64>,
    /// The last revocation before its end, whoever wrote it: what it let live again is told by tokens that know of it.
    pub upto: i64,
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
                revoked: None,
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

    /// Notes the number of a revocation that the change wrote.
    pub(super) fn has_revoked(&mut self, seq: i64) {
        self.revoked = Some(seq);
    }

    /// Writes what was touched under the change's number.
    pub(super) fn record(self, seq: i64, now: Instant) -> Result<Touched, StoreError> {
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
        // Nobody revokes meanwhile: each does so within a change, and changes follow one another.
        // As on record, and not as numbered: a number that was passed over is heard of by nobody.
        let last: Option<i64> = revocations::table
            .select(diesel::dsl::max(revocations::seq))
            .first(self.db)?;
        Ok(Touched {
            subjects: self.touched,
            revoked: self.revoked,
            upto: last.unwrap_or(0),
        })
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

/// The number of the last change; it moves with every change, whatever that touched.
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
    /// Whether there may be more behind it.
    pub more: bool,
}

/// The most rows that are read at a time.
const PAGE: i64 = 1000;

/// The news after a number. `None`: none.
///
/// # Errors
/// `Rewound` where what came after the number is no longer on record, or the database
/// has not come that far: whoever asks must look at everything again.
pub fn after(db: &mut Db, seq: i64) -> Result<Option<News>, StoreError> {
    let newer = changes::table
        .filter(changes::seq.gt(seq))
        .order(changes::seq.asc())
        .limit(PAGE)
        .select((changes::seq, changes::entity, changes::id));
    let rows: Vec<(i64, String, String)> = on_engine!(db, conn => newer.load(conn))?;
    // Asked after the rows were read, and also where there are none: what was purged before
    // then is missing among them.
    if counter(db, PURGED)? > seq {
        return Err(StoreError::Rewound);
    }
    let (Some((first, _, _)), Some((last, _, _))) = (rows.first(), rows.last()) else {
        return Ok(None);
    };
    // A full page may end within a change: that one is read again with the next page.
    let is_full = i64::try_from(rows.len()).is_ok_and(|read| read >= PAGE);
    if is_full && first == last {
        // One change that fills a page by itself touched too much to go through piece by piece.
        return Err(StoreError::Rewound);
    }
    let upto = if is_full { last - 1 } else { *last };
    let touched = rows
        .iter()
        .map(|(_, entity, id)| Subject::parse(entity, id))
        .collect();
    Ok(Some(News {
        upto,
        touched,
        more: is_full,
    }))
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
    let value = sequences::table.find(name).select(sequences::value);
    Ok(on_engine!(db, conn => value.get_result(conn))?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::Store;

    fn at(seconds: i64) -> Instant {
        Instant::from_epoch_seconds(1_800_000_000 + seconds)
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite://{}/onyx.db", folder.path().display())).unwrap();
        store.migrate().unwrap();
        (folder, store)
    }

    fn touch(store: &Store, now: Instant, subjects: usize) -> ClientId {
        let mut ids: Vec<_> = (0..subjects)
            .map(|_| ClientId::generate(Realm::Live, now))
            .collect();
        let touched = store.alone(now, |change| {
            ids.iter()
                .for_each(|id| change.touch(Subject::Client(id.clone())));
            Ok::<_, StoreError>(())
        });
        touched.unwrap();
        ids.pop().unwrap()
    }

    #[actix_web::test]
    async fn a_reader_is_told_what_came_after_it_once() {
        let (_folder, store) = store();
        let (one, two) = (touch(&store, at(0), 1), touch(&store, at(1), 1));
        let news = store.read(|db| after(db, 0)).await.unwrap().unwrap();
        assert_eq!(
            news.touched,
            [Some(Subject::Client(one)), Some(Subject::Client(two))]
        );
        assert!(
            store
                .read(move |db| after(db, news.upto))
                .await
                .unwrap()
                .is_none()
        );
    }

    #[actix_web::test]
    async fn a_reader_that_was_away_while_changes_were_forgotten_is_told_so() {
        let (_folder, store) = store();
        touch(&store, at(0), 1);
        let seen = store.read(head).await.unwrap();
        touch(&store, at(1), 1);
        let forgotten = store
            .write(|db| purge(db, at(0).plus(Duration::from_secs(60))))
            .await;
        assert_eq!(forgotten.unwrap(), 2);
        // Nothing is left to read, and yet something was missed.
        let missed = store.read(move |db| after(db, seen)).await;
        assert!(matches!(missed, Err(StoreError::Rewound)), "{missed:?}");
        // Who had seen all of it missed nothing.
        assert!(
            store
                .read(move |db| after(db, seen + 1))
                .await
                .unwrap()
                .is_none()
        );
    }

    #[actix_web::test]
    async fn a_change_that_fills_a_page_makes_the_reader_start_anew() {
        let (_folder, store) = store();
        touch(&store, at(0), 1001);
        let read = store.read(|db| after(db, 0)).await;
        assert!(matches!(read, Err(StoreError::Rewound)), "{read:?}");
    }
}
