//! Recommendations: least privilege made visible, and what is about to end.
//!
//! None is stored: each is what the records say now, and its id says what it is about. So one
//! that was followed, or overtaken by use, is gone by itself.

mod apply;
mod scopes;

use std::time::Duration;

pub use apply::{apply, realm_of};
pub use scopes::scopes_elsewhere;

use super::Policy;
use crate::domain::event::WARNING_DAYS;
use crate::domain::id::{ClientId, CredentialId, GrantId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::page::Page;
use crate::domain::realm::Realm;
use crate::domain::recommendation::{About, Place, RecommendationKind};
use crate::domain::scope::Scope;
use crate::store::grants::Grant;
use crate::store::recommendations::{self as rows, Filter, Held, NearEnd, Which};
use crate::store::{Db, StoreError};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// What ends within so many days is near its end: as many as before the first warning.
const NEAR: Duration = Duration::from_secs(WARNING_DAYS[0] as u64 * 24 * 3600);

/// Something that an operator should look at, and why.
#[derive(Clone, Debug)]
pub struct Recommendation {
    pub about: About,
    pub realm: Realm,
    pub partner_id: Option<PartnerId>,
    pub client_id: Option<ClientId>,
    pub credential_id: Option<CredentialId>,
    pub grant_id: Option<GrantId>,
    pub scope: Option<Scope>,
    /// Since when it is so.
    pub since: Instant,
    /// What ends by itself, does so then.
    pub ends_at: Option<Instant>,
    /// What and why, in a sentence.
    pub reason: String,
}

/// Which recommendations are asked for.
#[derive(Clone, Debug)]
pub struct Search {
    pub kind: Option<RecommendationKind>,
    pub filter: Filter,
    pub after: Option<Place>,
    pub limit: usize,
}

/// The moment and the rules by which is judged.
#[derive(Clone, Copy, Debug)]
struct Rules {
    now: Instant,
    policy: Policy,
}

/// A page of recommendations, by kind and then by the id of what they are about.
///
/// A page can be short, or empty, and have a next one: a search among clients that need all that
/// they hold stops after a while, and goes on from there.
pub fn page(
    db: &mut Db,
    policy: Policy,
    now: Instant,
    search: &Search,
) -> Result<Page<Recommendation>, StoreError> {
    let rules = Rules { now, policy };
    let start = search.after.as_ref().map(Place::kind);
    let kinds = RecommendationKind::ALL.iter().copied();
    let kinds = kinds
        .filter(|kind| search.kind.is_none_or(|wanted| wanted == *kind))
        .filter(|kind| start.is_none_or(|start| start <= *kind));
    // One more than asked for tells whether there is a next page.
    let wanted = search.limit + 1;
    let mut found = Vec::new();
    for kind in kinds {
        let place = search.after.as_ref().filter(|place| place.kind() == kind);
        let room = wanted - found.len();
        let stopped = of_kind(db, rules, kind, place, (&search.filter, room), &mut found)?;
        if found.len() >= wanted {
            break;
        }
        if let Some(place) = stopped {
            let next = Some(place.to_string());
            return Ok(Page { rows: found, next });
        }
    }
    let more = found.len() >= wanted;
    found.truncate(search.limit);
    let last = found.last().filter(|_| more);
    Ok(Page {
        next: last.map(|last| Place::After(last.about.clone()).to_string()),
        rows: found,
    })
}

/// Adds recommendations of a kind until there is no room; answers where a search stopped early.
fn of_kind(
    db: &mut Db,
    rules: Rules,
    kind: RecommendationKind,
    place: Option<&Place>,
    (filter, room): (&Filter, usize),
    found: &mut Vec<Recommendation>,
) -> Result<Option<Place>, StoreError> {
    let past = match place {
        Some(Place::After(About::UnusedCredential(id) | About::SecretNearEnd(id))) => id.as_str(),
        Some(Place::After(About::GrantNearEnd(id))) => id.as_str(),
        _ => "",
    };
    let which = Which::Past(past, i64::try_from(room).unwrap_or(i64::MAX));
    match kind {
        RecommendationKind::UnusedScope => {
            return scopes::search(db, rules, place, (filter, room), found);
        }
        RecommendationKind::UnusedCredential => {
            found.extend(unused_credentials(db, rules, which, filter)?)
        }
        RecommendationKind::SecretNearEnd => {
            found.extend(secrets_near_end(db, rules, which, filter)?)
        }
        RecommendationKind::GrantNearEnd => {
            found.extend(grants_near_end(db, rules, which, filter)?)
        }
    }
    Ok(None)
}

fn unused_credentials(
    db: &mut Db,
    rules: Rules,
    which: Which<'_>,
    filter: &Filter,
) -> Result<Vec<Recommendation>, StoreError> {
    let since = rules.now.minus(rules.policy.unused);
    let held = rows::unused(db, which, filter, since, rules.now)?;
    Ok(held.into_iter().map(unused_credential).collect())
}

fn unused_credential(held: Held) -> Recommendation {
    let reason = match held.last_used_at {
        Some(last) => format!(
            "the credential has not been used since {}",
            last.to_whole_seconds()
        ),
        None => format!(
            "the credential was issued at {} and has never been used",
            held.created_at.to_whole_seconds()
        ),
    };
    Recommendation {
        about: About::UnusedCredential(held.id.clone()),
        since: held.last_used_at.unwrap_or(held.created_at),
        ends_at: held.expires_at,
        reason,
        ..of_credential(held)
    }
}

fn secrets_near_end(
    db: &mut Db,
    rules: Rules,
    which: Which<'_>,
    filter: &Filter,
) -> Result<Vec<Recommendation>, StoreError> {
    let by = rules.now.plus(NEAR);
    let near = NearEnd {
        now: rules.now,
        ends_by: by,
        sandbox_made_by: by.minus(rules.policy.sandbox_secret_age),
        live_made_by: by.minus(rules.policy.live_secret_age),
    };
    let held = rows::near_end(db, which, filter, near)?;
    let near = |held| secret_near_end(rules, held);
    Ok(held.into_iter().map(near).collect())
}

fn secret_near_end(rules: Rules, held: Held) -> Recommendation {
    let longest = rules.policy.secret_age(held.realm);
    let of_age = longest.map(|age| held.created_at.plus(age));
    let ends_at = [held.expires_at, of_age].into_iter().flatten().min();
    let reason = match (held.expires_at, of_age) {
        (Some(end), _) if ends_at == Some(end) => {
            format!("the secret ends {}: rotate it before", when(rules.now, end))
        }
        (_, Some(end)) if end <= rules.now => format!(
            "the secret has been past its longest age since {}: rotate it",
            end.to_whole_seconds()
        ),
        (_, end) => format!(
            "the secret reaches its longest age {}: rotate it before",
            when(rules.now, end.unwrap_or(rules.now))
        ),
    };
    Recommendation {
        about: About::SecretNearEnd(held.id.clone()),
        since: ends_at.map_or(held.created_at, |end| held.created_at.max(end.minus(NEAR))),
        ends_at,
        reason,
        ..of_credential(held)
    }
}

fn of_credential(held: Held) -> Recommendation {
    Recommendation {
        about: About::UnusedCredential(held.id.clone()),
        realm: held.realm,
        partner_id: held.partner_id,
        client_id: Some(held.client_id),
        credential_id: Some(held.id),
        grant_id: None,
        scope: None,
        since: held.created_at,
        ends_at: None,
        reason: String::new(),
    }
}

fn grants_near_end(
    db: &mut Db,
    rules: Rules,
    which: Which<'_>,
    filter: &Filter,
) -> Result<Vec<Recommendation>, StoreError> {
    let window = (rules.now, rules.now.plus(NEAR));
    let grants = rows::grants_near_end(db, which, filter, window)?;
    let near = |grant| grant_near_end(rules.now, grant);
    Ok(grants.into_iter().map(near).collect())
}

fn grant_near_end(now: Instant, grant: Grant) -> Recommendation {
    let reason = format!(
        "the grant of {} ends {} and none follows it: ask for another if it is still needed",
        grant.scope,
        when(now, grant.expires_at)
    );
    let approved = grant.decided_at.unwrap_or(grant.requested_at);
    Recommendation {
        about: About::GrantNearEnd(grant.id.clone()),
        realm: grant.realm,
        partner_id: Some(grant.partner_id),
        client_id: None,
        credential_id: None,
        grant_id: Some(grant.id),
        scope: Some(grant.scope),
        since: approved.max(grant.expires_at.minus(NEAR)),
        ends_at: Some(grant.expires_at),
        reason,
    }
}

/// `at 2030-01-31T12:00:00Z, in 3 days`
fn when(now: Instant, end: Instant) -> String {
    let at = end.to_whole_seconds();
    match now.days_until(end) {
        1 => format!("at {at}, within a day"),
        days => format!("at {at}, in {days} days"),
    }
}
