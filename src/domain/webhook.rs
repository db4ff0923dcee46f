//! Webhooks: where partners are told of events, of which ones, and why a message did not arrive.

use std::str::FromStr;

use super::event::EventKind;
use super::lifecycle::steps;
use super::words;

words!(
    /// An endpoint's state: pending → active ⇄ disabled → deleted. Only an active one is delivered to.
    EndpointState {
        Pending = "pending",
        Active = "active",
        Disabled = "disabled",
        Deleted = "deleted",
    }
);

steps!(
    /// What happens to an endpoint.
    EndpointStep over EndpointState {
        /// The challenge was answered.
        Activate: Pending => Active;
        /// It stands at another URL, which must answer for itself.
        Readdress: Active => Pending;
        Disable: Active => Disabled;
        Enable: Disabled => Active;
        Delete: Pending, Active, Disabled => Deleted;
    }
);

words!(
    /// Why an endpoint is disabled.
    DisabledReason {
        /// The partner asked for it.
        Partner = "partner",
        /// An operator did.
        Operator = "operator",
        /// Nothing reached it for days.
        Failing = "failing",
        /// It answered 410.
        Gone = "gone",
    }
);

words!(
    /// How messages are signed (Standard Webhooks).
    SignatureKind {
        /// HMAC-SHA256 with a secret that both sides hold: what every library verifies.
        V1 = "v1",
        /// ed25519: the receiver holds a public key.
        V1a = "v1a",
    }
);

words!(
    /// Why an attempt failed, by how far it came.
    FailureClass {
        /// The host's name has no address.
        Dns = "dns",
        /// Nobody took the connection, or it broke.
        Connect = "connect",
        /// The certificate or the handshake.
        Tls = "tls",
        /// No answer in time.
        Timeout = "timeout",
        /// An answer that is no 2xx; redirects are not followed.
        Status = "status",
        /// The URL, or the address that its host has, is none that messages may go to.
        Blocked = "blocked",
    }
);

/// Which events an endpoint is told of: all, or a list of types. Kept as a JSON array of texts.
#[derive(
    Clone, Debug, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct EventTypes {
    /// `None`: all.
    only: Option<Vec<EventKind>>,
    text: String,
}

/// One name on such a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// `*`: all of them, also those that come later.
    All,
    /// One.
    One(EventKind),
}

/// The name is of no events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be *, or one of the types in the catalogue of events")]
pub struct UnknownEventType;

/// The list names no events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEventTypes {
    /// Nothing is in it.
    #[error("must name at least one type, or be [\"*\"]")]
    Empty,
    /// `*` is not the only one.
    #[error("must be [\"*\"] alone, or a list of types")]
    NotAlone,
}

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(text: &str) -> Result<Self, UnknownEventType> {
        if text == EventTypes::ALL {
            return Ok(Self::All);
        }
        text.parse().map(Self::One).map_err(|_| UnknownEventType)
    }
}

impl EventTypes {
    /// What stands for all of them, also those that come later.
    pub const ALL: &'static str = "*";

    /// Reads a list as it was sent. Doubles are harmless.
    pub fn read(types: &[EventType]) -> Result<Self, BadEventTypes> {
        let mut kinds = Vec::with_capacity(types.len());
        for kind in types {
            match kind {
                EventType::One(kind) => kinds.push(*kind),
                EventType::All if types.len() == 1 => return Ok(Self::of(None)),
                EventType::All => return Err(BadEventTypes::NotAlone),
            }
        }
        if kinds.is_empty() {
            return Err(BadEventTypes::Empty);
        }
        kinds.sort_unstable();
        kinds.dedup();
        Ok(Self::of(Some(kinds)))
    }

    fn of(only: Option<Vec<EventKind>>) -> Self {
        let names: Vec<&str> = match &only {
            None => vec![Self::ALL],
            Some(kinds) => kinds.iter().map(|kind| kind.as_str()).collect(),
        };
        let text = serde_json::Value::from(names).to_string();
        Self { only, text }
    }

    /// Whether an event of this kind is wanted.
    pub fn take(&self, kind: EventKind) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&kind))
    }

    /// The kinds that are wanted. `None`: all.
    pub fn only(&self) -> Option<&[EventKind]> {
        self.only.as_deref()
    }

    /// The JSON text that the database keeps.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// What the database keeps is no list of types.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableEventTypes {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Types(#[from] BadEventTypes),
    #[error(transparent)]
    Type(#[from] UnknownEventType),
}

impl FromStr for EventTypes {
    type Err = UnreadableEventTypes;

    fn from_str(text: &str) -> Result<Self, UnreadableEventTypes> {
        let names: Vec<String> = serde_json::from_str(text)?;
        let types: Result<Vec<EventType>, _> = names.iter().map(|name| name.parse()).collect();
        Ok(Self::read(&types?)?)
    }
}

impl serde::Serialize for EventTypes {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match &self.only {
            None => s.collect_seq([Self::ALL]),
            Some(kinds) => s.collect_seq(kinds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EndpointState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn an_endpoint_keeps_to_the_drawing() {
        keeps_to::<EndpointStep>(
            Pending,
            &[
                (Pending, Active),
                (Active, Pending),
                (Active, Disabled),
                (Disabled, Active),
                (Pending, Deleted),
                (Active, Deleted),
                (Disabled, Deleted),
            ],
        );
    }

    #[test]
    fn types_are_all_or_a_list_of_known_ones() {
        let read = |names: &[&str]| {
            let types: Vec<_> = names.iter().map(|name| name.parse().unwrap()).collect();
            EventTypes::read(&types)
        };
        let all = read(&["*"]).unwrap();
        assert!(EventKind::ALL.iter().all(|kind| all.take(*kind)));
        assert_eq!(all.as_str(), r#"["*"]"#);

        let some = read(&["order.failed", "order.accepted", "order.failed"]).unwrap();
        assert_eq!(some.as_str(), r#"["order.accepted","order.failed"]"#);
        assert!(some.take(EventKind::OrderFailed) && !some.take(EventKind::InvoicePaid));
        assert_eq!(some.as_str().parse::<EventTypes>().unwrap(), some);

        assert_eq!(read(&[]), Err(BadEventTypes::Empty));
        assert_eq!(read(&["*", "order.failed"]), Err(BadEventTypes::NotAlone));
        assert_eq!("order.lost".parse::<EventType>(), Err(UnknownEventType));
    }
}
