//! OAuth clients: what they are and what they may become.

use super::words;

words!(
    /// Who stands behind a client.
    ClientKind { Partner = "partner", ResourceServer = "resource_server", Operator = "operator" }
);

words!(
    /// A client's state: active ⇄ suspended → revoked.
    ClientState { Active = "active", Suspended = "suspended", Revoked = "revoked" }
);
