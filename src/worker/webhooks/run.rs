//! A replay under way at an endpoint, as it stands in memory.

use std::collections::BTreeSet;

use crate::domain::id::ReplayId;

/// A replay: what of it was begun, and what is on record.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: ReplayId,
    /// Up to which event it was sent.
    pub(super) read: i64,
    /// Up to which number it is on record.
    durable: i64,
    /// Begun, and on no record.
    open: BTreeSet<i64>,
    /// On record, above others that are not.
    settled: BTreeSet<i64>,
    /// Whether nothing is left to be sent.
    ended: bool,
}

impl Run {
    /// From where it was done, and what above that is on record already.
    pub(super) fn new(id: ReplayId, done_upto: i64, settled: Vec<i64>) -> Self {
        Self {
            id,
            read: done_upto,
            durable: done_upto,
            open: BTreeSet::new(),
            settled: settled.into_iter().collect(),
            ended: false,
        }
    }

    /// Notes that an event goes out.
    pub(super) fn begin(&mut self, seq: i64) {
        self.read = self.read.max(seq);
        self.open.insert(seq);
    }

    /// Passes an event that is on record already. `false`: it must be sent.
    pub(super) fn pass(&mut self, seq: i64) -> bool {
        let is_settled = self.settled.contains(&seq);
        if is_settled {
            self.read = self.read.max(seq);
        }
        is_settled
    }

    /// Notes that nothing is left to be sent.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether nothing is left, and everything is on record.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.open.is_empty()
    }

    /// What is to be written down once these are on record: up to which number that is all, and whether
    /// it is over. `None`: nothing new.
    pub(super) fn news(&self, landed: &BTreeSet<i64>) -> Option<(ReplayId, i64, bool)> {
        let open = self.open.iter().find(|seq| !landed.contains(seq));
        let upto = open.map_or(self.read, |first| first - 1);
        let is_over = self.ended && open.is_none();
        (upto > self.durable || is_over).then(|| (self.id.clone(), upto, is_over))
    }

    /// Notes that an event is on record.
    pub(super) fn landed(&mut self, seq: i64) {
        self.open.remove(&seq);
    }

    /// Notes up to which number it is on record.
    pub(super) fn settled(&mut self, upto: i64) {
        self.durable = self.durable.max(upto);
        self.settled = self.settled.split_off(&(self.durable + 1));
    }
}
