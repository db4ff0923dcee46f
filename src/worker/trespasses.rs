//! Finds calls for what is another's in the request log.
//!
//! Such a call looks like one for an unknown id, and costs its caller the same; only here is asked
//! whether the id exists. Several workers may ask: a partner is noted once a day.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::clocks::surely_past;
use crate::admin::trespasses::{is_trespass, raise};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::day::Day;
use crate::domain::id::{PartnerId, RequestId};
use crate::domain::instant::Instant;
use crate::store::StoreError;
use crate::store::request_log::{self, Call};
use crate::store::trespasses;

const ROUND: Duration = Duration::from_secs(2);
/// How far back a process looks when it starts.
const LOOK_BACK: Duration = Duration::from_secs(24 * 3600);
/// How late a call may be written, by another node too and by a clock that is behind, and still be seen. Clocks
/// that differ by half of it are told of.
const LATE: Duration = Duration::from_secs(60);
/// How many calls are looked at, at a time.
const BATCH: i64 = 500;

/// Where a worker stands.
struct Watch {
    /// `None`: nowhere yet.
    from: Option<Instant>,
    /// Noted already: nothing about them is asked again that day.
    noted: HashSet<(PartnerId, Day)>,
}

/// Looks until it is stopped.
pub(super) async fn run(app: Arc<App>) {
    let mut watch = Watch {
        from: None,
        noted: HashSet::new(),
    };
    loop {
        if let Err(error) = watch.round(&app).await {
            log::warn!("the request log could not be looked through, and will be: {error}");
        }
        tokio::time::sleep(ROUND).await;
    }
}

impl Watch {
    async fn round(&mut self, app: &App) -> Result<(), StoreError> {
        let now = surely_past(app).await?;
        let from = self.from.unwrap_or_else(|| now.minus(LOOK_BACK));
        let mut after = RequestId::floor(from);
        loop {
            let place = after.clone();
            let read = app
                .store
                .read(move |db| request_log::misses(db, &place, BATCH));
            let calls = read.await?;
            let Some(last) = calls.last() else { break };
            after = last.request_id.clone();
            let is_last = i64::try_from(calls.len()).is_ok_and(|read| read < BATCH);
            self.look_at(app, calls).await?;
            if is_last {
                break;
            }
        }
        // Also back, where the clock was: else the calls up to where it had been would be passed over.
        let from = now.minus(LATE);
        self.from = Some(from);
        let today = Day::of(from);
        self.noted.retain(|(_, day)| *day >= today);
        Ok(())
    }

    async fn look_at(&mut self, app: &App, mut calls: Vec<Call>) -> Result<(), StoreError> {
        calls.retain(|call| {
            !self
                .noted
                .contains(&(call.partner_id.clone(), Day::of(call.at)))
        });
        let ids: Vec<_> = calls
            .iter()
            .filter_map(|call| call.subject.clone())
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let owners = app
            .store
            .read(move |db| trespasses::owners(db, &ids))
            .await?;
        for call in calls {
            let owner = call.subject.as_ref().and_then(|id| owners.get(id));
            let mark = (call.partner_id.clone(), Day::of(call.at));
            if owner.is_none_or(|owner| !is_trespass(&call, owner)) || self.noted.contains(&mark) {
                continue;
            }
            let raised = app.carry_out(Actor::policy(), move |db, act| raise(db, act, &call));
            match raised.await {
                Ok(()) => {
                    self.noted.insert(mark);
                }
                Err(error) => log::warn!("a review could not be opened, and will be: {error}"),
            }
        }
        Ok(())
    }
}
