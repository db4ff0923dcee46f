//! Which places on status lists belong to revoked tokens.

use onyx_verifier::{Audience, Claims, Revocations};

use crate::domain::realm::Realm;
use crate::revocation::feed::wire;
use crate::store::issued_tokens::{self, Listed, Named, Window};
use crate::store::revocations::Numbered;
use crate::store::{Db, StoreError};

/// A list's number and an index there.
pub(super) type Dead = (i64, usize);

/// Where the tokens stand that these revocations kill, among those given out within a window.
pub(super) fn killed(
    db: &mut Db,
    realm: Realm,
    by: &[Numbered],
    window: Window,
) -> Result<Vec<Dead>, StoreError> {
    if by.is_empty() {
        return Ok(Vec::new());
    }
    let mut named = Named::default();
    // The rule is the verifiers' own.
    let revocations = Revocations::default();
    for entry in by {
        named.add(entry.seq, entry.kind, &entry.id);
        revocations.apply(&wire(entry.clone()));
    }
    let mut dead = Vec::new();
    issued_tokens::named(db, realm, &named, window, |token| {
        let place = token.status_list.zip(token.status_index);
        let Some((list, index)) = place else { return };
        let (claims, kid) = claims(token);
        if revocations.is_revoked(&claims, &kid) {
            dead.extend(usize::try_from(index).ok().map(|index| (list, index)));
        }
    })?;
    Ok(dead)
}

/// As much of a token's claims as revocations are judged by; and its key.
fn claims(token: Listed) -> (Claims, String) {
    let claims = Claims {
        iss: String::new(),
        sub: String::new(),
        client_id: token.client_id,
        aud: Audience::Many(Vec::new()),
        scope: token.scope,
        iat: 0,
        nbf: 0,
        exp: 0,
        jti: token.jti,
        partner_id: token.partner_id,
        env: None,
        credential_id: Some(token.credential_id),
        rsn: token.rsn.map(i64::unsigned_abs),
        status: None,
        cnf: None,
    };
    (claims, token.kid)
}
