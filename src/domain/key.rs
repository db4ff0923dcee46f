//! Signing keys: what state one is in.

use super::lifecycle::steps;
use super::words;

words!(
    /// A signing key's state: published → signing → retired with time; each → revoked.
    KeyState {
        Published = "published",
        Signing = "signing",
        Retired = "retired",
        Revoked = "revoked",
    }
);

steps!(
    /// What operators do with a key; all else comes with time.
    KeyStep over KeyState {
        /// For good: it signs nothing more, and what it signed is refused.
        Revoke: Published, Signing, Retired => Revoked, tokens_die;
    }
);
