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

#[cfg(test)]
mod tests {
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
}
