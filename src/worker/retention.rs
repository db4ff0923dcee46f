//! Forgets what is kept long enough: rows as a whole, and addresses out of rows that are kept longer.
//!
//! In small batches, so that nobody waits for long behind it. Several workers may be at it at once:
//! what one has deleted the other does not find. A run that took something away says so in the
//! audit trail, by kind.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::audit::{Action, Actor, Deed};
use crate::clock::WRONG_CLOCKS;
use crate::domain::day::Day;
use crate::domain::instant::Instant;
use crate::domain::retention::Kept;
use crate::store::{
    Db, StoreError, audit_events, changes, credential_uses, events, expiry_warnings, idempotency,
    issued_tokens, leaks, offboarding, operator_keys, request_log, revocations, scope_usage,
    secret_deliveries, status_lists, trespasses, usage_counters, webhook_deliveries,
    webhook_replays, webhook_secrets,
};
use crate::worker::clocks::surely_past;

/// How often old records are looked for.
const ROUND: Duration = Duration::from_secs(3600);
/// About how many rows go in one transaction.
const BATCH: i64 = 1000;
/// How long others have the database to themselves between two batches.
const PAUSE: Duration = Duration::from_millis(10);

/// The longest that a token lives.
const TOKEN: Duration = Duration::from_secs(900);
/// How long changes are kept: a node that was away for longer looks at everything again.
const CHANGES: Duration = Duration::from_secs(3600);
/// How many days scope usage, and what was used of quotas, is kept: longer than anybody can ask about.
const USAGE_DAYS: u32 = 400;
/// How long it is kept which warnings were given: longer than the first is given before the end.
const WARNINGS: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long reports of leaked secrets are kept in which nothing matched.
const LEAK_REPORTS: Duration = Duration::from_secs(30 * 24 * 3600);

/// Takes a batch away of what is older than a moment; answers how many rows that was.
type Batch = fn(&mut Db, Instant, i64) -> Result<usize, StoreError>;

/// One kind of record, and from before when it goes.
struct Rule {
    kind: &'static str,
    before: Instant,
    batch: Batch,
}

/// What is taken away, in this order.
fn rules(kept: Kept, now: Instant) -> Vec<Rule> {
    let rule = |kind, length, batch| Rule {
        kind,
        before: now.minus(length),
        batch,
    };
    let personal = days(kept.personal);
    vec![
        rule(
            "issued_tokens",
            days(kept.tokens) + TOKEN,
            issued_tokens::purge as Batch,
        ),
        rule("request_log", days(kept.requests), request_log::purge),
        rule("trespasses", days(kept.requests), trespasses::purge),
        rule("events", days(kept.events), events::purge),
        rule(
            "idempotency_keys",
            days(kept.idempotency),
            idempotency::purge,
        ),
        // Whatever was delivered goes with its event.
        rule(
            "webhook_deliveries",
            days(kept.events),
            webhook_deliveries::purge,
        ),
        rule("webhook_replays", days(kept.events), webhook_replays::purge),
        rule("webhook_secrets", Duration::ZERO, webhook_secrets::purge),
        rule(
            "operator_keys",
            days(kept.idempotency),
            operator_keys::purge,
        ),
        rule("leak_reports", LEAK_REPORTS, leaks::purge),
        rule("expiry_warnings", WARNINGS, |db, before, _| {
            expiry_warnings::purge(db, before)
        }),
        rule("scope_usage", days(USAGE_DAYS), |db, before, most| {
            scope_usage::purge(db, Day::of(before), most)
        }),
        rule("usage_counters", days(USAGE_DAYS), usage_counters::purge),
        rule(
            "addresses_in_issued_tokens",
            personal,
            issued_tokens::forget_addresses,
        ),
        rule(
            "addresses_in_credentials",
            personal,
            credential_uses::forget_addresses,
        ),
        rule(
            "addresses_in_credentials_of_offboarded_partners",
            Duration::ZERO,
            |db, _, most| credential_uses::forget_addresses_of_the_gone(db, most),
        ),
        rule(
            "metadata_in_orders_of_offboarded_partners",
            Duration::ZERO,
            |db, _, most| offboarding::forget_metadata_of_the_gone(db, most),
        ),
        rule(
            "addresses_in_secret_deliveries",
            personal,
            secret_deliveries::forget_addresses,
        ),
        rule(
            "addresses_in_leak_reports",
            personal,
            leaks::forget_addresses,
        ),
        rule(
            "addresses_in_audit_events",
            personal,
            audit_events::drop_addresses,
        ),
    ]
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

/// Takes away what is old, until it is stopped.
pub(super) async fn run(app: Arc<App>) {
    loop {
        match surely_past(&app).await {
            Ok(now) => round(&app, now).await,
            Err(error) => log::warn!("nothing old is taken away for now: {error}"),
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn round(app: &App, now: Instant) {
    forget_news(app, now).await;
    let gone = apply(app, now).await;
    if !gone.is_empty() {
        put_on_record(app, gone).await;
    }
}

/// Follows every rule; answers how many rows of which kinds that was.
async fn apply(app: &App, now: Instant) -> Vec<(&'static str, usize)> {
    let mut gone = Vec::new();
    for rule in rules(app.settings.kept, now) {
        let (count, ended) = follow(app, &rule).await;
        if let Err(error) = ended {
            log::warn!(
                "old {} could not all be taken away, and will be: {error}",
                rule.kind
            );
        }
        if count > 0 {
            gone.push((rule.kind, count));
        }
    }
    gone
}

async fn follow(app: &App, rule: &Rule) -> (usize, Result<(), StoreError>) {
    let (mut gone, before, batch) = (0, rule.before, rule.batch);
    loop {
        match app.store.write(move |db| batch(db, before, BATCH)).await {
            Ok(count) => {
                gone += count;
                if i64::try_from(count).is_ok_and(|count| count < BATCH) {
                    return (gone, Ok(()));
                }
            }
            Err(error) => return (gone, Err(error)),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn put_on_record(app: &App, gone: Vec<(&'static str, usize)>) {
    let counts: serde_json::Map<_, _> = gone
        .into_iter()
        .map(|(kind, count)| (kind.to_owned(), count.into()))
        .collect();
    let deed = Deed::new(Action::RetentionApplied, "records").detail("gone", counts);
    let done = app.carry_out(Actor::policy(), move |db, act| act.record(db, deed));
    if let Err(error) = done.await {
        log::warn!("that old records were taken away could not be put on record: {error}");
    }
}

/// Forgets what nodes tell each other, which is nobody's record.
async fn forget_news(app: &App, now: Instant) {
    let news = now.minus(CHANGES);
    match app.store.write(move |db| changes::purge(db, news)).await {
        Ok(0) => {}
        Ok(count) => log::info!("forgot {count} old changes"),
        Err(error) => log::warn!("old changes could not be swept away: {error}"),
    }
    match app
        .store
        .write(move |db| status_lists::retire(db, now))
        .await
    {
        Ok(0) => {}
        Ok(count) => log::info!("retired {count} status lists, all of whose tokens are dead"),
        Err(error) => log::warn!("status lists could not be retired: {error}"),
    }
    // A change, so that nodes hear up to where revocations were forgotten.
    let over = now.minus(WRONG_CLOCKS);
    match app
        .change(now, move |db| revocations::purge(db, over))
        .await
    {
        Ok(0) => {}
        Ok(count) => log::info!("forgot {count} revocations that concern no living token"),
        Err(error) => log::warn!("old revocations could not be swept away: {error}"),
    }
}
