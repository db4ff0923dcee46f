//! Following a recommendation: less is held afterwards.

use super::{Recommendation, Rules, scopes, unused_credentials};
use crate::admin::{Act, AdminError, clients, credentials};
use crate::audit::{Action, Deed};
use crate::domain::credential::RevocationReason;
use crate::domain::id::{ClientId, CredentialId, GrantId};
use crate::domain::realm::Realm;
use crate::domain::recommendation::About;
use crate::domain::scope::Scope;
use crate::store::changes::Change;
use crate::store::recommendations::{self as rows, Filter, Which};
use crate::store::{Db, credentials as credential_rows, grants as grant_rows};

/// The realm of what a recommendation is about.
pub fn realm_of(db: &mut Db, about: &About) -> Result<Realm, AdminError> {
    match about {
        About::UnusedScope(client, _) => Ok(clients::get(db, client)?.realm),
        About::UnusedCredential(id) | About::SecretNearEnd(id) => of_credential(db, id),
        About::GrantNearEnd(id) => of_grant(db, id),
    }
}

fn of_credential(db: &mut Db, id: &CredentialId) -> Result<Realm, AdminError> {
    let found = credential_rows::find(db, id)?.ok_or(AdminError::NotFound)?;
    Ok(clients::get(db, &found.client_id)?.realm)
}

fn of_grant(db: &mut Db, id: &GrantId) -> Result<Realm, AdminError> {
    let found = grant_rows::find(db, id)?.ok_or(AdminError::NotFound)?;
    Ok(found.realm)
}

/// Narrows the client or revokes the credential, if the recommendation still holds.
///
/// What counts is judged again within the transaction: what was used meanwhile stays.
pub fn apply(db: &mut Change<'_>, act: &Act, about: &About) -> Result<Recommendation, AdminError> {
    // Nothing is said about what does not exist.
    realm_of(db, about)?;
    let rules = Rules {
        now: act.now,
        policy: act.policy,
    };
    let applied = match about {
        About::UnusedScope(client, scope) => narrow(db, act, rules, client, scope)?,
        About::UnusedCredential(id) => revoke(db, act, rules, id)?,
        About::SecretNearEnd(_) => {
            return Err(nothing("the secret must be rotated by who uses it"));
        }
        About::GrantNearEnd(_) => {
            return Err(nothing("another grant must be asked for and decided"));
        }
    };
    let mut deed = Deed::new(Action::RecommendationApplied, about)
        .partner_if(applied.partner_id.as_ref())
        .realm(applied.realm)
        .detail("kind", about.kind().as_str())
        .detail("reason", applied.reason.as_str());
    if let Some(client) = &applied.client_id {
        deed = deed.detail("client_id", client.as_str());
    }
    act.record(db, deed)?;
    Ok(applied)
}

fn narrow(
    db: &mut Change<'_>,
    act: &Act,
    rules: Rules,
    id: &ClientId,
    scope: &Scope,
) -> Result<Recommendation, AdminError> {
    let which = Which::This(id.as_str());
    let made_by = rules.now.minus(rules.policy.unused);
    let held = rows::holders(db, which, &Filter::default(), made_by, rules.now)?;
    let unused = scopes::unused(db, rules, &held)?;
    let found = unused
        .into_iter()
        .find(|one| one.scope.as_ref() == Some(scope));
    let (Some(found), Some(client)) = (found, held.first()) else {
        return Err(overtaken());
    };
    clients::narrow(db, act, client, scope)?;
    Ok(found)
}

fn revoke(
    db: &mut Change<'_>,
    act: &Act,
    rules: Rules,
    id: &CredentialId,
) -> Result<Recommendation, AdminError> {
    let which = Which::This(id.as_str());
    let unused = unused_credentials(db, rules, which, &Filter::default())?;
    let found = unused.into_iter().next().ok_or_else(overtaken)?;
    credentials::revoke_on_request(db, act, id, RevocationReason::Unused, None)?;
    Ok(found)
}

fn nothing(instead: &str) -> AdminError {
    AdminError::conflict(
        "nothing_to_apply",
        format!("there is nothing that the server could do by itself: {instead}"),
    )
}

fn overtaken() -> AdminError {
    AdminError::conflict(
        "no_longer_applies",
        "this no longer applies: it was used meanwhile, or is gone already",
    )
}
