//! What an authenticated request costs its partner.

use crate::directory::Entry;
use crate::domain::instant::Instant;
use crate::domain::limits::RouteClass;
use crate::domain::tenant::Tenant;
use crate::limits::{Ask, Charged, Rates, quota};
use crate::telemetry::telemetry;
use crate::usage::Usage;

/// Charges a client's request to its partner. `None`: the client is of no partner, which is the house's own
/// or a resource server's and is held down by nobody.
///
/// Only once the client has proved who it is: its id is public, and anybody could drain what it has.
///
/// `usage`: where it counts towards quotas. `None`: it does not, since a secret that leaked must be revoked and
/// replaced at any time of the month.
pub async fn charge(
    rates: &Rates,
    usage: Option<&Usage>,
    entry: &Entry,
    class: RouteClass,
    now: Instant,
) -> Option<Charged> {
    let limits = entry.limits.limits(now);
    let (partner, realm) = (entry.client.partner_id.as_ref()?, entry.client.realm);
    let decided = rates.decide(Ask {
        partner,
        realm,
        client: &entry.client.id,
        class,
        limits,
    });
    let mut charged = Charged {
        decision: decided.await,
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
