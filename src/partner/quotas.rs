//! Quotas of orders and of spend: reserved in the transaction that accepts the order, so that none is forgotten and
//! no race gets past them.
//!
//! An order counts on the day and in the month of its making, whatever becomes of it: what a quota of orders bounds is
//! the work of accepting them. What one costs counts in the month of its making, and what is given back of it, by
//! whomever, gives that month's ceiling room again.

use crate::domain::id::OrderId;
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::quota::Quota;
use crate::domain::tenant::Tenant;
use crate::store::ledger::LedgerEntry;
use crate::store::orders::Order;
use crate::store::usage_counters::{self, Counter, Reserved};
use crate::store::{Db, StoreError};
use crate::telemetry::telemetry;

use super::PartnerError;

/// How much a partner may order. `None`: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderQuotas {
    pub per_day: Option<i64>,
    pub per_month: Option<i64>,
    pub spend: Option<Money>,
    /// Not: it is counted and told, and nothing is refused.
    pub enforced: bool,
}

/// A quota that has no room for what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{quota} is used up until {ends_at}: of {limit}, {used} are used, and this asks for {wanted}"
)]
pub struct OverQuota {
    pub quota: Quota,
    pub limit: i64,
    pub used: i64,
    pub wanted: i64,
    pub ends_at: Instant,
}

/// Takes an order's part of each quota, or refuses it.
pub(super) fn reserve(
    db: &mut Db,
    quotas: &OrderQuotas,
    order: &Order,
    now: Instant,
) -> Result<(), PartnerError> {
    let tenant = order.tenant();
    let count = |quota| Counter::at(&tenant, quota, now);
    let spend = count(Quota::SpendPerMonth).of(order.currency);
    // In the order of the counters, which is that of their names in `Quota`.
    let wanted = [
        (count(Quota::OrdersPerDay), 1, quotas.per_day),
        (count(Quota::OrdersPerMonth), 1, quotas.per_month),
        (spend, order.total_amount, quotas.ceiling(order)),
    ];
    let mut reached = Vec::new();
    for (counter, amount, limit) in wanted {
        if amount == 0 {
            continue;
        }
        let enforced = limit.filter(|_| quotas.enforced);
        match usage_counters::reserve(db, &counter, amount, enforced, &order.id)? {
            Reserved::Full(used) => {
                exceeded(counter.quota, true);
                return Err(PartnerError::OverQuota(Box::new(OverQuota {
                    quota: counter.quota,
                    limit: limit.unwrap_or_default(),
                    used,
                    wanted: amount,
                    ends_at: counter.period.ends_at(),
                })));
            }
            Reserved::Taken(standing) => {
                if let Some(limit) = limit {
                    if standing.used > limit {
                        exceeded(counter.quota, false);
                    }
                    reached.push((counter, standing, limit));
                }
            }
        }
    }
    for (counter, standing, limit) in reached {
        usage_counters::warn(db, &counter, standing, limit, now)?;
    }
    Ok(())
}

impl OrderQuotas {
    /// The ceiling in an order's currency. Amounts of two currencies cannot be added up: where there is a
    /// ceiling in another one, nothing may be spent in this one.
    fn ceiling(&self, order: &Order) -> Option<i64> {
        let ceiling = self.spend?;
        Some(if ceiling.currency == order.currency {
            ceiling.amount
        } else {
            0
        })
    }
}

/// Counts a request that found a quota used up.
pub fn exceeded(quota: Quota, enforced: bool) {
    let mode = if enforced { "enforce" } else { "shadow" };
    telemetry()
        .quotas
        .with_label_values(&[quota.as_str(), mode])
        .inc();
}

/// What an entry does to an order's cost counts in the month of the order's making.
pub(super) fn correct_spend(
    db: &mut Db,
    tenant: &Tenant,
    order: &OrderId,
    entry: &LedgerEntry,
) -> Result<(), StoreError> {
    let made = order.made_at();
    let counter = Counter::at(tenant, Quota::SpendPerMonth, made).of(entry.currency);
    usage_counters::correct(db, &counter, entry.movement().signed(entry.amount))
}
