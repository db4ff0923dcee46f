//! Limits as buckets of Redis, and its verdicts as decisions.

use std::time::Duration;

use super::shared::{Bucket, Level, Shared};
use super::{Ask, Decision, Over, Reading};
use crate::domain::limits::{LimitName, Rate};

/// Charges a request to every bucket that concerns it, or to none. `None`: Redis is away.
pub(super) async fn decide(shared: &Shared, ask: &Ask<'_>) -> Option<Decision> {
    let verdict = shared.decide(&whose(ask), &buckets(ask, 1)).await?;
    let mut decision = Decision::default();
    for ((name, rate), level) in ask.limits.figures.rates(ask.class).zip(verdict.levels) {
        let wait = level.room_in;
        // The longest wait: who comes again after it fits into all.
        let is_longest = decision.over.is_none_or(|over| over.retry_after < wait);
        if !verdict.admitted && wait > Duration::ZERO && is_longest {
            decision.over = Some(Over {
                limit: name,
                retry_after: wait,
            });
        }
        decision.readings.push(read(name, rate, level));
    }
    Some(decision)
}

/// How the limits stand that would concern a request. `None`: Redis is away.
pub(super) async fn look(shared: &Shared, ask: &Ask<'_>) -> Option<Vec<Reading>> {
    let verdict = shared.decide(&whose(ask), &buckets(ask, 0)).await?;
    let rates = ask.limits.figures.rates(ask.class).zip(verdict.levels);
    Some(
        rates
            .map(|((name, rate), level)| read(name, rate, level))
            .collect(),
    )
}

fn whose(ask: &Ask<'_>) -> String {
    format!("{}:{}", ask.partner, ask.realm)
}

fn buckets(ask: &Ask<'_>, cost: u32) -> Vec<Bucket> {
    let bucket = |(name, rate): (LimitName, Rate)| Bucket {
        name: match name {
            LimitName::ClientRequests | LimitName::ClientTokens | LimitName::EndpointMessages => {
                format!("{name}:{}", ask.part.id())
            }
            _ => name.to_string(),
        },
        interval: Duration::from_nanos(rate.interval()),
        burst: rate.burst().get(),
        cost,
    };
    ask.limits.figures.rates(ask.class).map(bucket).collect()
}

fn read(name: LimitName, rate: Rate, level: Level) -> Reading {
    let reset = if level.left == 0 {
        level.next_in
    } else {
        level.empty_in
    };
    let reset = u64::try_from(reset.as_nanos()).unwrap_or(u64::MAX);
    Reading::of(name, rate, u64::from(level.left), reset)
}
