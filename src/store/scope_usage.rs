//! How often a client was given a scope, and used it, by the day.

use std::collections::BTreeMap;

use diesel::dsl::{exists, max};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::db::Db;
use super::error::StoreError;
use super::schema::{clients, scope_usage};
use crate::domain::day::Day;
use crate::domain::id::ClientId;
use crate::domain::scope::Scope;
use crate::domain::tenant::Tenant;

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Tokens that carried the scope, whether it was named or came by default.
    pub asked: i64,
    /// Calls that passed a door which demands it.
    pub used: i64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.asked += more.asked;
        self.used += more.used;
    }
}

/// What a client did with a scope on a day.
#[derive(Clone, Debug)]
pub struct Counted {
    pub client_id: ClientId,
    pub day: Day,
    pub scope: Scope,
    pub count: Count,
}

/// Adds counts to what is on record. Several nodes add to one row at once, and nothing is lost.
///
/// What a client did that is not on record, after a restore, is forgotten.
pub fn add(db: &mut Db, counted: &[Counted]) -> Result<(), StoreError> {
    for one in counted {
        if raise(db, one)? {
            continue;
        }
        // In a savepoint: on PostgreSQL a refused row ends all that is not within one.
        match db.transaction(|db| insert(db, one)) {
            Ok(()) => {}
            // Another node was first, and has committed.
            Err(StoreError::Duplicate(_)) => {
                raise(db, one)?;
            }
            Err(StoreError::Dangling(_)) => {
                log::warn!("usage of {} is forgotten: no such client", one.client_id);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Adds to the row of the day. `false`: there is none yet.
fn raise(db: &mut Db, one: &Counted) -> Result<bool, StoreError> {
    let row = scope_usage::table.find((&one.client_id, one.day.to_string(), &one.scope));
    let changed = diesel::update(row)
        .set((
            scope_usage::asked.eq(scope_usage::asked + one.count.asked),
            scope_usage::used.eq(scope_usage::used + one.count.used),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

fn insert(db: &mut Db, one: &Counted) -> Result<(), StoreError> {
    let row = (
        scope_usage::client_id.eq(&one.client_id),
        scope_usage::day.eq(one.day.to_string()),
        scope_usage::scope.eq(&one.scope),
        scope_usage::asked.eq(one.count.asked),
        scope_usage::used.eq(one.count.used),
    );
    diesel::insert_into(scope_usage::table)
        .values(row)
        .execute(db)?;
    Ok(())
}

/// A client's counts from a day on, added up for each scope.
pub fn totals(
    db: &mut Db,
    client: &ClientId,
    from: Day,
) -> Result<BTreeMap<Scope, Count>, StoreError> {
    // Cast: PostgreSQL sums to NUMERIC.
    let asked = diesel::dsl::sql::<BigInt>("CAST(SUM(asked) AS BIGINT)");
    let used = diesel::dsl::sql::<BigInt>("CAST(SUM(used) AS BIGINT)");
    let rows: Vec<(Scope, i64, i64)> = scope_usage::table
        .filter(scope_usage::client_id.eq(client))
        .filter(scope_usage::day.ge(from.to_string()))
        .group_by(scope_usage::scope)
        .select((scope_usage::scope, asked, used))
        .load(db)?;
    let count = |(scope, asked, used)| (scope, Count { asked, used });
    Ok(rows.into_iter().map(count).collect())
}

/// The last days on which scopes were asked for and used, as far back as the record goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastDays {
    pub asked: Option<Day>,
    pub used: Option<Day>,
}

/// When clients last asked for their scopes and used them.
pub fn last_days(
    db: &mut Db,
    of: &[&ClientId],
) -> Result<BTreeMap<(ClientId, Scope), LastDays>, StoreError> {
    let key = (scope_usage::client_id, scope_usage::scope);
    let asked: Vec<(ClientId, Scope, Option<String>)> = scope_usage::table
        .filter(scope_usage::client_id.eq_any(of))
        .filter(scope_usage::asked.gt(0))
        .group_by(key)
        .select((
            scope_usage::client_id,
            scope_usage::scope,
            max(scope_usage::day),
        ))
        .load(db)?;
    let used: Vec<(ClientId, Scope, Option<String>)> = scope_usage::table
        .filter(scope_usage::client_id.eq_any(of))
        .filter(scope_usage::used.gt(0))
        .group_by(key)
        .select((
            scope_usage::client_id,
            scope_usage::scope,
            max(scope_usage::day),
        ))
        .load(db)?;
    let day = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let mut last: BTreeMap<_, LastDays> = BTreeMap::new();
    for (client, scope, on) in asked {
        last.entry((client, scope)).or_default().asked = day(on);
    }
    for (client, scope, on) in used {
        last.entry((client, scope)).or_default().used = day(on);
    }
    Ok(last)
}

/// The scopes that a tenant's own client has used from a day on, in order.
pub fn used_by_tenant(
    db: &mut Db,
    tenant: &Tenant,
    client: &ClientId,
    from: Day,
) -> Result<Vec<Scope>, StoreError> {
    let own = clients::table
        .filter(clients::id.eq(scope_usage::client_id))
        .filter(clients::partner_id.eq(tenant.partner_id()))
        .filter(clients::realm.eq(tenant.realm()));
    let rows = scope_usage::table
        .filter(scope_usage::client_id.eq(client))
        .filter(scope_usage::day.ge(from.to_string()))
        .filter(scope_usage::used.gt(0))
        .filter(exists(own))
        .select(scope_usage::scope)
        .distinct()
        .order(scope_usage::scope.asc())
        .load(db)?;
    Ok(rows)
}

/// Forgets the days before one, of some clients, which have so many rows at least if so many are
/// left; answers how many rows that were.
pub fn purge(db: &mut Db, before: Day, most: i64) -> Result<usize, StoreError> {
    let old = scope_usage::day.lt(before.to_string());
    let mut clients: Vec<ClientId> = scope_usage::table
        .filter(old.clone())
        .select(scope_usage::client_id)
        .limit(most)
        .load(db)?;
    clients.sort();
    clients.dedup();
    let theirs = scope_usage::table
        .filter(scope_usage::client_id.eq_any(&clients))
        .filter(old);
    Ok(diesel::delete(theirs).execute(db)?)
}
