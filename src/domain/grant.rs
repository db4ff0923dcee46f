//! Scope grants: permissions asked for with a purpose, and decided by somebody else.

use super::instant::Instant;
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

/// Who decides sandbox grants where the server is configured to approve them at once.
pub const POLICY: &str = "policy";

/// Whether a grant lets a token carry its scope now.
pub fn is_in_force(state: GrantState, expires_at: Instant, now: Instant) -> bool {
    state == GrantState::Approved && now < expires_at
}
