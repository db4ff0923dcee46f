//! Hearing of changes: a connection of its own that waits for news.

use std::time::{Duration, Instant};

use super::Store;
use super::changes::{self, Subject};
use super::db::{Db, Manager, Purpose};
use super::error::{OpenError, StoreError};
use super::revocations::{self, Numbered};
use super::rewound;
use super::signing_keys::{self, StoredKey};
use crate::domain::instant::Instant as Moment;

/// How often a waiting tail looks: at SQLite's tables, or at PostgreSQL's socket.
const LOOK: Duration = Duration::from_millis(10);
/// How often it asks PostgreSQL although nothing was told: a notification can be lost with its connection.
#[cfg(feature = "postgres")]
const ASK: Duration = Duration::from_millis(250);

/// A reader of changes. Blocks; lives on a thread of its own.
pub struct Tail {
    db: Db,
    /// The last change that was looked at, whatever it touched.
    head: i64,
    /// The last change on record that was read.
    seq: i64,
    /// The last revocation that was read.
    revoked: i64,
    asked: Instant,
}

/// What a tail heard.
#[derive(Debug)]
pub struct Heard {
    /// What was touched; `None` for what a newer version wrote.
    pub touched: Vec<Option<Subject>>,
    /// The keys that are published, if any was touched.
    pub keys: Option<Vec<StoredKey>>,
    /// What was revoked, in order.
    pub revoked: Vec<Numbered>,
    /// The last revocation that is covered.
    pub upto: i64,
    /// Up to where revocations were forgotten.
    pub purged: i64,
}

impl Tail {
    /// Connects, and starts at the newest change, and before the oldest revocation.
    pub fn connect(store: &Store) -> Result<Self, OpenError> {
        let open = Manager::new(store.target(), Purpose::Reading).open();
        let asked = Instant::now();
        let mut db = open.map_err(|error| OpenError::connect(&error))?;
        listen(&mut db)?;
        // Listening first: what commits between the two is told and not missed.
        let seq = changes::head(&mut db)?;
        Ok(Self {
            db,
            head: seq,
            seq,
            revoked: 0,
            asked,
        })
    }

    /// Every revocation on record from where it stands, page by page; answers up to where any was forgotten.
    pub fn revocations(&mut self, mut hear: impl FnMut(Vec<Numbered>)) -> Result<i64, StoreError> {
        let purged = revocations::purged(&mut self.db)?;
        // Purged entries leave a gap at the start: nothing of it can be missing.
        self.revoked = self.revoked.max(purged);
        loop {
            let page = revocations::after(&mut self.db, self.revoked)?;
            let Some(last) = page.last() else { break };
            self.revoked = last.seq;
            hear(page);
        }
        Ok(purged)
    }

    /// The keys that are published at a moment.
    pub fn keys(&mut self, now: Moment) -> Result<Vec<StoredKey>, StoreError> {
        signing_keys::published(&mut self.db, now)
    }

    /// Waits a little for news. `None`: there was none, and the database says so.
    pub fn news(&mut self, time: impl Fn() -> Moment) -> Result<Option<Heard>, StoreError> {
        std::thread::sleep(LOOK);
        if !self.should_ask()? {
            return Ok(None);
        }
        let now = Instant::now();
        let head = changes::head(&mut self.db)?;
        if head < self.head {
            return Err(StoreError::Rewound);
        }
        if head == self.head {
            self.asked = now;
            return Ok(None);
        }
        // Revocations first: what was touched is then read up to them or further, so that whoever
        // has taken in both has missed nothing up to the last revocation.
        let mut revoked = Vec::new();
        let purged = self.revocations(|mut page| revoked.append(&mut page))?;
        let mut touched = Vec::new();
        while let Some(news) = changes::after(&mut self.db, self.seq)? {
            self.seq = news.upto;
            touched.extend(news.touched);
            if !news.more {
                break;
            }
        }
        // Last, for the same reason: they are read with everything that was revoked up to here.
        let is_of_keys = |subject: &Option<Subject>| matches!(subject, None | Some(Subject::Keys));
        let keys = if touched.iter().any(is_of_keys) {
            Some(self.keys(time())?)
        } else {
            None
        };
        self.head = head;
        self.asked = now;
        Ok(Some(Heard {
            touched,
            keys,
            revoked,
            upto: self.revoked,
            purged,
        }))
    }

    /// Whether it stands before another tail: the database has lost what it told that one.
    pub fn is_before(&self, other: &Self) -> bool {
        self.head < other.head
    }

    /// Mends a database that has lost its last changes: see [`rewound`]. It is to be read anew afterwards.
    pub fn mend(
        &mut self,
        before: &Self,
        missing: &[Numbered],
        now: Moment,
    ) -> Result<(), StoreError> {
        rewound::mend(&mut self.db, before.head.max(before.revoked), missing, now)?;
        log::error!(
            "the database has lost what it had told: it stands at change {} and stood at {}. A standby took over that \
             had not heard all, or a backup was put in its place. Clients, credentials, grants and orders of that time \
             may be as they were before. Revocations that it had lost are written down again: {}. See \
             \"The database went back\" in docs/operations.md",
            self.head,
            before.head,
            named(missing)
        );
        Ok(())
    }

    /// The last revocation that was read.
    pub fn revoked(&self) -> i64 {
        self.revoked
    }

    /// When the database was last asked: what is known is true as of then.
    pub fn asked(&self) -> Instant {
        self.asked
    }

    fn should_ask(&mut self) -> Result<bool, StoreError> {
        match &mut self.db {
            Db::Sqlite(_) => Ok(true),
            #[cfg(feature = "postgres")]
            Db::Postgres(conn) => {
                let mut told = false;
                for notification in conn.notifications_iter() {
                    notification?;
                    told = true;
                }
                Ok(told || self.asked.elapsed() >= ASK)
            }
        }
    }
}

fn listen(db: &mut Db) -> Result<(), StoreError> {
    match db {
        Db::Sqlite(_) => {}
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            use diesel::RunQueryDsl;
            super::in_use::share(conn)?;
            diesel::sql_query(format!("LISTEN {}", changes::CHANNEL)).execute(conn)?;
        }
    }
    Ok(())
}

/// Revocations in the log, the first of them.
fn named(revocations: &[Numbered]) -> String {
    const MOST: usize = 50;
    let named = revocations.iter().take(MOST);
    let mut named: Vec<String> = named
        .map(|one| format!("{} {} ({})", one.kind, one.id, one.realm))
        .collect();
    if revocations.len() > MOST {
        named.push(format!("and {} more", revocations.len() - MOST));
    }
    if named.is_empty() {
        named.push("none".to_owned());
    }
    named.join(", ")
}
