//! How much of its quotas a partner has used, by the day and the month.
//!
//! Whoever reserves takes a counter's row by one conditional UPDATE and holds it to the commit, so that no race gets
//! past a quota. A transaction takes counters in the order of [`Counter`], and after them the partner's event counter.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use serde_json::json;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::fixed::fixed;
use super::schema::{ledger_entries, orders, usage_counters};
use super::{events, ledger};
use crate::domain::event::EventKind;
use crate::domain::id::{OrderId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::money::Currency;
use crate::domain::quota::{Period, Quota, reached};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

/// What is counted: whose, of which quota, in which period.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub quota: Quota,
    pub period: Period,
    /// Of money.
    pub currency: Option<Currency>,
}

impl Counter {
    /// A tenant's counter of a quota at a moment.
    pub fn at(tenant: &Tenant, quota: Quota, now: Instant) -> Self {
        Self {
            partner_id: tenant.partner_id().clone(),
            realm: tenant.realm(),
            quota,
            period: quota.period(now),
            currency: None,
        }
    }

    /// The same, of money.
    pub fn of(self, currency: Currency) -> Self {
        Self {
            currency: Some(currency),
            ..self
        }
    }

    fn currency(&self) -> &'static str {
        self.currency.map_or("", Currency::as_str)
    }
}

/// How a counter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub used: i64,
    /// The highest part that the partner was warned of, in percent.
    warned: i32,
}

/// Whether there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    Taken(Standing),
    /// There is not so much left; so much is used.
    Full(i64),
}

/// What was counted elsewhere, to be added.
#[derive(Clone, Debug)]
pub struct Addition {
    pub counter: Counter,
    pub amount: i64,
    /// What the partner is warned against.
    pub limit: Option<i64>,
}

macro_rules! row {
    ($counter:expr) => {
        usage_counters::table.find((
            &$counter.partner_id,
            $counter.realm,
            $counter.quota,
            $counter.period.to_string(),
            $counter.currency(),
        ))
    };
}

/// Takes so much of a quota for an order, or nothing where less is left. `most`: there is a limit.
///
/// A counter begins with what orders and ledger say, so that it is right also where it was not kept from the
/// period's first moment; `order` itself, which may be written already, is not counted twice.
pub fn reserve(
    db: &mut Db,
    counter: &Counter,
    amount: i64,
    most: Option<i64>,
    order: &OrderId,
) -> Result<Reserved, StoreError> {
    if let Some(standing) = raise(db, counter, amount, most)? {
        return Ok(Reserved::Taken(standing));
    }
    if let Some(used) = used(db, counter)? {
        return Ok(Reserved::Full(used));
    }
    let before = on_record(db, counter, order)?;
    // Another may be first: then this waits for its commit, and counts on top of it.
    begin(db, counter, before)?;
    match raise(db, counter, amount, most)? {
        Some(standing) => Ok(Reserved::Taken(standing)),
        None => Ok(Reserved::Full(used(db, counter)?.unwrap_or(before))),
    }
}

/// Gives so much back, or takes it without asking, where the counter is kept.
pub fn correct(db: &mut Db, counter: &Counter, by: i64) -> Result<(), StoreError> {
    diesel::update(row!(counter))
        .set(usage_counters::used.eq(usage_counters::used + by))
        .execute(db)?;
    Ok(())
}

/// Warns the partner of the highest part of a limit that is reached, if it was not yet in this period. To be called
/// by who has raised the counter, in the same transaction.
pub fn warn(
    db: &mut Db,
    counter: &Counter,
    standing: Standing,
    limit: i64,
    now: Instant,
) -> Result<(), StoreError> {
    let percent = reached(standing.used, limit);
    if percent <= standing.warned {
        return Ok(());
    }
    let quiet = usage_counters::warned.lt(percent);
    let told = diesel::update(row!(counter).filter(quiet))
        .set(usage_counters::warned.eq(percent))
        .execute(db)?;
    if told == 0 {
        return Ok(());
    }
    let data = json!({
        "quota": counter.quota,
        "percent": percent,
        "limit": limit,
        "period_ends_at": counter.period.ends_at(),
    });
    let whom = (&counter.partner_id, counter.realm);
    events::append(db, whom, EventKind::QuotaWarning, &data, now)?;
    Ok(())
}

/// Adds what was counted elsewhere, and warns of what it reaches; answers what is used of each. `None`: the partner
/// is not on record, after a restore. Several nodes add to one row at once, and nothing is lost.
pub fn add(
    db: &mut Db,
    additions: &[Addition],
    now: Instant,
) -> Result<Vec<Option<i64>>, StoreError> {
    let mut all = Vec::with_capacity(additions.len());
    for Addition {
        counter, amount, ..
    } in additions
    {
        let mut standing = raise(db, counter, *amount, None)?;
        if standing.is_none() {
            // In a savepoint: on PostgreSQL a refused row ends all that is not within one.
            match db.transaction(|db| begin(db, counter, 0)) {
                Ok(()) => standing = raise(db, counter, *amount, None)?,
                Err(StoreError::Dangling(_)) => {
                    log::warn!(
                        "usage of {} is forgotten: no such partner",
                        counter.partner_id
                    );
                }
                Err(error) => return Err(error),
            }
        }
        all.push(standing);
    }
    // Events' numbers are held to the commit: last.
    for (addition, standing) in additions.iter().zip(&all) {
        if let (Some(limit), Some(standing)) = (addition.limit, standing) {
            warn(db, &addition.counter, *standing, limit, now)?;
        }
    }
    Ok(all.into_iter().map(|one| one.map(|one| one.used)).collect())
}

/// What is used of a quota. `None`: nothing was counted yet.
pub fn used(db: &mut Db, counter: &Counter) -> Result<Option<i64>, StoreError> {
    let used = row!(counter).select(usage_counters::used);
    Ok(on_engine!(db, conn => used.first(conn)).optional()?)
}

/// What a tenant's orders have taken of quotas in the periods that a moment lies in.
pub fn reserved(
    db: &mut Db,
    tenant: &Tenant,
    now: Instant,
) -> Result<BTreeMap<(Quota, Option<Currency>), i64>, StoreError> {
    let quotas = [
        Quota::OrdersPerDay,
        Quota::OrdersPerMonth,
        Quota::SpendPerMonth,
    ];
    // A day is no month: each quota has its own of the two.
    let periods = quotas.map(|quota| quota.period(now).to_string());
    let rows: Vec<(Quota, String, i64)> = usage_counters::table
        .filter(usage_counters::partner_id.eq(tenant.partner_id()))
        .filter(usage_counters::realm.eq(tenant.realm()))
        .filter(usage_counters::quota.eq_any(quotas))
        .filter(usage_counters::period.eq_any(periods))
        .select((
            usage_counters::quota,
            usage_counters::currency,
            usage_counters::used,
        ))
        .load(db)?;
    let known =
        |(quota, currency, used): (Quota, String, i64)| ((quota, currency.parse().ok()), used);
    Ok(rows.into_iter().map(known).collect())
}

/// Forgets counters of periods that ended before a moment, so many at most.
pub fn purge(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    // A month's text comes before those of its days: all of them go with the next month.
    let month = Quota::RequestsPerMonth.period(before).to_string();
    let old: Vec<String> = usage_counters::table
        .filter(usage_counters::period.lt(&month))
        .order(usage_counters::period.asc())
        .select(usage_counters::period)
        .limit(most)
        .load(db)?;
    let Some(last) = old.last() else {
        return Ok(0);
    };
    let those = usage_counters::table.filter(usage_counters::period.le(last));
    Ok(diesel::delete(those).execute(db)?)
}

fn raise(
    db: &mut Db,
    counter: &Counter,
    amount: i64,
    most: Option<i64>,
) -> Result<Option<Standing>, StoreError> {
    let raise = Raise {
        amount,
        partner: &counter.partner_id,
        realm: counter.realm,
        quota: counter.quota,
        period: counter.period.to_string(),
        currency: counter.currency(),
        room: most.unwrap_or(i64::MAX).saturating_sub(amount),
    };
    let raised: Option<(i64, i32)> = on_engine!(db, conn => raise.get_result(conn).optional())?;
    Ok(raised.map(|(used, warned)| Standing { used, warned }))
}

fixed! {
    /// Raises a counter, if it leaves so much room.
    Raise<'a> -> (BigInt, Integer) {
        "UPDATE usage_counters SET used = used + " [amount: BigInt = i64]
        " WHERE partner_id = " [partner: Text = &'a PartnerId]
        " AND realm = " [realm: Text = Realm]
        " AND quota = " [quota: Text = Quota]
        " AND period = " [period: Text = String]
        " AND currency = " [currency: Text = &'static str]
        " AND used <= " [room: BigInt = i64]
        " RETURNING used, warned"
    }
}

/// Begins a counter, unless another has.
fn begin(db: &mut Db, counter: &Counter, used: i64) -> Result<(), StoreError> {
    let row = (
        usage_counters::partner_id.eq(&counter.partner_id),
        usage_counters::realm.eq(counter.realm),
        usage_counters::quota.eq(counter.quota),
        usage_counters::period.eq(counter.period.to_string()),
        usage_counters::currency.eq(counter.currency()),
        usage_counters::used.eq(used),
    );
    on_engine!(db, conn => diesel::insert_into(usage_counters::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(conn))?;
    Ok(())
}

/// What orders and ledger say of a period, one order left out.
fn on_record(db: &mut Db, counter: &Counter, but: &OrderId) -> Result<i64, StoreError> {
    // Ids begin with the moment of their making.
    let first = OrderId::first_of(counter.period.starts_at());
    let after = OrderId::first_of(counter.period.ends_at());
    let Some(currency) = counter.currency else {
        return Ok(orders::table
            .filter(orders::partner_id.eq(&counter.partner_id))
            .filter(orders::realm.eq(counter.realm))
            .filter(orders::id.ge(first))
            .filter(orders::id.lt(after))
            .filter(orders::id.ne(but))
            .count()
            .get_result(db)?);
    };
    let sum: Option<i64> = ledger_entries::table
        .filter(ledger_entries::partner_id.eq(&counter.partner_id))
        .filter(ledger_entries::realm.eq(counter.realm))
        .filter(ledger_entries::order_id.ge(first))
        .filter(ledger_entries::order_id.lt(after))
        .filter(ledger_entries::order_id.ne(but))
        .filter(ledger_entries::currency.eq(currency))
        .select(diesel::dsl::sql::<Nullable<BigInt>>(ledger::SIGNED))
        .first(db)?;
    Ok(sum.unwrap_or(0))
}
