//! How often a client was given a scope, and used it, by the day.

use std::collections::BTreeMap;

use diesel::dsl::{exists, max};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::db::Db;
use super::error::StoreError;
use super::fixed::fixed;
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

/// Adds counts to what is on record, each key once and in their order. Several nodes add to one row at once, and
/// nothing is lost.
///
/// What a client did that is not on record, after a restore, is forgotten.
pub fn add(db: &mut Db, counted: &[Counted]) -> Result<(), StoreError> {
    let added = match db {
        // One statement, prepared once and run again and again, is the quickest that SQLite does.
        Db::Sqlite(conn) => {
            let add = |one: &Counted| {
                let addition = Addition {
                    client_id: &one.client_id,
                    day: one.day.to_string(),
                    scope: &one.scope,
                    asked: one.count.asked,
                    used: one.count.used,
                    known: &one.client_id,
                };
                addition.execute(conn)
            };
            counted.iter().map(add).sum::<QueryResult<usize>>()?
        }
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => on_postgres(conn, counted)?,
    };
    if added < counted.len() {
        let forgotten = counted.len() - added;
        log::warn!("{forgotten} counts of usage are forgotten: no such clients");
    }
    Ok(())
}

fixed! {
    /// One count, of a client that is on record.
    Addition<'a> {
        "INSERT INTO scope_usage (client_id, day, scope, asked, used) SELECT " [client_id: Text = &'a ClientId]
        ", " [day: Text = String]
        ", " [scope: Text = &'a Scope]
        ", " [asked: BigInt = i64]
        ", " [used: BigInt = i64]
        " WHERE EXISTS (SELECT 1 FROM clients WHERE id = " [known: Text = &'a ClientId]
        ") ON CONFLICT (client_id, day, scope) DO UPDATE SET asked = scope_usage.asked + excluded.asked, \
         used = scope_usage.used + excluded.used"
    }
}

/// One statement for all: each would cost a round trip.
#[cfg(feature = "postgres")]
fn on_postgres(conn: &mut diesel::PgConnection, counted: &[Counted]) -> QueryResult<usize> {
    use diesel::sql_types::Array;
    let days: Vec<String> = counted.iter().map(|one| one.day.to_string()).collect();
    let asked: Vec<i64> = counted.iter().map(|one| one.count.asked).collect();
    let used: Vec<i64> = counted.iter().map(|one| one.count.used).collect();
    diesel::sql_query(
        "INSERT INTO scope_usage (client_id, day, scope, asked, used) \
         SELECT u.* FROM unnest($1, $2, $3, $4, $5) AS u (client_id, day, scope, asked, used) \
         WHERE EXISTS (SELECT 1 FROM clients WHERE id = u.client_id) ORDER BY 1, 2, 3 \
         ON CONFLICT (client_id, day, scope) DO UPDATE SET asked = scope_usage.asked + excluded.asked, \
         used = scope_usage.used + excluded.used",
    )
    .bind::<Array<Text>, _>(counted.iter().map(|one| &one.client_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(days)
    .bind::<Array<Text>, _>(counted.iter().map(|one| &one.scope).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(asked)
    .bind::<Array<BigInt>, _>(used)
    .execute(conn)
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
