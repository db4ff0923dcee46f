//! The text of an event, as every way to a partner sends it.

use serde::Serialize;

use crate::domain::event::{EventData, EventKind};
use crate::domain::id::{EventId, ReplayId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::store::events::Event;

/// An event as it is sent: the body of a delivery, or a row of `GET /events`.
///
/// The members stand in this order, and `data` is passed on as it was written: one event has one
/// text, so that a signature can be made again.
#[derive(Clone, Debug, Serialize)]
pub struct Envelope {
    pub id: EventId,
    #[serde(rename = "type")]
    pub kind: EventKind,
    pub seq: i64,
    pub created_at: Instant,
    pub env: Realm,
    pub data: EventData,
    /// `None`: no replay sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Marker>,
}

/// Says that a replay sends it. It is in the text, and so under the signature.
#[derive(Clone, Debug, Serialize)]
pub struct Marker {
    /// Which replay.
    pub id: ReplayId,
}

impl Envelope {
    /// The event as it is sent the first time, and whenever a delivery is tried again.
    pub fn of(event: Event) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            seq: event.seq,
            created_at: event.created_at,
            env: event.realm,
            data: event.data,
            replay: None,
        }
    }

    /// The same event, sent again by a replay.
    pub fn replayed_by(self, replay: ReplayId) -> Self {
        Self {
            replay: Some(Marker { id: replay }),
            ..self
        }
    }

    /// The bytes of a delivery's body.
    pub fn body(&self) -> Vec<u8> {
        #[expect(
            clippy::expect_used,
            reason = "texts, numbers and what was JSON before always become JSON"
        )]
        serde_json::to_vec(self).expect("an event is JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::PartnerId;

    fn event() -> Event {
        let at = Instant::from_epoch_seconds(1_800_000_000);
        Event {
            partner_id: PartnerId::generate(at),
            realm: Realm::Sandbox,
            seq: 42,
            id: "evt_01K2ZJ6V9D3M5K7N2R4T6W8Y0A".parse().unwrap(),
            kind: EventKind::OrderAccepted,
            created_at: at,
            data: r#"{"order_id": "ord_1","b":1, "a":2}"#.parse().unwrap(),
        }
    }

    #[test]
    fn one_event_has_one_text() {
        let sent = Envelope::of(event());
        let text = String::from_utf8(sent.body()).unwrap();
        assert_eq!(
            text,
            r#"{"id":"evt_01K2ZJ6V9D3M5K7N2R4T6W8Y0A","type":"order.accepted","seq":42,"created_at":"2027-01-15T08:00:00Z","env":"sandbox","data":{"order_id": "ord_1","b":1, "a":2}}"#
        );
        assert!(!text.contains("ptn_"));
    }

    #[test]
    fn a_replay_says_that_it_is_one() {
        let sent =
            Envelope::of(event()).replayed_by("rpl_01K2ZJ6V9D3M5K7N2R4T6W8Y0A".parse().unwrap());
        let text = String::from_utf8(sent.body()).unwrap();
        let marker = r#""a":2},"replay":{"id":"rpl_01K2ZJ6V9D3M5K7N2R4T6W8Y0A"}}"#;
        assert!(text.ends_with(marker), "{text}");
    }
}
