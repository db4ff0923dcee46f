//! Letting a partner go: what it has ends with it, in the same transaction.

use super::{Act, AdminError, credentials};
use crate::audit::{Action, Deed};
use crate::domain::credential::RevocationReason;
use crate::domain::event::EventKind;
use crate::domain::id::PartnerId;
use crate::domain::revocation::Revoked;
use crate::store::changes::{Change, Subject};
use crate::store::credentials::unrevoked;
use crate::store::offboarding;

/// Why, in a word, on everything that ends.
const REASON: &str = "offboarding";

/// Revokes the partner's clients, their credentials, and its grants in force.
pub(super) fn end_all(
    db: &mut Change<'_>,
    act: &Act,
    partner: &PartnerId,
) -> Result<(), AdminError> {
    for client in offboarding::revoke_clients(db, partner, act.now)? {
        let revoked = Revoked::Client(client.id.clone());
        act.revoke(db, client.realm, revoked, REASON)?;
        db.touch(Subject::Client(client.id.clone()));
        let deed = Deed::new(Action::ClientRevoked, &client.id)
            .partner(partner)
            .realm(client.realm)
            .detail("reason", REASON);
        act.record(db, deed)?;
        for credential in unrevoked(db, &client.id)? {
            let reason = RevocationReason::Offboarding;
            credentials::revoke(db, act, &credential.id, reason, None)?;
        }
    }
    let by = act.actor.as_str();
    for grant in offboarding::revoke_grants(db, partner, by, REASON, act.now)? {
        let revoked = Revoked::Grant(partner.clone(), grant.scope.clone());
        act.revoke(db, grant.realm, revoked, REASON)?;
        let about = serde_json::json!({ "grant_id": grant.id, "scope": grant.scope.as_str(), "reason": REASON });
        act.tell(
            db,
            partner,
            grant.realm,
            EventKind::ScopeGrantRevoked,
            &about,
        )?;
        let deed = Deed::new(Action::ScopeGrantRevoked, &grant.id)
            .partner(partner)
            .realm(grant.realm)
            .detail("scope", grant.scope.as_str())
            .detail("reason", REASON);
        act.record(db, deed)?;
    }
    Ok(())
}
