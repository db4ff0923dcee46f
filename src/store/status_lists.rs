//! Token Status Lists, and the leases of their indices: no index is given out twice.

use std::time::Duration;

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::{sequences, status_index_leases as leases, status_lists as lists};
use crate::domain::id::StatusListId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::status_list::{BLOCK, SIZE};

/// The counter that numbers lists.
const COUNTER: &str = "status_lists";

/// How long whoever takes a lease may give its indices out.
pub const LEASE: Duration = Duration::from_secs(3600);
/// How long after the end of its last lease a list is retired: the longest token's life, and clocks
/// that disagree by an hour.
const OUTLIVES: Duration = Duration::from_secs(900 + 3600);
/// How long a retired list is known to be one.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Indices that whoever holds this, and nobody else, gives out, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The list's number.
    pub list: i64,
    /// The list's name.
    pub id: StatusListId,
    /// The first of the indices.
    pub first: i64,
    /// How many they are.
    pub length: i64,
    /// Until when they may be given out.
    pub ends_at: Instant,
}

/// Leases the next indices of a realm's list; of a new one where the others have none left.
pub fn lease(db: &mut Db, realm: Realm, now: Instant) -> Result<Lease, StoreError> {
    loop {
        let open: Option<i64> = lists::table
            .filter(lists::realm.eq(realm))
            .filter(lists::closed_at.is_null())
            .filter(lists::leased.le(lists::size - BLOCK))
            .select(diesel::dsl::min(lists::number))
            .first(db)?;
        let Some(number) = open else {
            open_list(db, realm, now)?;
            continue;
        };
        // Conditional: another process may have taken the last of them meanwhile.
        let taken: Option<(StatusListId, i64)> = diesel::update(
            lists::table
                .find(number)
                .filter(lists::leased.le(lists::size - BLOCK)),
        )
        .set(lists::leased.eq(lists::leased + BLOCK))
        .returning((lists::id, lists::leased))
        .get_result(db)
        .optional()?;
        let Some((id, leased)) = taken else { continue };
        let lease = Lease {
            list: number,
            id,
            first: leased - BLOCK,
            length: BLOCK,
            ends_at: now.plus(LEASE),
        };
        record(db, &lease, now)?;
        return Ok(lease);
    }
}

fn open_list(db: &mut Db, realm: Realm, now: Instant) -> Result<(), StoreError> {
    let number: i64 = diesel::update(sequences::table.find(COUNTER))
        .set(sequences::value.eq(sequences::value + 1))
        .returning(sequences::value)
        .get_result(db)?;
    let row = (
        lists::number.eq(number),
        lists::id.eq(StatusListId::generate(now)),
        lists::realm.eq(realm),
        lists::size.eq(SIZE),
        lists::leased.eq(0),
        lists::created_at.eq(now),
    );
    diesel::insert_into(lists::table).values(row).execute(db)?;
    Ok(())
}

/// Writes a lease down, and closes its list where it was the last.
fn record(db: &mut Db, lease: &Lease, now: Instant) -> Result<(), StoreError> {
    let row = (
        leases::list.eq(lease.list),
        leases::first_index.eq(lease.first),
        leases::length.eq(lease.length),
        leases::taken_at.eq(now),
        leases::ends_at.eq(lease.ends_at),
    );
    diesel::insert_into(leases::table).values(row).execute(db)?;
    let full = lists::table
        .find(lease.list)
        .filter(lists::closed_at.is_null())
        .filter(lists::leased.gt(lists::size - BLOCK));
    diesel::update(full)
        .set(lists::closed_at.eq(now))
        .execute(db)?;
    Ok(())
}

/// Makes a lease last for longer. `None`: it has ended, and its list may be retired.
pub fn renew(db: &mut Db, lease: &Lease, now: Instant) -> Result<Option<Instant>, StoreError> {
    let ends_at = now.plus(LEASE);
    let living = leases::table
        .find((lease.list, lease.first))
        .filter(leases::ends_at.gt(now));
    let renewed = diesel::update(living)
        .set(leases::ends_at.eq(ends_at))
        .execute(db)?;
    Ok((renewed == 1).then_some(ends_at))
}

/// A list on record.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct StatusList {
    /// What tokens' records name it by.
    pub number: i64,
    /// What the outside names it by.
    pub id: StatusListId,
    /// Whose tokens are on it.
    pub realm: Realm,
    /// How many entries it has.
    pub size: i64,
    /// When the last of its tokens was dead, if they all are.
    pub retired_at: Option<Instant>,
}

/// Every list of a realm that is on record, the oldest first.
pub fn of_realm(db: &mut Db, realm: Realm) -> Result<Vec<StatusList>, StoreError> {
    Ok(lists::table
        .filter(lists::realm.eq(realm))
        .order(lists::number.asc())
        .select((
            lists::number,
            lists::id,
            lists::realm,
            lists::size,
            lists::retired_at,
        ))
        .load(db)?)
}

/// Retires closed lists none of whose tokens can be alive, and forgets those that were retired
/// long ago; answers how many were retired.
pub fn retire(db: &mut Db, now: Instant) -> Result<usize, StoreError> {
    diesel::delete(leases::table.filter(leases::ends_at.lt(now.minus(OUTLIVES)))).execute(db)?;
    let leased = leases::table.select(leases::list).distinct();
    let over = lists::table
        .filter(lists::closed_at.is_not_null())
        .filter(lists::retired_at.is_null())
        .filter(lists::number.ne_all(leased));
    let retired = diesel::update(over)
        .set(lists::retired_at.eq(now))
        .execute(db)?;
    diesel::delete(lists::table.filter(lists::retired_at.lt(now.minus(REMEMBERED)))).execute(db)?;
    Ok(retired)
}

#[cfg(test)]
mod tests {
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

    #[actix_web::test]
    async fn a_list_is_leased_out_to_its_end_and_then_another_begins() {
        let (_folder, store) = store();
        let blocks = usize::try_from(SIZE / BLOCK).unwrap();
        let mut taken = Vec::new();
        for _ in 0..=blocks {
            let lease = store.write(|db| lease(db, Realm::Live, at(0)));
            taken.push(lease.await.unwrap());
        }
        let other = store.write(|db| lease(db, Realm::Sandbox, at(0)));
        let other = other.await.unwrap();
        let (first, second) = (&taken[..blocks], &taken[blocks]);
        for (nth, lease) in first.iter().enumerate() {
            let begins = i64::try_from(nth).unwrap() * BLOCK;
            assert_eq!((lease.list, lease.first, lease.length), (1, begins, BLOCK));
            assert_eq!(lease.id, first[0].id);
        }
        assert_eq!((second.list, second.first), (2, 0));
        assert_eq!((other.list, other.first), (3, 0));
        assert!(second.id != first[0].id && other.id != first[0].id);
    }

    #[actix_web::test]
    async fn a_list_is_retired_when_its_last_lease_has_long_ended_and_forgotten_a_week_later() {
        let (_folder, store) = store();
        let mut last = None;
        for _ in 0..SIZE / BLOCK {
            last = Some(
                store
                    .write(|db| lease(db, Realm::Live, at(0)))
                    .await
                    .unwrap(),
            );
        }
        let held = last.unwrap();
        // Held on to for another half an hour.
        let renewed = store.write(move |db| renew(db, &held, at(1800)));
        assert_eq!(renewed.await.unwrap(), Some(at(1800 + 3600)));
        let retired = |now| store.write(move |db| retire(db, now));
        let ends = 1800 + 3600 + 900 + 3600;
        assert_eq!(retired(at(ends)).await.unwrap(), 0);
        assert_eq!(retired(at(ends + 1)).await.unwrap(), 1);
        assert_eq!(retired(at(ends + 2)).await.unwrap(), 0);
        let known = || store.read(|db| of_realm(db, Realm::Live));
        assert_eq!(known().await.unwrap()[0].retired_at, Some(at(ends + 1)));
        retired(at(ends + 2 + 7 * 24 * 3600)).await.unwrap();
        assert_eq!(known().await.unwrap(), []);
    }

    #[actix_web::test]
    async fn a_lease_that_has_ended_is_not_renewed() {
        let (_folder, store) = store();
        let held = store
            .write(|db| lease(db, Realm::Live, at(0)))
            .await
            .unwrap();
        let renewed = store.write(move |db| renew(db, &held, at(3600)));
        assert_eq!(renewed.await.unwrap(), None);
    }

    #[actix_web::test]
    async fn an_open_list_is_not_retired_however_old_it_is() {
        let (_folder, store) = store();
        store
            .write(|db| lease(db, Realm::Live, at(0)))
            .await
            .unwrap();
        let retired = store.write(|db| retire(db, at(30 * 24 * 3600)));
        assert_eq!(retired.await.unwrap(), 0);
    }
}
