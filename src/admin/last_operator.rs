//! The last operator who can make others stays.

use super::AdminError;
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::instant::Instant;
use crate::store::clients::{self, Client};
use crate::store::{Db, StoreError};

/// Whether a client may make operators.
pub(super) fn makes_operators(client: &Client) -> bool {
    client.kind == ClientKind::Operator && client.scopes.names("operators:write")
}

/// Refuses what would take the last one away who can make operators: then only who holds the
/// machine could make another, and nobody should find that out in an emergency.
pub(super) fn leave_one(db: &mut Db, operator: &Client, now: Instant) -> Result<(), AdminError> {
    if !can_make_operators(db, operator, now)? {
        return Ok(());
    }
    for other in clients::active_operators(db)? {
        if other.id != operator.id && can_make_operators(db, &other, now)? {
            return Ok(());
        }
    }
    let detail = "it is the last operator who can make operators; \
                  make another with operators:write first, and give it a credential";
    Err(AdminError::conflict("last_operator", detail))
}

/// Whether it could do so now: active, not at its end, and with a credential that is accepted.
fn can_make_operators(db: &mut Db, client: &Client, now: Instant) -> Result<bool, StoreError> {
    let is_active =
        client.state == ClientState::Active && client.expires_at.is_none_or(|end| now < end);
    if !makes_operators(client) || !is_active {
        return Ok(false);
    }
    let held = crate::store::credentials::unrevoked(db, &client.id)?;
    Ok(held.iter().any(|c| c.validity().is_usable(now)))
}
