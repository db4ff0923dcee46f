//! Hearing of changes: a connection of its own that waits for news.

use std::time::{Duration, Instant};

use super::Store;
use super::changes::{self, News};
use super::db::{Db, Manager};
use super::error::{OpenError, StoreError};

/// How often a waiting tail looks: at SQLite's tables, or at PostgreSQL's socket.
const LOOK: Duration = Duration::from_millis(10);
/// How often it asks PostgreSQL although nothing was told: a notification can be lost with its connection.
const ASK: Duration = Duration::from_millis(250);

/// A reader of changes. Blocks; lives on a thread of its own.
pub struct Tail {
    db: Db,
    seq: i64,
    asked: Instant,
    checked: Instant,
}

impl Tail {
    /// Connects, and starts at the newest change.
    pub fn connect(store: &Store) -> Result<Self, OpenError> {
        let open = Manager(store.target().clone()).open();
        let now = Instant::now();
        let mut db = open.map_err(|error| OpenError::connect(&error))?;
        listen(&mut db)?;
        // Listening first: what commits between the two is told and not missed.
        let seq = changes::head(&mut db)?;
        Ok(Self {
            db,
            seq,
            asked: now,
            checked: now,
        })
    }

    /// Waits a little for news. `None`: there was none, and the database says so.
    pub fn news(&mut self) -> Result<Option<News>, StoreError> {
        std::thread::sleep(LOOK);
        if !self.should_ask()? {
            return Ok(None);
        }
        if self.checked.elapsed() >= ASK {
            self.checked = Instant::now();
            if changes::head(&mut self.db)? < self.seq {
                return Err(StoreError::Rewound);
            }
        }
        let now = Instant::now();
        let news = changes::after(&mut self.db, self.seq)?;
        self.asked = now;
        if let Some(news) = &news {
            self.seq = news.upto;
        }
        Ok(news)
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
            diesel::sql_query(format!("LISTEN {}", changes::CHANNEL)).execute(conn)?;
        }
    }
    Ok(())
}
