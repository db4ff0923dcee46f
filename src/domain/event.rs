//! Events: what partners are told.

use super::words;

words!(
    /// What an event is about.
    EventKind {
        CredentialExpiring = "credential.expiring",
        CredentialRotated = "credential.rotated",
        CredentialRevoked = "credential.revoked",
        ScopeGrantExpiring = "scope_grant.expiring",
        ScopeGrantRevoked = "scope_grant.revoked",
    }
);

/// How many days before an end a warning is given.
pub const WARNING_DAYS: [i32; 3] = [30, 7, 1];
