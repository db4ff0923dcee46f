//! Quotas as limits: a request of the partner API counts on a day and in a month, and so does a token request.

use std::time::Duration;

use super::{Decision, Over, Reading};
use crate::domain::instant::Instant;
use crate::domain::limits::{LimitName, Limits, RouteClass};
use crate::domain::quota::Quota;
use crate::domain::tenant::Tenant;
use crate::usage::Usage;

/// Counts a request that is within its rates, or goes on although it is not; where a quota is met, the decision
/// says so.
pub async fn charge(
    usage: &Usage,
    tenant: &Tenant,
    limits: &Limits,
    class: RouteClass,
    now: Instant,
    decision: &mut Decision,
) {
    let quotas = &limits.figures.quotas;
    let counted = match class {
        RouteClass::Read | RouteClass::Write => [
            (Quota::RequestsPerDay, quotas.requests_per_day),
            (Quota::RequestsPerMonth, quotas.requests_per_month),
        ],
        RouteClass::Token => [
            (Quota::TokensPerDay, quotas.tokens_per_day),
            (Quota::TokensPerMonth, quotas.tokens_per_month),
        ],
        // The request that has it sent was counted.
        RouteClass::Message => return,
    };
    let charged = usage.charge(tenant, counted, limits.bite(), now).await;
    for one in charged.quotas {
        if let Some(limit) = one.limit {
            decision
                .readings
                .push(Reading::of_quota(one.quota, limit, one.used, now));
        }
    }
    let full = charged.full.map(|quota| Over::of_quota(quota, now));
    decision.over = decision.over.or(full);
}

impl Over {
    /// A quota that is used up until its period ends.
    pub fn of_quota(quota: Quota, now: Instant) -> Self {
        Self {
            limit: quota.name(),
            retry_after: until_end(quota, now),
        }
    }
}

impl Reading {
    /// A quota of which so much is used.
    pub fn of_quota(quota: Quota, limit: i64, used: i64, now: Instant) -> Self {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Self {
            limit: quota.name(),
            quota: count(limit),
            window: Duration::from_secs(count(quota.period(now).seconds())),
            remaining: count(limit.saturating_sub(used)),
            reset: until_end(quota, now),
        }
    }
}

fn until_end(quota: Quota, now: Instant) -> Duration {
    let left = quota.period(now).ends_at().epoch_micros() - now.epoch_micros();
    Duration::from_micros(u64::try_from(left).unwrap_or(0))
}

impl Quota {
    /// The limit that it is.
    pub const fn name(self) -> LimitName {
        match self {
            Self::RequestsPerDay => LimitName::RequestsPerDay,
            Self::RequestsPerMonth => LimitName::RequestsPerMonth,
            Self::TokensPerDay => LimitName::TokensPerDay,
            Self::TokensPerMonth => LimitName::TokensPerMonth,
            Self::OrdersPerDay => LimitName::OrdersPerDay,
            Self::OrdersPerMonth => LimitName::OrdersPerMonth,
            Self::SpendPerMonth => LimitName::SpendPerMonth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_named_as_the_limit_is() {
        for quota in Quota::ALL {
            assert_eq!(quota.as_str(), quota.name().as_str());
        }
    }

    #[test]
    fn what_is_used_up_comes_back_when_its_period_ends() {
        let now: Instant = "2028-02-29T23:00:00Z".parse().unwrap();
        let hour = Duration::from_secs(3600);
        assert_eq!(Over::of_quota(Quota::OrdersPerDay, now).retry_after, hour);
        let reading = Reading::of_quota(Quota::SpendPerMonth, 1000, 1200, now);
        assert_eq!(
            (reading.quota, reading.remaining, reading.reset),
            (1000, 0, hour)
        );
        assert_eq!(reading.window, Duration::from_secs(29 * 86_400));
    }
}
