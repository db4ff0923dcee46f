//! Reviews: cases that operators look into.

use super::lifecycle::steps;
use super::words;

words!(
    /// What is looked into.
    ReviewKind {
        ProhibitedMaterial = "prohibited_material",
        Leak = "leak",
        RelatedPartner = "related_partner",
        UnexpectedActivity = "unexpected_activity",
    }
);

words!(
    /// A case's state: open → closed, with a reason.
    CaseState { Open = "open", Closed = "closed" }
);

steps!(
    /// What operators do with a case.
    CaseStep over CaseState {
        /// For good: what raises it again opens another.
        Close: Open => Closed;
    }
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_case_keeps_to_the_drawing() {
        keeps_to::<CaseStep>(CaseState::Open, &[(CaseState::Open, CaseState::Closed)]);
    }
}
