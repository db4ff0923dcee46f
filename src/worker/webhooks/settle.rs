//! Writing down what came of messages: rows, cursor and the endpoint's health in one transaction, of
//! many endpoints at once.

use std::collections::BTreeSet;

use super::outcome::Mark;
use crate::audit::{Action, Deed};
use crate::domain::id::{ReplayId, WebhookEndpointId};
use crate::domain::replay::ReplayStep;
use crate::domain::tenant::Tenant;
use crate::domain::webhook::DisabledReason;
use crate::domain::webhook_delivery::{Health, Verdict};
use crate::partner::{Act, PartnerError, webhook_endpoints};
use crate::store::webhook_deliveries::{self as deliveries, AttemptRow, Delivery};
use crate::store::{Db, StoreError, webhook_lanes as lanes, webhook_replays as replays};

/// What is to be written down of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) endpoint: WebhookEndpointId,
    pub(super) tenant: Tenant,
    pub(super) claim: u64,
    /// Up to which number everything is on record then.
    pub(super) cursor: i64,
    /// What has no row yet.
    pub(super) first: Vec<(Delivery, AttemptRow)>,
    /// What has one.
    pub(super) again: Vec<(Delivery, AttemptRow)>,
    pub(super) marks: Vec<Mark>,
    /// The replay under way, up to where it is on record, and whether it is over.
    pub(super) replay: Option<(ReplayId, i64, bool)>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is on record.
    Done,
    /// Another node delivers there by now, and nothing of it was written.
    Lost,
}

/// What follows for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lives,
    Warned(i32),
    Disabled(DisabledReason),
}

/// Writes batches down, each of another endpoint.
pub(super) fn write(
    db: &mut Db,
    node: &str,
    act: &Act,
    batches: &[Batch],
) -> Result<Vec<Written>, PartnerError> {
    let (mut written, mut held) = (Vec::new(), Vec::new());
    for batch in batches {
        let cancelled = hold_replays(db, batch)?;
        let (health, fate) = judge(db, batch)?;
        if lanes::move_on(db, node, &batch.endpoint, batch.cursor, health)? {
            held.push((batch, fate, cancelled));
            written.push(Written::Done);
        } else {
            written.push(Written::Lost);
        }
    }
    let first = || held.iter().flat_map(|(batch, ..)| &batch.first);
    deliveries::insert(db, first().map(|(row, _)| row.clone()).collect())?;
    let mut attempts: Vec<AttemptRow> = first().map(|(_, attempt)| attempt.clone()).collect();
    for (row, attempt) in held.iter().flat_map(|(batch, ..)| &batch.again) {
        // Of what was cancelled meanwhile, too: it was sent.
        if deliveries::attempted(db, row)? {
            attempts.push(attempt.clone());
        }
    }
    deliveries::insert_attempts(db, attempts)?;
    // Partners are told in the order in which everybody holds their counters.
    held.sort_by_key(|(batch, ..)| {
        let tenant = &batch.tenant;
        (tenant.partner_id().clone(), tenant.realm().as_str())
    });
    for (batch, fate, cancelled) in held {
        for replay in cancelled {
            // What was on its way when it was cancelled is not tried again.
            let (tenant, endpoint) = (&batch.tenant, &batch.endpoint);
            deliveries::cancel_of_replay(db, tenant, endpoint, &replay, act.now)?;
        }
        if let Some((replay, upto, is_over)) = &batch.replay {
            move_on(db, act, &batch.tenant, replay, *upto, *is_over)?;
        }
        suffer(db, act, batch, fate)?;
    }
    Ok(written)
}

/// How an endpoint does after these attempts, in their order; `None`: as before.
fn judge(db: &mut Db, batch: &Batch) -> Result<(Option<Health>, Fate), StoreError> {
    if batch.marks.is_empty() {
        return Ok((None, Fate::Lives));
    }
    let mut fate = Fate::Lives;
    let mut health = Health::default();
    if batch.marks.iter().any(|mark| mark.failed) {
        health = lanes::health(db, &batch.endpoint)?;
    }
    let mut marks = batch.marks.clone();
    marks.sort_by_key(|mark| mark.at);
    for mark in marks {
        if !mark.failed {
            health = Health::default();
            if fate != Fate::Disabled(DisabledReason::Gone) {
                fate = Fate::Lives;
            }
            continue;
        }
        let (next, verdict) = health.after_failure(mark.at);
        health = next;
        fate = match (fate, verdict) {
            (Fate::Disabled(reason), _) => Fate::Disabled(reason),
            _ if mark.is_gone => Fate::Disabled(DisabledReason::Gone),
            (_, Verdict::GiveUp) => Fate::Disabled(DisabledReason::Failing),
            (_, Verdict::Warn(percent)) => Fate::Warned(percent),
            (before, Verdict::GoOn) => before,
        };
    }
    Ok((Some(health), fate))
}

/// Holds the replays that a batch is about, before anything else: whoever cancels one does the same.
/// Answers those that were cancelled.
fn hold_replays(db: &mut Db, batch: &Batch) -> Result<Vec<ReplayId>, StoreError> {
    let rows = batch.first.iter().map(|(row, _)| row);
    let mut replays: BTreeSet<ReplayId> = rows.filter_map(Delivery::replay).collect();
    replays.extend(batch.replay.iter().map(|(replay, ..)| replay.clone()));
    let mut cancelled = Vec::new();
    for replay in replays {
        if !replays::hold_uncancelled(db, &batch.tenant, &replay)? {
            cancelled.push(replay);
        }
    }
    Ok(cancelled)
}

/// Carries out what follows for an endpoint.
fn suffer(db: &mut Db, act: &Act, batch: &Batch, fate: Fate) -> Result<(), PartnerError> {
    let (tenant, endpoint) = (&batch.tenant, &batch.endpoint);
    match fate {
        Fate::Lives => Ok(()),
        Fate::Warned(percent) => {
            log::warn!(
                "the webhook endpoint {endpoint} fails for {percent} % of the time after which it is disabled"
            );
            let deed =
                Deed::new(Action::WebhookEndpointFailing, endpoint).detail("percent", percent);
            Ok(act.record(db, tenant, deed)?)
        }
        Fate::Disabled(reason) => {
            match webhook_endpoints::disable(db, tenant, act, endpoint, reason) {
                Ok(_) => {
                    log::warn!("the webhook endpoint {endpoint} is disabled: {reason}");
                    Ok(())
                }
                // Somebody else has disabled or deleted it, or given it another URL.
                Err(PartnerError::Illegal { .. } | PartnerError::NotFound) => Ok(()),
                Err(error) => Err(error),
            }
        }
    }
}

fn move_on(
    db: &mut Db,
    act: &Act,
    tenant: &Tenant,
    replay: &ReplayId,
    upto: i64,
    is_over: bool,
) -> Result<(), StoreError> {
    replays::move_on(db, tenant, replay, upto)?;
    if is_over && replays::step(db, tenant, replay, ReplayStep::Complete, act.now)? {
        act.record(db, tenant, Deed::new(Action::ReplayCompleted, replay))?;
    }
    Ok(())
}
