//! Reviews: cases that operators look into.

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
