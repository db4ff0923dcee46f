//! Claims on endpoints: renewed, made where they are free, and shared with the other nodes.

use std::time::Duration;

use crate::domain::id::WebhookEndpointId;
use crate::domain::instant::Instant;
use crate::store::webhook_lanes::{self as lanes, Claimed};
use crate::store::{Db, StoreError, instance, webhook_deliveries as deliveries};

/// How often claims are renewed.
pub(super) const ROUND: Duration = Duration::from_secs(3);

/// What a node holds.
#[derive(Debug)]
pub(super) struct Held {
    /// What it held before, and holds still.
    pub(super) kept: Vec<WebhookEndpointId>,
    /// What it has claimed now, with what is on record above the cursor already.
    pub(super) claimed: Vec<(Claimed, Vec<i64>)>,
    /// How many it should hold.
    pub(super) share: usize,
}

/// Renews a node's claims, gives back what it does not want, and claims up to its share.
pub(super) fn hold(
    db: &mut Db,
    node: &str,
    unwanted: &[WebhookEndpointId],
    now: Instant,
) -> Result<Held, StoreError> {
    // By the database's clock where it has one of its own: a node whose clock is ahead would take what
    // others hold.
    let now = instance::time(db)?.unwrap_or(now);
    let until = now.plus(lanes::LEASE);
    let nodes = lanes::report(db, node, now, until)?.max(1);
    if !unwanted.is_empty() {
        lanes::give_back(db, node, unwanted)?;
    }
    let kept = lanes::renew(db, node, until)?;
    let all = lanes::deliverable(db)?;
    let share = usize::try_from((all + nodes - 1) / nodes).unwrap_or(0);
    let mut claimed = Vec::new();
    let more = i64::try_from(share.saturating_sub(kept.len())).unwrap_or(0);
    if more > 0 {
        for claim in lanes::claim(db, node, more, now, until)? {
            let tenant =
                crate::domain::tenant::Tenant::of_record(claim.partner_id.clone(), claim.realm);
            let settled =
                deliveries::settled_above(db, &tenant, &claim.endpoint_id, "", claim.cursor)?;
            claimed.push((claim, settled));
        }
    }
    deliveries::cancel_orphans(db, now)?;
    Ok(Held {
        kept,
        claimed,
        share,
    })
}
