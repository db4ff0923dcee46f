//! Letting a partner go: what it has ends with it, in the same transaction.

use super::{Act, AdminError, credentials, grants, partners};
use crate::audit::{Action, Deed};
use crate::domain::credential::RevocationReason;
use crate::domain::event::GrantEnd;
use crate::domain::id::PartnerId;
use crate::domain::partner::PartnerStep;
use crate::domain::revocation::Revoked;
use crate::store::changes::{Change, Subject};
use crate::store::credentials::unrevoked;
use crate::store::offboarding;
use crate::store::partners::Partner;

/// Why, in a word, on everything that ends.
const REASON: &str = "offboarding";

/// Revokes the partner's clients, their credentials, and its grants in force; cancels its replays, and
/// deletes its webhook endpoints.
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
        grants::tell(db, act, &grant, GrantEnd::Offboarding)?;
        let deed = Deed::new(Action::ScopeGrantRevoked, &grant.id)
            .partner(partner)
            .realm(grant.realm)
            .detail("scope", grant.scope.as_str())
            .detail("reason", REASON);
        act.record(db, deed)?;
    }
    // Before the endpoints, as whoever delivers takes them.
    for (replay, realm) in offboarding::cancel_replays(db, partner, act.now)? {
        let deed = Deed::new(Action::ReplayCancelled, &replay)
            .partner(partner)
            .realm(realm)
            .detail("reason", REASON);
        act.record(db, deed)?;
    }
    for (endpoint, realm) in offboarding::delete_webhook_endpoints(db, partner, act.now)? {
        let deed = Deed::new(Action::WebhookEndpointDeleted, &endpoint)
            .partner(partner)
            .realm(realm)
            .detail("reason", REASON);
        act.record(db, deed)?;
    }
    Ok(())
}

/// A partner that was let go, and what became of its records.
#[derive(Debug)]
pub struct Offboarded {
    pub partner: Partner,
    pub anonymised: Vec<Anonymised>,
    pub kept: Vec<Kept>,
}

/// What was taken out of how many records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anonymised {
    pub what: &'static str,
    pub records: usize,
}

/// What stays, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub what: &'static str,
    pub why: String,
}

/// Lets a suspended partner go: all that it has ends, and what the books do not need is taken out.
pub fn offboard(
    db: &mut Change<'_>,
    act: &Act,
    id: &PartnerId,
    reason: &str,
) -> Result<Offboarded, AdminError> {
    partners::step(db, act, id, PartnerStep::Offboard, Some(reason))?;
    let done = offboarding::anonymise(db, id, act.now)?;
    let anonymised = [
        ("the security contact", done.security_contacts),
        ("support contacts in privacy notices", done.notices),
        ("names and address lists of clients", done.clients),
        ("addresses in credentials", done.credentials),
        ("addresses in deliveries of secrets", done.deliveries),
        ("URLs of webhook endpoints", done.webhook_urls),
    ];
    let anonymised: Vec<_> = anonymised
        .into_iter()
        .map(|(what, records)| Anonymised { what, records })
        .collect();
    let kept = kept(act);
    let records: serde_json::Map<_, _> = anonymised
        .iter()
        .map(|one| (one.what.to_owned(), one.records.into()))
        .collect();
    let reasons: serde_json::Map<_, _> = kept
        .iter()
        .map(|one| (one.what.to_owned(), one.why.clone().into()))
        .collect();
    let deed = Deed::new(Action::PartnerAnonymised, id)
        .partner(id)
        .detail("anonymised", records)
        .detail("kept", reasons);
    act.record(db, deed)?;
    Ok(Offboarded {
        partner: partners::get(db, id)?,
        anonymised,
        kept,
    })
}

fn kept(act: &Act) -> Vec<Kept> {
    let days = act.policy.kept;
    let kept = |what, why: String| Kept { what, why };
    vec![
        kept(
            "name and legal name",
            "contracts and books are with this name".to_owned(),
        ),
        kept(
            "agreements with their references and documents' hashes",
            "they prove what was agreed, and on which basis data was handed over".to_owned(),
        ),
        kept(
            "orders, ledger and invoices",
            "they are the books; what the partner wrote into orders as metadata is taken out \
             within the hour"
                .to_owned(),
        ),
        kept(
            "privacy notices, launch reviews and scope grants",
            "they prove which access was given, for which purpose and by whom".to_owned(),
        ),
        kept(
            "ids of clients, and credentials with their secrets' hashes",
            "records name them, and a secret that turns up later must be recognised".to_owned(),
        ),
        kept(
            "audit trail",
            "what was done must stay provable; it says who, and contacts as they were told then"
                .to_owned(),
        ),
        kept(
            "request log",
            format!(
                "it holds no names and no addresses; each row goes after {} days",
                days.requests
            ),
        ),
        kept(
            "records of issued tokens, with addresses",
            format!(
                "investigations need them; how many days past its token's end each goes: {}",
                days.tokens
            ),
        ),
        kept(
            "events",
            format!(
                "they hold the ids of what they are about; each goes after {} days",
                days.events
            ),
        ),
    ]
}
