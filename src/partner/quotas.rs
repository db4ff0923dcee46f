//! Quotas of orders and of spend: reserved in the transaction that accepts the order, so that none is forgotten and
//! no race gets past them.
//!
//! An order counts on the day and in the month of its making, whatever becomes of it: what a quota of orders bounds is
//! the work of accepting them. What one costs counts in the month of its making, and what is given back of it, by
//! whomever, gives that month's ceiling room again.

use std::sync::{Arc, OnceLock};

use crate::domain::id::OrderId;
use crate::domain::instant::Instant;
use crate::domain::limits::Limits;
use crate::domain::money::Money;
use crate::domain::quota::Quota;
use crate::domain::tenant::Tenant;
use crate::limits::{Over, Reading};
use crate::store::ledger::LedgerEntry;
use crate::store::orders::Order;
use crate::store::usage_counters::{self, Counter, Reserved};
use crate::store::{Db, StoreError};

use super::PartnerError;

/// How much a partner may order. `None`: as much as it likes.
#[derive(Clone, Debug, Default)]
pub struct OrderQuotas {
    per_day: Option<i64>,
    per_month: Option<i64>,
    spend: Option<Money>,
    /// Not: it is counted and told, and nothing is refused.
    enforced: bool,
    told: Arc<OnceLock<Told>>,
}

/// How a partner's quotas stand after an order, whether it was accepted or not.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Those that there are.
    pub readings: Vec<Reading>,
    /// The one that the order is over.
    pub over: Option<Over>,
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
    let (mut told, mut reached) = (Told::default(), Vec::new());
    for (counter, amount, limit) in wanted {
        if amount == 0 {
            continue;
        }
        let quota = counter.quota;
        let enforced = limit.filter(|_| quotas.enforced);
        let reserved = usage_counters::reserve(db, &counter, amount, enforced, &order.id)?;
        let used = match reserved {
            Reserved::Full(used) => used,
            Reserved::Taken(standing) => standing.used,
        };
        if let Some(limit) = limit {
            told.readings
                .push(Reading::of_quota(quota, limit, used, now));
            let is_over = used > limit || matches!(reserved, Reserved::Full(_));
            if is_over && told.over.is_none() {
                told.over = Some(Over::of_quota(quota, now));
            }
        }
        match (reserved, told.over) {
            (Reserved::Full(_), Some(over)) => {
                let _ = quotas.told.set(told);
                return Err(PartnerError::OverQuota(over));
            }
            (Reserved::Taken(standing), _) => {
                reached.extend(limit.map(|limit| (counter, standing, limit)));
            }
            // Nothing is full that has no limit.
            (Reserved::Full(_), None) => {}
        }
    }
    for (counter, standing, limit) in reached {
        usage_counters::warn(db, &counter, standing, limit, now)?;
    }
    let _ = quotas.told.set(told);
    Ok(())
}

impl OrderQuotas {
    /// What a partner's limits say of orders.
    pub fn of(limits: &Limits) -> Self {
        let quotas = &limits.figures.quotas;
        Self {
            per_day: quotas.orders_per_day,
            per_month: quotas.orders_per_month,
            spend: quotas.spend_per_month,
            enforced: limits.bite(),
            told: Arc::default(),
        }
    }

    /// How they stood after the order that they were asked about. `None`: none was executed.
    pub fn told(&self) -> Option<&Told> {
        self.told.get()
    }

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
