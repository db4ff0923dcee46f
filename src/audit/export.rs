//! The whole trail as lines, some at a time.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use tlog_tiles::{Hash, record_hash};

use super::leaf;
use super::lines::{CheckpointLine, EventLine, LeavesLine, LogLine, VERSION};
use super::sequence::leaf_hashes;
use crate::keys::AuditKeys;
use crate::store::audit_events::{self, AuditEvent};
use crate::store::audit_tree;
use crate::store::{Db, StoreError};

/// How many rows are read at a time.
const PAGE: i64 = 1000;
/// How many hashes a line of leaves has.
const LEAVES: u64 = 1000;

/// An export under way.
#[derive(Debug)]
pub struct Export {
    keys: Arc<AuditKeys>,
    /// The head that is exported.
    note: Option<String>,
    size: u64,
    /// The next place.
    next: u64,
    stage: Stage,
    lines: u64,
}

/// What comes next.
#[derive(Debug)]
enum Stage {
    Log,
    /// After this row.
    Events(i64, String),
    /// Rows whose place is in no signed tree.
    Beyond,
    /// After this id.
    Pending(String),
    SetAside(String),
    End,
    Over,
}

impl Export {
    /// Of the tree under the newest head.
    pub fn begin(db: &mut Db, keys: &Arc<AuditKeys>) -> Result<Self, StoreError> {
        let newest = audit_tree::newest(db)?;
        let size = newest.as_ref().map_or(0, |newest| newest.size);
        Ok(Self {
            keys: Arc::clone(keys),
            size: u64::try_from(size).unwrap_or(0),
            note: newest.map(|newest| newest.note),
            next: 0,
            stage: Stage::Log,
            lines: 0,
        })
    }

    /// How many leaves the exported tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next lines. `None`: that was all.
    pub fn more(&mut self, db: &mut Db) -> Result<Option<String>, StoreError> {
        let mut text = String::new();
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Log => {
                let keys = Arc::clone(&self.keys);
                let line = LogLine {
                    r#type: "log".into(),
                    version: VERSION,
                    name: keys.name().into(),
                    key: keys.verifier().into(),
                    size: self.size,
                };
                self.line(&mut text, &line);
                Stage::Events(i64::MIN, String::new())
            }
            Stage::Events(place, id) => self.events(db, &mut text, (place, &id))?,
            Stage::Beyond => self.beyond(db, &mut text)?,
            Stage::Pending(after) => {
                let rows = audit_events::pending(db, &after, PAGE)?;
                match self.rest(&mut text, "pending", &rows) {
                    Some(last) => Stage::Pending(last),
                    None => Stage::SetAside(String::new()),
                }
            }
            Stage::SetAside(after) => {
                let rows = audit_events::all_set_aside(db, &after, PAGE)?;
                match self.rest(&mut text, "set_aside", &rows) {
                    Some(last) => Stage::SetAside(last),
                    None => Stage::End,
                }
            }
            Stage::End => {
                let line = CheckpointLine {
                    r#type: "end".into(),
                    note: self.note.take().map(Into::into),
                    lines: Some(self.lines + 1),
                };
                self.line(&mut text, &line);
                Stage::Over
            }
            Stage::Over => return Ok(None),
        };
        Ok(Some(text))
    }

    /// A page of events with their leaves, and the checkpoints between them.
    fn events(
        &mut self,
        db: &mut Db,
        text: &mut String,
        after: (i64, &str),
    ) -> Result<Stage, StoreError> {
        let mut rows = audit_events::by_place(db, after, PAGE)?;
        // What is sequenced meanwhile is not in the tree that is exported.
        let size = i64::try_from(self.size).unwrap_or(i64::MAX);
        rows.retain(|row| row.leaf_index.is_some_and(|place| place < size));
        let Some(last) = rows.last() else {
            self.leaves(db, text, self.size)?;
            return Ok(Stage::Beyond);
        };
        let next = Stage::Events(last.leaf_index.unwrap_or(i64::MAX), last.id.clone());
        let places: Vec<u64> = rows.iter().filter_map(place_of).collect();
        let mut hashes = leaf_hashes(db, &places)?.into_iter();
        let from = i64::try_from(self.next).unwrap_or(i64::MAX);
        let mut checkpoints = audit_tree::checkpoints_after(db, from, PAGE + 1)?
            .into_iter()
            .peekable();
        for row in &rows {
            let place = place_of(row);
            let hash = place.and_then(|_| hashes.next().flatten());
            if let Some(place) = place {
                self.leaves(db, text, place)?;
            }
            self.event(text, "event", row, hash);
            if let Some(place) = place {
                self.next = self.next.max(place + 1);
            }
            let reached = i64::try_from(self.next).unwrap_or(i64::MAX);
            while let Some(signed) = checkpoints.next_if(|one| one.size <= reached) {
                // The last one comes at the end.
                if signed.size == reached && reached < size {
                    let line = CheckpointLine {
                        r#type: "checkpoint".into(),
                        note: Some(signed.note.into()),
                        lines: None,
                    };
                    self.line(text, &line);
                }
            }
        }
        Ok(next)
    }

    /// The leaves up to a place whose events are not there.
    fn leaves(&mut self, db: &mut Db, text: &mut String, until: u64) -> Result<(), StoreError> {
        while self.next < until {
            let to = until.min(self.next + LEAVES);
            let places: Vec<u64> = (self.next..to).collect();
            let hashes = leaf_hashes(db, &places)?;
            let line = LeavesLine {
                r#type: "leaves".into(),
                first: self.next,
                hashes: hashes
                    .into_iter()
                    .map(|hash| hash.map(encode).unwrap_or_default().into())
                    .collect(),
            };
            self.line(text, &line);
            self.next = to;
        }
        Ok(())
    }

    /// Rows with a place that nobody gave them.
    fn beyond(&mut self, db: &mut Db, text: &mut String) -> Result<Stage, StoreError> {
        let size = |db: &mut Db| audit_tree::newest(db).map(|one| one.map_or(0, |one| one.size));
        let last = size(db)? - 1;
        let rows = audit_events::by_place(db, (last, "\u{10ffff}"), PAGE)?;
        // Read after the rows: a batch that was sequenced in between has its places by right.
        let size = size(db)?;
        for row in rows {
            if row.leaf_index.is_some_and(|place| place >= size) {
                self.event(text, "event", &row, None);
            }
        }
        Ok(Stage::Pending(String::new()))
    }

    /// Events without a place; tells the last one's id if there may be more.
    fn rest(&mut self, text: &mut String, kind: &str, rows: &[AuditEvent]) -> Option<String> {
        rows.iter()
            .for_each(|row| self.event(text, kind, row, None));
        rows.last().map(|row| row.id.clone())
    }

    fn event(&mut self, text: &mut String, kind: &str, row: &AuditEvent, hash: Option<Hash>) {
        let bytes = leaf::of(row);
        let mac = row.mac.as_deref();
        let is_genuine = mac.is_some_and(|mac| self.keys.is_mac(&bytes, mac));
        let is_placed = match (place_of(row), &row.leaf_mac) {
            (None, None) => kind != "event",
            (Some(place), Some(mac)) => self.keys.is_place_mac(place, &record_hash(&bytes).0, mac),
            _ => false,
        };
        let at = row.at.to_string();
        let line = EventLine {
            r#type: kind.into(),
            leaf_index: row.leaf_index,
            leaf_hash: hash.map(|hash| encode(hash).into()),
            id: row.id.as_str().into(),
            at: at.into(),
            actor: row.actor.as_str().into(),
            credential_id: row.credential_id.as_deref().map(Cow::from),
            action: row.action.as_str().into(),
            target: row.target.as_str().into(),
            partner_id: row.partner_id.as_deref().map(Cow::from),
            realm: row.realm.as_deref().map(Cow::from),
            outcome: row.outcome.as_str().into(),
            request_id: row.request_id.as_deref().map(Cow::from),
            source_ip: row.source_ip.as_deref().map(Cow::from),
            source_ip_salt: row.source_ip_salt.as_deref().map(Cow::from),
            source_ip_commitment: row.source_ip_commitment.as_deref().map(Cow::from),
            details: Cow::Owned(details(&row.details)),
            authentic: is_genuine && is_placed,
            set_aside: row.set_aside.as_deref().map(Cow::from),
        };
        self.line(text, &line);
    }

    fn line(&mut self, text: &mut String, line: &impl Serialize) {
        // Texts and numbers always become JSON.
        text.push_str(&serde_json::to_string(line).unwrap_or_default());
        text.push('\n');
        self.lines += 1;
    }
}

/// The details as an object where they are one that fits into a line, else as text.
fn details(stored: &str) -> Box<RawValue> {
    let is_object = stored.starts_with('{') && stored.ends_with('}') && !stored.contains('\n');
    let raw = is_object.then(|| RawValue::from_string(stored.to_owned()).ok());
    raw.flatten().unwrap_or_else(|| {
        let text = serde_json::Value::from(stored).to_string();
        RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    })
}

fn place_of(row: &AuditEvent) -> Option<u64> {
    row.leaf_index.and_then(|place| u64::try_from(place).ok())
}

fn encode(hash: Hash) -> String {
    STANDARD.encode(hash.0)
}
