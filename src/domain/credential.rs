//! Credentials: when one may be used.

use super::instant::Instant;
use super::lifecycle::steps;
use super::words;

words!(
    /// What a client shows to authenticate.
    CredentialKind { Secret = "secret" }
);

words!(
    /// A credential's state: active ⇄ rotated; either → revoked.
    CredentialState { Active = "active", Rotated = "rotated", Revoked = "revoked" }
);

words!(
    /// Why a credential was revoked.
    RevocationReason {
        Compromised = "compromised",
        Unused = "unused",
        Offboarding = "offboarding",
        Superseded = "superseded",
        Other = "other",
    }
);

steps!(
    /// What happens to a credential.
    CredentialStep over CredentialState {
        /// A successor was issued; this one is accepted for a while longer.
        Rotate: Active => Rotated;
        /// Only while the successor is unused, and before the overlap ends.
        UndoRotation: Rotated => Active;
        /// The overlap ends early.
        FinishRotation: Rotated => Revoked, tokens_die;
        Revoke: Active, Rotated => Revoked, tokens_die;
    }
);

/// At most so many usable secrets a client: the one in use and its successor.
pub const MAX_USABLE_SECRETS: usize = 2;

/// What decides whether a credential may be used.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The state that is recorded.
    pub state: CredentialState,
    /// From then on it is unusable, whatever its state.
    pub expires_at: Option<Instant>,
    /// A superseded credential is accepted until then.
    pub accepts_until: Option<Instant>,
}

impl Validity {
    /// Whether the credential authenticates at this moment.
    pub fn is_usable(self, now: Instant) -> bool {
        let live = self.state != CredentialState::Revoked;
        live && self.ends_at().is_none_or(|end| now < end)
    }

    /// When it stops by itself, if ever.
    pub fn ends_at(self) -> Option<Instant> {
        [self.expires_at, self.accepts_until]
            .into_iter()
            .flatten()
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_epoch_seconds(seconds)
    }

    #[test]
    fn a_credential_ends_at_the_earlier_of_its_two_ends() {
        let validity = Validity {
            state: CredentialState::Rotated,
            expires_at: Some(at(100)),
            accepts_until: Some(at(50)),
        };
        assert!(validity.is_usable(at(49)));
        assert!(!validity.is_usable(at(50)));
        assert_eq!(validity.ends_at(), Some(at(50)));
    }

    #[test]
    fn a_credential_keeps_to_the_drawing() {
        use crate::domain::lifecycle::{Step, tests::keeps_to};
        use CredentialState::*;
        keeps_to::<CredentialStep>(
            Active,
            &[
                (Active, Rotated),
                (Rotated, Active),
                (Rotated, Revoked),
                (Active, Revoked),
            ],
        );
        for step in CredentialStep::ALL {
            assert_eq!(step.tokens_die(), step.to() == Revoked);
        }
    }

    #[test]
    fn a_revoked_credential_is_never_usable() {
        let validity = Validity {
            state: CredentialState::Revoked,
            expires_at: None,
            accepts_until: None,
        };
        assert!(!validity.is_usable(at(0)));
    }
}
