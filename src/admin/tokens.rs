//! Single tokens, revoked.

use super::{Act, AdminError};
use crate::audit::{Action, Deed};
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::realm::Realm;
use crate::domain::revocation::Revoked;
use crate::store::changes::Change;
use crate::store::issued_tokens;

/// A token, by its `jti`, and what is known of whose it is.
#[derive(Clone, Debug)]
pub struct Named {
    pub realm: Realm,
    pub jti: String,
    pub client_id: Option<ClientId>,
    pub partner_id: Option<PartnerId>,
}

/// Revokes one token. A `jti` that is not on record is revoked all the same: after a restore from
/// a backup, tokens live that the database does not remember.
pub fn revoke(db: &mut Change<'_>, act: &Act, token: Named) -> Result<Named, AdminError> {
    let token = match token.client_id {
        Some(_) => token,
        None => on_record(db, act, token)?,
    };
    let subject = Revoked::Token(token.jti.clone());
    act.revoke(db, token.realm, subject, "revoked")?;
    let client = token.client_id.as_ref().map(ClientId::as_str);
    let deed = Deed::new(Action::TokenRevoked, &token.jti)
        .partner_if(token.partner_id.as_ref())
        .realm(token.realm)
        .detail("client_id", client);
    act.record(db, deed)?;
    Ok(token)
}

/// The same with whose it is, if it was given out lately enough to live.
fn on_record(db: &mut Change<'_>, act: &Act, token: Named) -> Result<Named, AdminError> {
    let found = issued_tokens::living(db, token.realm, &token.jti, act.now)?;
    Ok(match found {
        Some((client_id, partner_id)) => Named {
            client_id: Some(client_id),
            partner_id,
            ..token
        },
        None => token,
    })
}
