//! Launch reviews: what must be shown before a partner gets live access.

use super::lifecycle::steps;
use super::words;

words!(
    /// A review's state: draft → submitted → approved or rejected.
    ReviewState {
        Draft = "draft",
        Submitted = "submitted",
        Approved = "approved",
        Rejected = "rejected",
    }
);

steps!(
    /// What happens to a review.
    ReviewStep over ReviewState {
        /// By itself, once no check is pending.
        Submit: Draft => Submitted;
        Approve: Submitted => Approved, four_eyes;
        Reject: Submitted => Rejected, four_eyes;
    }
);

words!(
    /// A check's state: pending → passed, failed or waived.
    CheckState { Pending = "pending", Passed = "passed", Failed = "failed", Waived = "waived" }
);

steps!(
    /// What happens to a check.
    CheckStep over CheckState {
        Pass: Pending => Passed;
        Fail: Pending => Failed;
        /// With a reason, by another than who asked for the review.
        Waive: Pending => Waived, four_eyes;
    }
);

words!(
    /// What is checked.
    CheckName {
        SandboxOrder = "sandbox_order",
        IdempotentRetry = "idempotent_retry",
        WebhookVerified = "webhook_verified",
        BillingReconciled = "billing_reconciled",
        FailureRecovery = "failure_recovery",
        PrivacyReview = "privacy_review",
        SupportPath = "support_path",
    }
);

impl CheckName {
    /// Whether it is computed from what the partner did in the sandbox; the others people attest.
    pub const fn is_computed(self) -> bool {
        !matches!(self, Self::PrivacyReview | Self::SupportPath)
    }
}

words!(
    /// What an operator finds of a check.
    Finding { Passed = "passed", Failed = "failed", Waived = "waived" }
);

impl Finding {
    /// What happens to the check.
    pub const fn step(self) -> CheckStep {
        match self {
            Self::Passed => CheckStep::Pass,
            Self::Failed => CheckStep::Fail,
            Self::Waived => CheckStep::Waive,
        }
    }
}

words!(
    /// How a review ends.
    Decision { Approve = "approve", Reject = "reject" }
);

impl Decision {
    /// What happens to the review.
    pub const fn step(self) -> ReviewStep {
        match self {
            Self::Approve => ReviewStep::Approve,
            Self::Reject => ReviewStep::Reject,
        }
    }
}

words!(
    /// What an approved partner must have before it gets clients in live.
    Requirement {
        Contract = "contract",
        PrivacyNotice = "privacy_notice",
        LaunchReview = "launch_review",
    }
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_review_keeps_to_the_drawing() {
        use ReviewState::*;
        keeps_to::<ReviewStep>(
            Draft,
            &[
                (Draft, Submitted),
                (Submitted, Approved),
                (Submitted, Rejected),
            ],
        );
    }

    #[test]
    fn a_check_is_settled_once() {
        use CheckState::*;
        keeps_to::<CheckStep>(
            Pending,
            &[(Pending, Passed), (Pending, Failed), (Pending, Waived)],
        );
    }

    #[test]
    fn a_finding_and_a_decision_lead_where_their_words_say() {
        use crate::domain::lifecycle::Step;
        for finding in Finding::ALL {
            assert_eq!(finding.step().to().as_str(), finding.as_str());
        }
        assert_eq!(Decision::Approve.step().to(), ReviewState::Approved);
        assert_eq!(Decision::Reject.step().to(), ReviewState::Rejected);
    }
}
