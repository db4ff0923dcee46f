//! OAuth clients: what they are and what they may become.

use super::lifecycle::steps;
use super::words;

words!(
    /// Who stands behind a client.
    ClientKind { Partner = "partner", ResourceServer = "resource_server", Operator = "operator" }
);

words!(
    /// A client's state: active ⇄ suspended; either → revoked.
    ClientState { Active = "active", Suspended = "suspended", Revoked = "revoked" }
);

steps!(
    /// What operators do with a client.
    ClientStep over ClientState {
        Suspend: Active => Suspended, tokens_die;
        Resume: Suspended => Active;
        /// For good. Straight from active too: in an emergency one call must be enough.
        Revoke: Active, Suspended => Revoked, tokens_die;
    }
);

#[cfg(test)]
mod tests {
    use super::ClientState::*;
    use super::*;
    use crate::domain::lifecycle::Step;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_client_keeps_to_the_drawing() {
        keeps_to::<ClientStep>(
            Active,
            &[
                (Active, Suspended),
                (Suspended, Active),
                (Active, Revoked),
                (Suspended, Revoked),
            ],
        );
    }

    #[test]
    fn whatever_leaves_active_kills_tokens() {
        for step in ClientStep::ALL {
            assert_eq!(step.tokens_die(), step.to() != Active);
        }
    }
}
