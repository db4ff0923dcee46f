//! Sending what a look has found.

use std::sync::Arc;

use tokio::time::Instant as Moment;

use super::look::Found;
use super::outcome::{self, Message, Sent, Way};
use super::{Courier, Left, News};
use crate::app::App;
use crate::domain::id::WebhookEndpointId;
use crate::keys::sealed::SealError;
use crate::keys::webhook::WebhookSecret;
use crate::store::webhook_deliveries::Outgoing;
use crate::store::webhook_secrets::Sealed;
use crate::webhook::sign;
use crate::webhook::target::Share;

impl Courier {
    /// Sends what was found for an endpoint; answers whether more could begin at once.
    pub(super) fn serve(
        &mut self,
        found: Found,
        is_late: bool,
        left: &mut Left,
        now: Moment,
    ) -> bool {
        let id = found.ready.endpoint_id.clone();
        let Some(lane) = self
            .lanes
            .get_mut(&id)
            .filter(|lane| lane.claim == found.claim)
        else {
            return false;
        };
        lane.see(found.ready.head.unwrap_or(0));
        if let Some(upto) = found.nothing_upto.filter(|_| !is_late) {
            lane.pass(upto, false);
        }
        if let Some(sealed) = &found.secrets {
            match unsealed(&self.app, &found, sealed) {
                Ok(keys) if !keys.is_empty() => lane.learn(keys, found.ready.updated_at, now),
                // Under another master key, say: nothing is passed that could not be sent.
                failed => {
                    log::error!("there is nothing to sign with for {id}: {failed:?}");
                    lane.rest(now);
                }
            }
        }
        let room = lane.room(now, left.of(lane, now));
        if is_late || lane.secrets().is_none() {
            return false;
        }
        let mut out: Vec<(Outgoing, Way)> = Vec::new();
        let types = &found.ready.event_types;
        for event in found.events {
            if lane.pass(event.seq, types.take(event.kind)) {
                continue;
            }
            if out.len() >= room.first {
                break;
            }
            out.push((event, Way::First));
        }
        if let Some(due) = found.due {
            let mut waiting = 0;
            for (delivery, event) in due {
                if lane.has_begun_again(&delivery) {
                    continue;
                }
                if out.len() < room.again {
                    out.push((event, Way::Again(Box::new(delivery))));
                } else {
                    waiting += 1;
                }
            }
            lane.leave_waiting(waiting);
        }
        match found.replay {
            None => {}
            Some(None) => lane.take_up(None),
            Some(Some(replayed)) => {
                let replay = replayed.replay;
                lane.take_up(Some((
                    replay.id.clone(),
                    replay.done_upto,
                    replayed.settled,
                )));
                if let Some(events) = replayed.events {
                    if events.is_empty() {
                        lane.end_run();
                    }
                    for event in events {
                        if lane.pass_replayed(event.seq) {
                            continue;
                        }
                        if out.len() >= room.replayed {
                            break;
                        }
                        out.push((event, Way::Replayed(replay.id.clone())));
                    }
                }
            }
        }
        left.take(lane, out.len(), now);
        for (event, way) in out {
            self.send(&id, &found.ready.url, &event, way, now);
        }
        self.lanes.get_mut(&id).is_some_and(|lane| {
            let left = left.of(lane, now);
            lane.is_behind() && lane.room(now, left).first > 0
        })
    }

    pub(super) fn send(
        &mut self,
        id: &WebhookEndpointId,
        url: &str,
        event: &Outgoing,
        way: Way,
        now: Moment,
    ) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let body = match outcome::body(event, lane.tenant.realm(), &way) {
            Ok(body) => body,
            Err(error) => return log::error!("{} cannot be sent: {error}", event.id),
        };
        let at = self.app.clock.now();
        let Some(secrets) = lane.secrets() else {
            return;
        };
        let headers = sign::sign(secrets, event.id.as_str(), at, &body);
        self.sends += 1;
        let (nth, claim) = (self.sends, lane.claim);
        let message = Message::of(event, way);
        let share = if lane.is_ailing(now) {
            Share::Ailing
        } else {
            Share::Well
        };
        lane.begin(nth, &message, now);
        let (app, id, url) = (Arc::clone(&self.app), id.clone(), url.to_owned());
        self.tasks.spawn(async move {
            let attempt = app.webhooks.deliver(&url, &headers, body, share).await;
            let sent = Sent {
                nth,
                message,
                attempt,
                at: app.clock.now(),
                chance: rand::random(),
            };
            News::Sent(id, claim, sent)
        });
    }
}

/// Opens an endpoint's secrets.
fn unsealed(app: &App, found: &Found, sealed: &[Sealed]) -> Result<Vec<WebhookSecret>, SealError> {
    let ready = &found.ready;
    let open = |one: &Sealed| {
        WebhookSecret::open(
            &app.master,
            &ready.endpoint_id,
            ready.signature,
            &one.sealed,
        )
    };
    sealed.iter().map(open).collect()
}
