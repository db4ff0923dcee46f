//! Which state of a record somebody knows.

use std::fmt;

use super::instant::Instant;

/// A state of a record: which version it is, and when it became that.
///
/// The version alone would name two states: where a backup was restored, what it did not hold is counted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    version: i64,
    micros: i64,
}

impl Revision {
    /// A version, and the moment of the change that led to it.
    pub fn new(version: i64, updated_at: Instant) -> Self {
        Self {
            version,
            micros: updated_at.epoch_micros(),
        }
    }

    /// Reads a printed one. `None`: the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, micros) = text.split_once('.')?;
        let read = Self {
            version: version.parse().ok()?,
            micros: micros.parse().ok()?,
        };
        // `+3` and `03` are numbers, too, and were never printed.
        (read.to_string() == text).then_some(read)
    }

    /// Whether a change that is bound to these may be made to it. `None`: it is bound to none.
    pub fn is_among(self, expected: Option<&[Self]>) -> bool {
        expected.is_none_or(|expected| expected.contains(&self))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_as_it_was_printed_and_in_no_other_way() {
        let known = Revision::new(3, Instant::from_epoch_seconds(1_800_000_000));
        assert_eq!(known.to_string(), "3.1800000000000000");
        assert_eq!(Revision::parse("3.1800000000000000"), Some(known));
        for other in ["3", "+3.1800000000000000", "03.1800000000000000", "3.", ""] {
            assert_eq!(Revision::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_version_that_comes_again_is_another_revision() {
        let moment = |seconds: i64| Instant::from_epoch_seconds(1_800_000_000 + seconds);
        let (lost, again) = (Revision::new(3, moment(0)), Revision::new(3, moment(1)));
        assert!(lost.is_among(None) && lost.is_among(Some(&[again, lost])));
        assert!(!again.is_among(Some(&[lost])) && !again.is_among(Some(&[])));
    }
}
