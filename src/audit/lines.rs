//! An export's lines: one definition for who writes them and who checks them.
//!
//! First `log`; then, in the order of places, `event` for each event that is there, `leaves` for those
//! that are not, and `checkpoint` where one was signed; then `pending` and `set_aside`; last `end`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::leaf::Leaf;

/// The version of this form.
pub const VERSION: u32 = 1;

/// The first line: which log this is.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogLine<'a> {
    pub r#type: Cow<'a, str>,
    pub version: u32,
    /// The log's name.
    pub name: Cow<'a, str>,
    /// The key that verifies its checkpoints.
    pub key: Cow<'a, str>,
    /// How many leaves are exported.
    pub size: u64,
}

/// An event.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventLine<'a> {
    #[serde(borrow)]
    pub r#type: Cow<'a, str>,
    pub leaf_index: Option<i64>,
    /// The leaf's hash as the tree has it, in base64.
    #[serde(borrow)]
    pub leaf_hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub at: Cow<'a, str>,
    #[serde(borrow)]
    pub actor: Cow<'a, str>,
    pub credential_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    #[serde(borrow)]
    pub target: Cow<'a, str>,
    pub partner_id: Option<Cow<'a, str>>,
    pub realm: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub outcome: Cow<'a, str>,
    pub request_id: Option<Cow<'a, str>>,
    pub source_ip: Option<Cow<'a, str>>,
    pub source_ip_salt: Option<Cow<'a, str>>,
    pub source_ip_commitment: Option<Cow<'a, str>>,
    /// An object, byte for byte as in the leaf; text where the database holds something else.
    #[serde(borrow)]
    pub details: Cow<'a, RawValue>,
    /// Whether the server, which has the keys, finds the event's own MAC and that of its place good.
    pub authentic: bool,
    pub set_aside: Option<Cow<'a, str>>,
}

impl EventLine<'_> {
    /// The details as they stand in the leaf.
    pub fn details_text(&self) -> Cow<'_, str> {
        let raw = self.details.get();
        if raw.starts_with('"')
            && let Ok(text) = serde_json::from_str::<String>(raw)
        {
            return text.into();
        }
        raw.into()
    }

    /// The leaf that the line's fields make.
    pub fn leaf<'b>(&'b self, details: &'b str) -> Leaf<'b> {
        Leaf {
            id: &self.id,
            at: &self.at,
            actor: &self.actor,
            credential_id: self.credential_id.as_deref(),
            action: &self.action,
            target: &self.target,
            partner_id: self.partner_id.as_deref(),
            realm: self.realm.as_deref(),
            outcome: &self.outcome,
            request_id: self.request_id.as_deref(),
            source_ip_commitment: self.source_ip_commitment.as_deref(),
            details,
        }
    }
}

/// Leaves whose events are not there any more.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeavesLine<'a> {
    pub r#type: Cow<'a, str>,
    /// The place of the first.
    pub first: u64,
    /// Their hashes in base64; empty for one that the tree does not have either.
    pub hashes: Vec<Cow<'a, str>>,
}

/// A signed head of the tree: of what came before it, or, with `end`, of all.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckpointLine<'a> {
    pub r#type: Cow<'a, str>,
    /// The signed note. `None`: nothing was sequenced yet.
    pub note: Option<Cow<'a, str>>,
    /// With `end`: how many lines there are, this one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
}

/// What a line says it is.
#[derive(Debug, Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

/// A line's kind. `None`: it is not a line of an export.
pub fn kind(line: &str) -> Option<Cow<'_, str>> {
    // As it is written here; anything else is read with more care.
    if let Some(rest) = line.strip_prefix(r#"{"type":""#)
        && let Some((kind, _)) = rest.split_once('"')
    {
        return Some(kind.into());
    }
    serde_json::from_str::<Kind<'_>>(line)
        .ok()
        .map(|line| line.r#type)
}
