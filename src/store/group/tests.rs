//! What goes together, and what does not.

use std::sync::mpsc;

use diesel::connection::SimpleConnection;

use super::*;
use crate::store::Store;

type Work = fn(&mut Db) -> Result<(), StoreError>;
type Held = tokio::task::JoinHandle<Result<(), StoreError>>;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/onyx.db", folder.path().display())).unwrap();
    let tables = "CREATE TABLE one (id INTEGER PRIMARY KEY); \
         CREATE TABLE two (id INTEGER NOT NULL REFERENCES one (id) DEFERRABLE INITIALLY DEFERRED)";
    store
        .writers
        .connection()
        .unwrap()
        .batch_execute(tables)
        .unwrap();
    (folder, store)
}

fn run(db: &mut Db, sql: &str) -> Result<(), StoreError> {
    Ok(db.batch_execute(sql)?)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    id: i32,
}

async fn kept(store: &Store) -> Vec<i32> {
    let ids = store.read(|db| {
        let found = diesel::sql_query("SELECT id FROM one ORDER BY id").load::<Id>(db)?;
        Ok::<_, StoreError>(found.into_iter().map(|row| row.id).collect())
    });
    ids.await.unwrap()
}

/// Holds the turn until told, so that what is asked for meanwhile goes together.
async fn hold(store: &Store) -> (mpsc::Sender<()>, Held) {
    let (go, wait) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let holder = store.clone();
    let held = actix_web::rt::spawn(async move {
        holder
            .write(move |_| {
                let _ = begun.send(());
                let _ = wait.recv();
                std::thread::sleep(LONG);
                Ok::<_, StoreError>(())
            })
            .await
    });
    has_begun.await.unwrap();
    (go, held)
}

/// Asks for all at once, while the turn is held; answers what came of each.
async fn together(store: &Store, works: Vec<Work>) -> Vec<Result<(), StoreError>> {
    let (go, held) = hold(store).await;
    let asked: Vec<_> = works
        .into_iter()
        .map(|work| {
            let store = store.clone();
            actix_web::rt::spawn(async move { store.write(work).await })
        })
        .collect();
    let group = store.group.as_ref().unwrap();
    while group.queue().len() < asked.len() {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    let mut told = Vec::new();
    for one in asked {
        told.push(one.await.unwrap());
    }
    held.await.unwrap().unwrap();
    told
}

#[actix_web::test]
async fn what_fails_is_undone_alone() {
    let (_folder, store) = store();
    let told = together(
        &store,
        vec![
            |db| run(db, "INSERT INTO one VALUES (1)"),
            |db| {
                run(db, "INSERT INTO one VALUES (2)")?;
                run(db, "INSERT INTO one VALUES (1)")
            },
            |db| {
                run(db, "INSERT INTO one VALUES (3)")?;
                Err(StoreError::Rewound)
            },
            |db| run(db, "INSERT INTO one VALUES (4)"),
        ],
    )
    .await;
    assert!(matches!(
        told[..],
        [
            Ok(()),
            Err(StoreError::Duplicate(_)),
            Err(StoreError::Rewound),
            Ok(())
        ]
    ));
    assert_eq!(kept(&store).await, [1, 4]);
}

#[actix_web::test]
async fn where_the_whole_cannot_be_kept_nobody_is_told_that_it_was() {
    let (_folder, store) = store();
    let told = together(
        &store,
        vec![
            |db| run(db, "INSERT INTO one VALUES (1)"),
            // Found at the commit only.
            |db| run(db, "INSERT INTO two VALUES (7)"),
            |_| Err(StoreError::Rewound),
        ],
    )
    .await;
    assert!(matches!(
        told[..],
        [
            Err(StoreError::Dangling(_)),
            Err(StoreError::Dangling(_)),
            Err(StoreError::Rewound)
        ]
    ));
    assert!(kept(&store).await.is_empty());
    store
        .write(|db| run(db, "INSERT INTO one VALUES (2)"))
        .await
        .unwrap();
    assert_eq!(kept(&store).await, [2]);
}

#[actix_web::test]
async fn work_that_panics_leaves_nobody_waiting() {
    let (_folder, store) = store();
    let told = together(
        &store,
        vec![
            |db| run(db, "INSERT INTO one VALUES (1)"),
            |_| panic!("as it must not"),
            |db| run(db, "INSERT INTO one VALUES (3)"),
        ],
    )
    .await;
    // Who came after it may be in the next transaction.
    assert!(matches!(
        told[..],
        [
            Err(StoreError::Interrupted),
            Err(StoreError::Interrupted),
            _
        ]
    ));
    store
        .write(|db| run(db, "INSERT INTO one VALUES (2)"))
        .await
        .unwrap();
    assert!(!kept(&store).await.contains(&1));
}

#[actix_web::test]
async fn what_nobody_waits_for_any_more_is_not_begun() {
    let (_folder, store) = store();
    let (go, held) = hold(&store).await;
    let gone = {
        let store = store.clone();
        actix_web::rt::spawn(async move {
            store
                .write(|db| run(db, "INSERT INTO one VALUES (1)"))
                .await
        })
    };
    while store.group.as_ref().unwrap().queue().is_empty() {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.is_err());
    go.send(()).unwrap();
    held.await.unwrap().unwrap();
    store
        .write(|db| run(db, "INSERT INTO one VALUES (2)"))
        .await
        .unwrap();
    assert_eq!(kept(&store).await, [2]);
}

#[actix_web::test]
async fn where_another_process_holds_the_database_everyone_is_told_so() {
    let (folder, store) = store();
    let url = format!("sqlite://{}/onyx.db", folder.path().display());
    let other = Store::open(&url).unwrap();
    let mut held = other.writers.connection().unwrap();
    held.batch_execute("BEGIN IMMEDIATE").unwrap();
    store
        .writers
        .connection()
        .unwrap()
        .batch_execute("PRAGMA busy_timeout = 0")
        .unwrap();
    let work: Work = |db| run(db, "INSERT INTO one VALUES (1)");
    let told = store.write(work).await;
    assert!(matches!(told, Err(StoreError::Unreachable(_))), "{told:?}");
    held.batch_execute("ROLLBACK").unwrap();
    store.write(work).await.unwrap();
    assert_eq!(kept(&store).await, [1]);
}
