//! Scope grants: permissions asked for with a purpose, and decided by somebody else.

use super::instant::Instant;
use super::lifecycle::steps;
use super::words;

words!(
    /// A grant's state: requested → approved or denied; approved → revoked or expired.
    GrantState {
        Requested = "requested",
        Approved = "approved",
        Denied = "denied",
        Revoked = "revoked",
        Expired = "expired",
    }
);

steps!(
    /// What happens to a grant.
    GrantStep over GrantState {
        Approve: Requested => Approved, four_eyes;
        Deny: Requested => Denied, four_eyes;
        Revoke: Approved => Revoked, tokens_die;
        /// By itself, at its end: no token outlives it anyway.
        Expire: Approved => Expired, tokens_die;
    }
);

/// Who decides sandbox grants where the server is configured to approve them at once.
pub const POLICY: &str = "policy";

/// Whether a grant lets a token carry its scope now.
pub fn is_in_force(state: GrantState, expires_at: Instant, now: Instant) -> bool {
    state == GrantState::Approved && now < expires_at
}

#[cfg(test)]
mod tests {
    use super::GrantState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_grant_keeps_to_the_drawing() {
        keeps_to::<GrantStep>(
            Requested,
            &[
                (Requested, Approved),
                (Requested, Denied),
                (Approved, Revoked),
                (Approved, Expired),
            ],
        );
    }
}
