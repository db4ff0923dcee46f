//! Partners: organisations, each a tenant.

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

impl PartnerState {
    /// The states that can follow.
    pub const fn allowed(self) -> &'static [PartnerState] {
        use PartnerState::*;
        match self {
            Applied => &[Approved, Rejected],
            Approved => &[Suspended],
            Suspended => &[Approved, Offboarded],
            Offboarded | Rejected => &[],
        }
    }
}
