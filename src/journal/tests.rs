use std::sync::Arc;

use diesel::prelude::*;

use super::*;
use crate::store::schema::instance;

/// Rows of a table with a key, so that a bad one can be made.
struct Fact(String);

impl Row for Fact {
    const JOURNAL: &'static str = "facts";

    fn write_all(db: &mut Db, rows: &[&Self]) -> Result<(), StoreError> {
        for row in rows {
            if row.0 == "slow" {
                std::thread::sleep(Duration::from_millis(300));
            }
            diesel::insert_into(instance::table)
                .values((instance::name.eq(&row.0), instance::value.eq("")))
                .execute(db)?;
        }
        Ok(())
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/onyx.db", folder.path().display())).unwrap();
    store.migrate().unwrap();
    (folder, store)
}

async fn count(store: &Store) -> i64 {
    let rows = store.read(|db| Ok::<_, StoreError>(instance::table.count().get_result(db)?));
    rows.await.unwrap()
}

#[actix_web::test]
async fn one_bad_row_costs_one_caller() {
    let (_folder, store) = store();
    let journal = Arc::new(Journal::open(store.clone()).unwrap());
    // The first row holds the writer, so that the others gather into one batch.
    let first = {
        let journal = Arc::clone(&journal);
        actix_web::rt::spawn(async move { journal.append(Fact("slow".to_owned())).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let names = ["a", "b", "a", "c"];
    let waiting: Vec<_> = names
        .into_iter()
        .map(|name| {
            let journal = Arc::clone(&journal);
            actix_web::rt::spawn(async move { journal.append(Fact(name.to_owned())).await })
        })
        .collect();
    first.await.unwrap().unwrap();
    let mut refused = 0;
    for appended in waiting {
        match appended.await.unwrap() {
            Ok(()) => {}
            Err(AppendError::Store(StoreError::Duplicate(_))) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((refused, count(&store).await), (1, 4));
    journal.close();
}

#[actix_web::test]
async fn a_full_queue_pushes_back_and_closing_writes_what_waits() {
    let (_folder, store) = store();
    let habit = Habit {
        batch: BATCH,
        gathering: None,
    };
    let journal = Arc::new(Journal::with_queue(store.clone(), 2, habit).unwrap());
    let append = |name: &str| {
        let (journal, name) = (Arc::clone(&journal), name.to_owned());
        actix_web::rt::spawn(async move { journal.append(Fact(name)).await })
    };
    let slow = append("slow");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (one, two) = (append("one"), append("two"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(
        append("three").await.unwrap(),
        Err(AppendError::Full)
    ));
    let closing = Arc::clone(&journal);
    tokio::task::spawn_blocking(move || closing.close())
        .await
        .unwrap();
    for written in [slow, one, two] {
        written.await.unwrap().unwrap();
    }
    assert_eq!(count(&store).await, 3);
    assert!(matches!(
        append("late").await.unwrap(),
        Err(AppendError::Unwritten)
    ));
}

#[actix_web::test]
async fn rows_that_nobody_waits_for_are_written_and_what_is_lost_is_counted() {
    let (_folder, store) = store();
    let journal = Journal::gathering(store.clone()).unwrap();
    for name in ["a", "b", "a", "c"] {
        journal.enqueue(Fact(name.to_owned()));
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while count(&store).await < 3 {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Closing cuts the gathering short, and loses nothing.
    journal.enqueue(Fact("d".to_owned()));
    let journal = Arc::new(journal);
    let closing = Arc::clone(&journal);
    tokio::task::spawn_blocking(move || closing.close())
        .await
        .unwrap();
    assert_eq!((count(&store).await, journal.lost()), (4, 1));
    journal.enqueue(Fact("e".to_owned()));
    assert_eq!((count(&store).await, journal.lost()), (4, 2));
}
