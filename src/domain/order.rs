//! Orders: what a partner bought, and what became of it.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::lifecycle::steps;
use super::words;

words!(
    /// An order's state: accepted → preparing → fulfilled; or cancelled or failed before that.
    OrderState {
        Accepted = "accepted",
        Preparing = "preparing",
        Fulfilled = "fulfilled",
        Cancelled = "cancelled",
        Failed = "failed",
    }
);

steps!(
    /// What happens to an order. One that is cancelled or fails is not charged.
    OrderStep over OrderState {
        Prepare: Accepted => Preparing;
        Fulfil: Preparing => Fulfilled;
        Cancel: Accepted, Preparing => Cancelled;
        Fail: Accepted, Preparing => Failed;
    }
);

/// What a partner calls an order; it names one order of a partner and realm, for ever.
///
/// 1 to 64 printable ASCII characters, no space at either end, and a letter or a digit among
/// them: so that it stands in a path, and that no two references look alike.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
    serde::Serialize,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct OrderRef(String);

/// The text is not a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to 64 printable ASCII characters, a letter or a digit among them, without a space at either end"
)]
pub struct BadOrderRef;

impl OrderRef {
    /// The reference as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrderRef {
    type Err = BadOrderRef;

    fn from_str(text: &str) -> Result<Self, BadOrderRef> {
        let printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
        let fits = (1..=64).contains(&text.len()) && text.trim() == text;
        if printable && fits && text.bytes().any(|b| b.is_ascii_alphanumeric()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadOrderRef)
        }
    }
}

/// What a partner notes with an order: pairs of texts, kept as a JSON object.
#[derive(
    Clone, Debug, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct Metadata {
    pairs: BTreeMap<String, String>,
    text: String,
}

impl Metadata {
    /// The most pairs of an order.
    pub const PAIRS: usize = 20;
    /// The most characters of a name.
    pub const NAME: usize = 40;
    /// The most characters of a value.
    pub const VALUE: usize = 500;

    /// The JSON text that the database keeps.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<BTreeMap<String, String>> for Metadata {
    fn from(pairs: BTreeMap<String, String>) -> Self {
        let members = pairs.iter().map(|(k, v)| (k.clone(), v.as_str().into()));
        let text = serde_json::Value::Object(members.collect()).to_string();
        Self { pairs, text }
    }
}

impl FromStr for Metadata {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self {
            pairs: serde_json::from_str(text)?,
            text: text.to_owned(),
        })
    }
}

impl serde::Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.pairs.serialize(s)
    }
}

#[cfg(test)]
mod tests {
    use super::OrderState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_reference_is_what_can_be_read_aloud() {
        for good in ["A", "PO-2026/17", "a b", "~1!", &"9".repeat(64)] {
            assert!(good.parse::<OrderRef>().is_ok(), "{good}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "..",
            "--",
            "a\tb",
            "ä",
            "a\0",
            &"9".repeat(65),
        ] {
            assert!(bad.parse::<OrderRef>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn metadata_is_kept_as_json() {
        let pairs = BTreeMap::from([("trip".to_owned(), "\"Oslo\"".to_owned())]);
        let metadata = Metadata::from(pairs);
        assert_eq!(metadata.as_str(), r#"{"trip":"\"Oslo\""}"#);
        assert_eq!(metadata.as_str().parse::<Metadata>().unwrap(), metadata);
    }

    #[test]
    fn an_order_keeps_to_the_drawing() {
        keeps_to::<OrderStep>(
            Accepted,
            &[
                (Accepted, Preparing),
                (Preparing, Fulfilled),
                (Accepted, Cancelled),
                (Preparing, Cancelled),
                (Accepted, Failed),
                (Preparing, Failed),
            ],
        );
    }
}
