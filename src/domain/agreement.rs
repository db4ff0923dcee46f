//! Agreements with a partner: what stands in force allows live access.

use super::instant::Instant;
use super::lifecycle::steps;
use super::words;

words!(
    /// What was agreed.
    AgreementKind { Contract = "contract", Dpa = "dpa" }
);

words!(
    /// An agreement's state: draft → in_force → expired or terminated.
    AgreementState {
        Draft = "draft",
        InForce = "in_force",
        Expired = "expired",
        Terminated = "terminated",
    }
);

steps!(
    /// What happens to an agreement. When a contract ends and none stands in its place, live
    /// access ends with it.
    AgreementStep over AgreementState {
        BringIntoForce: Draft => InForce;
        Expire: InForce => Expired, tokens_die;
        Terminate: InForce => Terminated, tokens_die;
    }
);

/// Whether an agreement counts at a moment: a state says what was decided, not what time has done.
pub fn is_in_force(
    state: AgreementState,
    from: Instant,
    expires_at: Instant,
    now: Instant,
) -> bool {
    state == AgreementState::InForce && from <= now && now < expires_at
}

/// The SHA-256 of the signed document, in 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentHash(String);

/// The text is no such hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a SHA-256 in 64 hexadecimal digits")]
pub struct BadDocumentHash;

impl std::str::FromStr for DocumentHash {
    type Err = BadDocumentHash;
    fn from_str(text: &str) -> Result<Self, BadDocumentHash> {
        let is_hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex
            .then(|| Self(text.to_ascii_lowercase()))
            .ok_or(BadDocumentHash)
    }
}

impl std::fmt::Display for DocumentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// From when until when an agreement counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// It counts from here on.
    pub from: Instant,
    /// It counts no longer.
    pub until: Instant,
}

/// Until when the terms that count now leave no gap. `None`: none counts now.
pub fn unbroken_until(terms: &[Term], now: Instant) -> Option<Instant> {
    let mut end = None;
    // Each round takes on from where the ones before reach; as many rounds as terms are enough.
    for _ in terms {
        let reached = end.unwrap_or(now);
        let further = terms
            .iter()
            .filter(|term| term.from <= reached && reached < term.until)
            .map(|term| term.until)
            .max();
        match further {
            Some(until) => end = Some(until),
            None => break,
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::AgreementState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn an_agreement_keeps_to_the_drawing() {
        keeps_to::<AgreementStep>(
            Draft,
            &[(Draft, InForce), (InForce, Expired), (InForce, Terminated)],
        );
    }

    #[test]
    fn an_agreement_counts_within_its_dates_alone() {
        let at = Instant::from_epoch_seconds;
        let counts = |now| is_in_force(InForce, at(10), at(20), at(now));
        assert_eq!([9, 10, 19, 20].map(counts), [false, true, true, false]);
        assert!(!is_in_force(Draft, at(10), at(20), at(15)));
    }

    #[test]
    fn a_document_is_named_by_64_hexadecimal_digits() {
        let upper = "AB".repeat(32);
        let hash: DocumentHash = upper.parse().unwrap();
        assert_eq!(hash.to_string(), "ab".repeat(32));
        for bad in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            assert_eq!(bad.parse::<DocumentHash>(), Err(BadDocumentHash), "{bad}");
        }
    }

    fn term((from, length): (i64, i64)) -> Term {
        Term {
            from: Instant::from_epoch_seconds(from),
            until: Instant::from_epoch_seconds(from + length),
        }
    }

    #[test]
    fn terms_that_follow_on_each_other_are_one() {
        let at = Instant::from_epoch_seconds;
        let terms = [(40, 10), (20, 10), (10, 10), (15, 9), (60, 5)].map(term);
        let until = |now| unbroken_until(&terms, at(now)).map(Instant::epoch_seconds);
        assert_eq!(
            [9, 10, 29, 30, 45, 50, 64].map(until),
            [None, Some(30), Some(30), None, Some(50), None, Some(65)]
        );
    }

    proptest! {
        /// Second by second: some term counts from now to the end, and none at the end.
        #[test]
        fn no_second_before_the_end_is_without_a_term(
            terms in proptest::collection::vec((0..40_i64, 1..12_i64), 0..8),
            now in 0..50_i64,
        ) {
            let terms: Vec<Term> = terms.into_iter().map(term).collect();
            let counts = |second| {
                let at = Instant::from_epoch_seconds(second);
                terms.iter().any(|term| term.from <= at && at < term.until)
            };
            match unbroken_until(&terms, Instant::from_epoch_seconds(now)) {
                None => prop_assert!(!counts(now)),
                Some(end) => {
                    prop_assert!(end.epoch_seconds() > now);
                    prop_assert!((now..end.epoch_seconds()).all(counts));
                    prop_assert!(!counts(end.epoch_seconds()));
                }
            }
        }
    }
}
