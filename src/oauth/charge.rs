//! What an authenticated request costs its partner.

use crate::directory::Entry;
use crate::domain::instant::Instant;
use crate::domain::limits::RouteClass;
use crate::limits::{Ask, Charged, Rates};
use crate::telemetry::telemetry;

/// Charges a client's request to its partner. `None`: nobody is held to a rate, or the client is of no
/// partner: the house's own, or a resource server's.
///
/// Only once the client has proved who it is: its id is public, and anybody could drain what it has.
pub async fn charge(
    rates: Option<&Rates>,
    entry: &Entry,
    class: RouteClass,
    now: Instant,
) -> Option<Charged> {
    let limits = entry.limits.limits(now);
    let decided = rates?.decide(Ask {
        partner: entry.client.partner_id.as_ref()?,
        realm: entry.client.realm,
        client: &entry.client.id,
        class,
        limits,
    });
    let charged = Charged {
        decision: decided.await,
        bites: limits.bite(),
    };
    let counted = &telemetry().limits;
    match charged.decision.over {
        None if class == RouteClass::Token => counted.tokens_allowed.inc(),
        None => counted.requests_allowed.inc(),
        Some(over) => counted.exceeded(over.limit.as_str(), charged.bites),
    }
    Some(charged)
}
