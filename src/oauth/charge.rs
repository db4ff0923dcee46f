//! What an authenticated request costs its partner.

use crate::directory::Entry;
use crate::domain::instant::Instant;
use crate::domain::limits::RouteClass;
use crate::domain::tenant::Tenant;
use crate::limits::{Ask, Charged, Decision, Part, Rates, quota};
use crate::telemetry::telemetry;
use crate::usage::Usage;

/// Charges a client's request to its partner; where nobody is held to a rate, to its quotas alone. `None`: the
/// client is of no partner: the house's own, or a resource server's.
///
/// Only once the client has proved who it is: its id is public, and anybody could drain what it has.
///
/// `usage`: where it counts towards quotas. `None`: it does not, since a secret that leaked must be revoked and
/// replaced at any time of the month.
pub async fn charge(
    rates: Option<&Rates>,
    usage: Option<&Usage>,
    entry: &Entry,
    class: RouteClass,
    now: Instant,
) -> Option<Charged> {
    let limits = entry.limits.limits(now);
    let (partner, realm) = (entry.client.partner_id.as_ref()?, entry.client.realm);
    let ask = Ask {
        partner,
        realm,
        part: Part::Client(&entry.client.id),
        class,
        limits,
    };
    let decision = match rates {
        Some(rates) => rates.decide(ask).await,
        None => Decision::default(),
    };
    let mut charged = Charged {
        decision,
        bites: limits.bite(),
    };
    // What is refused for its rate counts for nothing.
    if let Some(usage) = usage.filter(|_| charged.refusal().is_none()) {
        let tenant = Tenant::of_record(partner.clone(), realm);
        quota::charge(usage, &tenant, limits, class, now, &mut charged.decision).await;
    }
    let counted = &telemetry().limits;
    match charged.decision.over {
        None if class == RouteClass::Token => counted.tokens_allowed.inc(),
        None => counted.requests_allowed.inc(),
        Some(over) => counted.exceeded(over.limit.as_str(), charged.bites),
    }
    Some(charged)
}
