//! What the task begins: claims, looks, and writing down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant as Moment;

use super::hold;
use super::lane::Room;
use super::look::{self, Want};
use super::settle::{self, Batch, Written};
use super::{BATCH, Courier, News, PASSED};
use crate::app::App;
use crate::audit::Actor;
use crate::partner::PartnerError;
use crate::store::StoreError;

impl Courier {
    pub(super) fn begin_hold(&mut self, now: Moment) {
        self.hold.begin();
        let mut unwanted = std::mem::take(&mut self.unwanted);
        let leaving = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.leaves && lane.is_idle());
        unwanted.extend(leaving.map(|(id, _)| id.clone()));
        self.lanes.retain(|id, _| !unwanted.contains(id));
        let (app, node) = (Arc::clone(&self.app), self.node.clone());
        self.tasks.spawn(async move {
            let at = app.clock.now();
            let held = app
                .store
                .write(move |db| hold::hold(db, &node, &unwanted, at));
            News::Held(now, held.await)
        });
    }

    pub(super) fn begin_look(&mut self, now: Moment) {
        let all = self.all <= now;
        let mut wants = HashMap::new();
        if now < self.claimed_until {
            // Nobody's share is set aside: most have nothing to send. It counts when something is sent.
            let left = self.left(now);
            for (id, lane) in &mut self.lanes {
                let room = lane.room(now, left.of(lane, now));
                if room == Room::default() {
                    continue;
                }
                let want = Want {
                    claim: lane.claim,
                    read: lane.read(),
                    room,
                    begun_again: lane.begun_again(),
                    run: lane.run().map(|run| (run.id.clone(), run.read)),
                    secrets_of: lane.secrets_of(now),
                };
                wants.insert(id.clone(), want);
            }
        }
        if wants.is_empty() && !all {
            self.look.next = now + self.pace;
            return;
        }
        self.look.begin();
        let (app, node) = (Arc::clone(&self.app), self.node.clone());
        self.tasks.spawn(async move {
            let at = app.clock.now();
            let looked = app
                .store
                .read(move |db| look::look(db, &node, &wants, all, at));
            News::Looked(all, looked.await)
        });
    }

    pub(super) fn begin_settle(&mut self, now: Moment) {
        let passes = self.passed <= now;
        if passes {
            self.passed = now + PASSED;
        }
        let (mut batches, mut rows) = (Vec::new(), 0);
        for (id, lane) in &mut self.lanes {
            if rows < BATCH && (lane.has_news() || passes && lane.has_moved()) {
                let batch = lane.batch(id);
                rows += batch.first.len() + batch.again.len();
                batches.push(batch);
            }
        }
        if batches.is_empty() {
            return;
        }
        // In one order, so that nobody who writes several waits for who waits for him.
        batches.sort_by(|one, other| one.endpoint.cmp(&other.endpoint));
        self.begin_writing(batches, Duration::ZERO);
    }

    pub(super) fn begin_writing(&mut self, batches: Vec<Batch>, pause: Duration) {
        self.settle.begin();
        let (app, node) = (Arc::clone(&self.app), self.node.clone());
        self.tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            News::Settled(write(&app, &node, batches).await)
        });
    }
}

/// Writes batches down at once; where the database refuses that, each by itself, so that what is wrong
/// with one costs that one alone.
async fn write(
    app: &Arc<App>,
    node: &str,
    batches: Vec<Batch>,
) -> Vec<(Batch, Result<Written, PartnerError>)> {
    let batches = Arc::new(batches);
    let whole = write_all(app, node, Arc::clone(&batches)).await;
    match whole {
        Ok(written) => batches
            .iter()
            .cloned()
            .zip(written.into_iter().map(Ok))
            .collect(),
        Err(PartnerError::Store(StoreError::Unreachable(_) | StoreError::Interrupted)) => {
            let lost = |batch: &Batch| (batch.clone(), Err(StoreError::Interrupted.into()));
            batches.iter().map(lost).collect()
        }
        Err(error) if batches.len() == 1 => {
            let only = batches.first().cloned();
            only.map(|batch| (batch, Err(error))).into_iter().collect()
        }
        Err(_) => {
            let mut all = Vec::new();
            for batch in batches.iter() {
                let written = write_all(app, node, Arc::new(vec![batch.clone()])).await;
                let written = written.map(|all| all.first().copied().unwrap_or(Written::Lost));
                all.push((batch.clone(), written));
            }
            all
        }
    }
}

async fn write_all(
    app: &Arc<App>,
    node: &str,
    batches: Arc<Vec<Batch>>,
) -> Result<Vec<Written>, PartnerError> {
    let (act, node) = (app.partner_act(Actor::policy()), node.to_owned());
    let written = app
        .store
        .write(move |db| settle::write(db, &node, &act, &batches));
    written.await
}
