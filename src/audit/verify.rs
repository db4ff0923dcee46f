//! An export, checked line by line: by whoever has it, with the log's public key and nothing else.
//!
//! What is trusted is the signature over the newest head, and the head that the operator kept. From the
//! leaves' hashes the tree is built again; from each event's fields its leaf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tlog_tiles::Hash;

use super::Action;
use super::checkpoint::{CheckpointError, HeadVerifier, SignedHead};
use super::leaf::is_address_kept;
use super::lines::{self, CheckpointLine, EventLine, LeavesLine, LogLine};
use super::tree::Edge;

/// The export cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadExport {
    #[error("line {line}: {what}")]
    Garbled { line: u64, what: String },
    #[error("it is cut off after line {0}: an export ends with a line of the type end")]
    Truncated(u64),
    #[error("it has {found} lines, and says that it had {told}: some are missing or were added")]
    Lines { told: u64, found: u64 },
    #[error("its key: {0}")]
    Key(CheckpointError),
    #[error("it was made by the log {found}, and the key is of {expected}")]
    OtherLog { found: String, expected: String },
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where in the tree; faults outside it come last.
    place: u64,
    /// The sentence.
    pub what: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Verdict {
    /// What is wrong, the first event first. Nothing: all is as it was written.
    pub faults: Vec<Fault>,
    /// The newest head. `None`: nothing was sequenced yet.
    pub head: Option<SignedHead>,
    /// How many events are in the tree and here.
    pub events: u64,
    /// How many are not here any more, as a signed event says.
    pub deleted: u64,
    /// How many have no place yet.
    pub pending: u64,
}

/// A line that ends too early, or is none at all.
const CUT_OFF: &str = "it is not JSON of an audit export (is it cut off?)";

/// The most faults that are kept; the first is what counts.
const FAULTS: usize = 1000;

/// A check under way.
#[derive(Debug)]
pub struct Verification {
    verifier: Option<HeadVerifier>,
    kept: Option<String>,
    kept_head: Option<SignedHead>,
    size: u64,
    edge: Edge,
    lines: u64,
    /// Up to where the tree was as an earlier head says.
    signed_until: u64,
    /// The first event after that.
    since_signed: Option<String>,
    last_event: Option<String>,
    gaps: Vec<(u64, u64)>,
    kept_from: u64,
    faults: Vec<Fault>,
    events: u64,
    pending: u64,
    end: Option<SignedHead>,
    ended: bool,
}

impl Verification {
    /// With the log's key, or that which the export names; and with the head that was kept.
    pub fn new(key: Option<&str>, kept: Option<String>) -> Result<Self, BadExport> {
        let verifier = key.map(HeadVerifier::new).transpose();
        Ok(Self {
            verifier: verifier.map_err(BadExport::Key)?,
            kept,
            kept_head: None,
            size: 0,
            edge: Edge::default(),
            lines: 0,
            signed_until: 0,
            since_signed: None,
            last_event: None,
            gaps: Vec::new(),
            kept_from: 0,
            faults: Vec::new(),
            events: 0,
            pending: 0,
            end: None,
            ended: false,
        })
    }

    /// Takes the next line.
    pub fn line(&mut self, line: &str) -> Result<(), BadExport> {
        self.lines += 1;
        if self.ended {
            return Err(self.garbled("there is something after the end"));
        }
        let kind = lines::kind(line).ok_or_else(|| self.garbled(CUT_OFF))?;
        if (self.lines == 1) != (kind == "log") {
            return Err(self.garbled("an export begins with one line of the type log"));
        }
        match &*kind {
            "log" => self.log(&self.parse(line)?),
            "event" => self.event(&self.parse(line)?),
            "leaves" => self.leaves(&self.parse(line)?),
            "checkpoint" => {
                self.checkpoint(&self.parse(line)?);
                Ok(())
            }
            "pending" | "set_aside" => {
                self.without_place(&kind, &self.parse(line)?);
                Ok(())
            }
            "end" => self.end(&self.parse(line)?),
            other => Err(self.garbled(&format!("{other} is no type of line"))),
        }
    }

    /// What came of it.
    pub fn finish(mut self) -> Result<Verdict, BadExport> {
        if !self.ended {
            return Err(BadExport::Truncated(self.lines));
        }
        let mut deleted = 0;
        for (first, last) in std::mem::take(&mut self.gaps) {
            deleted += (last + 1).min(self.kept_from).saturating_sub(first);
            let missing = first.max(self.kept_from);
            if missing <= last {
                let (count, until) = (last - missing, last);
                let what = match count {
                    0 => format!(
                        "the event of leaf {missing} is missing: its row was deleted or moved"
                    ),
                    _ => format!(
                        "the events of leaves {missing} to {until} are missing: their rows were deleted or moved"
                    ),
                };
                self.fault(missing, what);
            }
        }
        self.faults.sort();
        Ok(Verdict {
            faults: self.faults,
            head: self.end,
            events: self.events,
            deleted,
            pending: self.pending,
        })
    }

    fn log(&mut self, line: &LogLine<'_>) -> Result<(), BadExport> {
        if line.version != lines::VERSION {
            let what = format!("this program reads version {} of exports", lines::VERSION);
            return Err(self.garbled(&what));
        }
        let verifier = match self.verifier.take() {
            Some(verifier) => verifier,
            None => HeadVerifier::new(&line.key).map_err(BadExport::Key)?,
        };
        if verifier.name() != line.name {
            return Err(BadExport::OtherLog {
                found: line.name.to_string(),
                expected: verifier.name().to_owned(),
            });
        }
        self.size = line.size;
        if let Some(note) = self.kept.take() {
            match verifier.verify(&note) {
                Ok(head) if head.size > self.size => {
                    let what = format!(
                        "the tree has {} leaves, and had {} when the checkpoint was kept: the newest events were deleted, or the tree was put back",
                        self.size, head.size
                    );
                    self.fault(self.size, what);
                }
                Ok(head) => self.kept_head = Some(head),
                Err(error) => {
                    self.fault(
                        0,
                        format!("the checkpoint that was kept cannot be trusted: {error}"),
                    );
                }
            }
        }
        self.verifier = Some(verifier);
        self.compare_kept();
        Ok(())
    }

    fn event(&mut self, line: &EventLine<'_>) -> Result<(), BadExport> {
        let id = &line.id;
        let place = line.leaf_index.and_then(|place| u64::try_from(place).ok());
        let Some(place) = place else {
            self.fault(0, format!("{id} claims a place that there cannot be"));
            return Ok(());
        };
        if place < self.edge.size() {
            self.fault(
                place,
                format!("{id} claims leaf {place}, which is another event's"),
            );
            return Ok(());
        }
        if place >= self.size {
            self.fault(
                place,
                format!(
                    "{id} claims leaf {place}, which is in no signed tree: it was put there by hand"
                ),
            );
            return Ok(());
        }
        if place > self.edge.size() {
            let what = format!("leaves {} to {} are left out", self.edge.size(), place - 1);
            return Err(self.garbled(&what));
        }
        let details = line.details_text();
        let leaf = line.leaf(&details).hash();
        let Some(known) = line.leaf_hash.as_deref().and_then(decode) else {
            self.fault(
                place,
                format!("the tree has no leaf {place}, which was {id}'s: its hashes were deleted"),
            );
            self.push(leaf, Some(id));
            return Ok(());
        };
        if known != leaf {
            self.fault(place, format!("{id} (leaf {place}) is not what was sequenced there: it was edited or moved, or its leaf was"));
        } else if !self.has_address(line) {
            self.fault(place, format!("{id} (leaf {place}) is not as it was written: its address or what stands for it was edited"));
        } else if !line.authentic {
            self.fault(place, format!("{id} (leaf {place}) does not carry the server's MACs: it was edited, moved or forged"));
        }
        if line.action == Action::AuditEventsDeleted.as_str()
            && known == leaf
            && let Some(from) = kept_from(&details)
        {
            self.kept_from = self.kept_from.max(from);
        }
        self.events += 1;
        self.push(known, Some(id));
        Ok(())
    }

    fn leaves(&mut self, line: &LeavesLine<'_>) -> Result<(), BadExport> {
        if line.first != self.edge.size() || line.hashes.is_empty() {
            return Err(self.garbled("its leaves do not follow on those before"));
        }
        let last = line.first + u64::try_from(line.hashes.len()).unwrap_or(0) - 1;
        if last >= self.size {
            return Err(self.garbled("it has more leaves than the tree"));
        }
        match self.gaps.last_mut() {
            Some((_, until)) if *until + 1 == line.first => *until = last,
            _ => self.gaps.push((line.first, last)),
        }
        for hash in &line.hashes {
            let place = self.edge.size();
            let known = decode(hash).unwrap_or_else(|| {
                self.fault(
                    place,
                    format!("the tree has no leaf {place}: its hashes were deleted"),
                );
                tlog_tiles::EMPTY_HASH
            });
            self.push(known, None);
        }
        Ok(())
    }

    /// A head from between: where it does not fit, what is wrong lies before it.
    fn checkpoint(&mut self, line: &CheckpointLine<'_>) {
        let size = self.edge.size();
        let (Some(note), Some(verifier)) = (&line.note, &self.verifier) else {
            return;
        };
        let claimed = format!("\n{size}\n{}\n", self.edge.root());
        if note.contains(&claimed) {
            // Its signature is looked at only where it says something else: a head that fits helps nobody
            // who forged it.
            self.signed_until = size;
            self.since_signed = None;
            return;
        }
        match verifier.verify(note) {
            Ok(head) if head.size == size => self.not_as_signed(&head),
            Ok(head) => {
                let what = format!(
                    "the checkpoint over {size} leaves was replaced by one over {}",
                    head.size
                );
                self.fault(size, what);
            }
            Err(error) => {
                let what = format!("the checkpoint over {size} leaves was replaced: {error}");
                self.fault(size, what);
            }
        }
    }

    fn without_place(&mut self, kind: &str, line: &EventLine<'_>) {
        let id = &line.id;
        if kind == "set_aside" {
            let reason = line.set_aside.as_deref().unwrap_or_default();
            let what = format!("{id} is set aside: {reason}");
            self.fault(u64::MAX, what);
            return;
        }
        self.pending += 1;
        if !line.authentic {
            let what = format!(
                "{id} waits for its place and does not carry the server's MAC: it was edited or forged"
            );
            self.fault(u64::MAX, what);
        } else if !self.has_address(line) {
            let what = format!(
                "{id} waits for its place, and its address or what stands for it was edited"
            );
            self.fault(u64::MAX, what);
        }
    }

    fn end(&mut self, line: &CheckpointLine<'_>) -> Result<(), BadExport> {
        if let Some(told) = line.lines
            && told != self.lines
        {
            return Err(BadExport::Lines {
                told,
                found: self.lines,
            });
        }
        if self.edge.size() != self.size {
            let (found, told) = (self.edge.size(), self.size);
            return Err(self.garbled(&format!("it has {found} of the tree's {told} leaves")));
        }
        self.ended = true;
        let Some(note) = &line.note else {
            // Nothing is signed while there is nothing to sign, and everything afterwards.
            if self.size > 0 {
                let what = format!(
                    "the newest checkpoint was taken away: nothing signs the {} leaves",
                    self.size
                );
                self.fault(self.size, what);
            }
            return Ok(());
        };
        let Some(verifier) = &self.verifier else {
            return Ok(());
        };
        match verifier.verify(note) {
            Ok(head) if head.size != self.size => {
                let what = format!(
                    "the newest checkpoint was replaced by one over {} leaves",
                    head.size
                );
                self.fault(self.size, what);
            }
            Ok(head) => {
                if head.root != self.edge.root() {
                    self.not_as_signed(&head);
                }
                self.end = Some(head);
            }
            Err(error) => {
                let what = format!(
                    "the newest checkpoint, over {} leaves, was replaced: {error}",
                    self.size
                );
                self.fault(self.size, what);
            }
        }
        Ok(())
    }

    /// The leaves are not those that a good signature is over: one of those since the last that were.
    fn not_as_signed(&mut self, head: &SignedHead) {
        let (first, last) = (self.signed_until, head.size.saturating_sub(1));
        let name = |id: &Option<String>| {
            id.clone()
                .unwrap_or_else(|| "an event that is gone".to_owned())
        };
        let what = format!(
            "the leaves {first} to {last} ({} to {}) are not those that were signed: events were edited, moved or exchanged, and their leaves with them",
            name(&self.since_signed),
            name(&self.last_event),
        );
        self.fault(first, what);
        // What comes after is compared with what is here: one fault is told once.
        self.signed_until = head.size;
        self.since_signed = None;
    }

    fn push(&mut self, leaf: Hash, id: Option<&str>) {
        if let Some(id) = id {
            if self.since_signed.is_none() {
                self.since_signed = Some(id.to_owned());
            }
            match &mut self.last_event {
                Some(last) => {
                    last.clear();
                    last.push_str(id);
                }
                none => *none = Some(id.to_owned()),
            }
        }
        self.edge.push(leaf, |_| ());
        self.compare_kept();
    }

    /// Compares with the head that was kept, once the tree has its size.
    fn compare_kept(&mut self) {
        let Some(kept) = self.kept_head.take_if(|kept| kept.size == self.edge.size()) else {
            return;
        };
        if kept.root != self.edge.root() {
            let what = format!(
                "the tree did not grow from the checkpoint that was kept: its first {} leaves are others now",
                kept.size
            );
            self.fault(kept.size.saturating_sub(1), what);
        }
    }

    fn has_address(&self, line: &EventLine<'_>) -> bool {
        is_address_kept(
            line.source_ip.as_deref(),
            line.source_ip_salt.as_deref(),
            line.source_ip_commitment.as_deref(),
        )
    }

    fn fault(&mut self, place: u64, what: String) {
        if self.faults.len() < FAULTS {
            self.faults.push(Fault { place, what });
        }
    }

    fn garbled(&self, what: &str) -> BadExport {
        BadExport::Garbled {
            line: self.lines,
            what: what.to_owned(),
        }
    }

    fn parse<'a, T: serde::Deserialize<'a>>(&self, line: &'a str) -> Result<T, BadExport> {
        serde_json::from_str(line).map_err(|error| match error.is_eof() {
            true => self.garbled(CUT_OFF),
            false => self.garbled(&error.to_string()),
        })
    }
}

/// From which place on the events of an `audit.events_deleted` are kept.
pub(super) fn kept_from(details: &str) -> Option<u64> {
    let details: serde_json::Value = serde_json::from_str(details).ok()?;
    details.get("kept_from")?.as_u64()
}

fn decode(hash: &str) -> Option<Hash> {
    let mut bytes = [0; 32];
    let length = STANDARD.decode_slice(hash, &mut bytes).ok()?;
    (length == 32).then_some(Hash(bytes))
}
