//! Partners: organisations, each a tenant.

use super::lifecycle::steps;
use super::words;

words!(
    /// A partner's state: applied → approved ⇄ suspended → offboarded; applied → rejected.
    PartnerState {
        Applied = "applied",
        Approved = "approved",
        Suspended = "suspended",
        Offboarded = "offboarded",
        Rejected = "rejected",
    }
);

steps!(
    /// What operators do with a partner.
    PartnerStep over PartnerState {
        Approve: Applied => Approved;
        Reject: Applied => Rejected;
        Suspend: Approved => Suspended, tokens_die;
        Resume: Suspended => Approved;
        /// For good: its clients, credentials and grants end with it.
        Offboard: Suspended => Offboarded, tokens_die;
    }
);

#[cfg(test)]
mod tests {
    use super::PartnerState::*;
    use super::*;
    use crate::domain::lifecycle::Step;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_partner_keeps_to_the_drawing() {
        keeps_to::<PartnerStep>(
            Applied,
            &[
                (Applied, Approved),
                (Applied, Rejected),
                (Approved, Suspended),
                (Suspended, Approved),
                (Suspended, Offboarded),
            ],
        );
    }

    #[test]
    fn whatever_leaves_approved_kills_tokens() {
        for step in PartnerStep::ALL {
            assert_eq!(
                step.tokens_die(),
                matches!(step.to(), Suspended | Offboarded)
            );
        }
    }
}
