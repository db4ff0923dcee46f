//! Scopes that are held and not used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{DAY, Recommendation, Rules};
use crate::admin::clients::ADDED;
use crate::audit::Action;
use crate::domain::day::Day;
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::recommendation::{About, Place};
use crate::domain::scope::{Scope, ScopeSet};
use crate::store::clients::Client;
use crate::store::recommendations::{self as rows, Filter, Which};
use crate::store::scope_usage::{self, LastDays};
use crate::store::{Db, StoreError, audit_events};

/// Clients that are looked at together.
const BATCH: i64 = 100;
/// The most clients that one search looks at.
const MOST: usize = 1000;

/// Adds unused scopes from a place on until there is no room; answers where it stopped early,
/// after having looked at many clients.
pub(super) fn search(
    db: &mut Db,
    rules: Rules,
    place: Option<&Place>,
    (filter, room): (&Filter, usize),
    found: &mut Vec<Recommendation>,
) -> Result<Option<Place>, StoreError> {
    let full = found.len() + room;
    // In the middle of a client's scopes: its others are looked at again.
    let (mut reached, mut seen_of_first) = match place {
        Some(Place::After(About::UnusedScope(id, scope))) => (Some(id.clone()), Some(scope)),
        Some(Place::PastClient(id)) => (Some(id.clone()), None),
        _ => (None, None),
    };
    let mut looked_at = 0;
    while looked_at < MOST {
        let id = reached.as_ref().map_or("", ClientId::as_str);
        let which = match seen_of_first {
            Some(_) => Which::From(id, BATCH),
            None => Which::Past(id, BATCH),
        };
        let made_by = rules.now.minus(rules.policy.unused);
        let clients = rows::holders(db, which, filter, made_by, rules.now)?;
        for one in unused(db, rules, &clients)? {
            let is_seen = match (&one.about, seen_of_first) {
                (About::UnusedScope(id, scope), Some(seen)) => {
                    Some(id) == reached.as_ref() && scope <= seen
                }
                _ => false,
            };
            if !is_seen {
                found.push(one);
            }
            if found.len() >= full {
                return Ok(None);
            }
        }
        if clients.len() < usize::try_from(BATCH).unwrap_or(0) {
            return Ok(None);
        }
        looked_at += clients.len();
        reached = clients.last().map(|client| client.id.clone());
        seen_of_first = None;
    }
    Ok(reached.map(Place::PastClient))
}

/// What a partner's grants say about a scope in a realm.
#[derive(Clone, Copy)]
struct Held {
    since: Option<Instant>,
    /// At another audience too, whose calls this server does not see.
    elsewhere: bool,
}

/// The scopes that these clients hold and have not used for long, in the order of clients and
/// of scopes.
pub(super) fn unused(
    db: &mut Db,
    rules: Rules,
    clients: &[Client],
) -> Result<Vec<Recommendation>, StoreError> {
    let ids: Vec<&ClientId> = clients.iter().map(|client| &client.id).collect();
    let last = scope_usage::last_days(db, &ids)?;
    let held = grants(db, clients, rules.now.minus(rules.policy.unused))?;
    let added = added(db, rules, &ids)?;
    let mut found = Vec::new();
    for client in clients {
        for scope in client.scopes.iter() {
            let key = (client.id.clone(), scope.clone());
            if added.contains(&key) {
                continue;
            }
            let last = last.get(&key).copied().unwrap_or_default();
            let held = client.partner_id.as_ref().and_then(|partner| {
                held.get(&(partner.clone(), client.realm, scope.clone()))
                    .copied()
            });
            found.extend(judge(rules, client, scope, last, held));
        }
    }
    Ok(found)
}

/// The scopes that clients were given so lately that nobody can say yet whether they need them.
fn added(
    db: &mut Db,
    rules: Rules,
    clients: &[&ClientId],
) -> Result<BTreeSet<(ClientId, Scope)>, StoreError> {
    let targets: Vec<&str> = clients.iter().map(|id| id.as_str()).collect();
    let since = rules.now.minus(rules.policy.unused);
    let mut added = BTreeSet::new();
    let action = Action::ClientChanged.as_str();
    for (client, details) in audit_events::done_to(db, &targets, action, since)? {
        let details: Value = serde_json::from_str(&details).unwrap_or_default();
        let scopes = details.get(ADDED).and_then(Value::as_str).map(str::parse);
        if let (Ok(client), Some(Ok(scopes))) = (client.parse::<ClientId>(), scopes) {
            let scopes: ScopeSet = scopes;
            added.extend(scopes.iter().map(|scope| (client.clone(), scope.clone())));
        }
    }
    Ok(added)
}

/// `lately`: what ended before it at another audience says nothing any more.
fn grants(
    db: &mut Db,
    clients: &[Client],
    lately: Instant,
) -> Result<BTreeMap<(PartnerId, Realm, Scope), Held>, StoreError> {
    let mut partners: Vec<&PartnerId> = clients
        .iter()
        .filter_map(|client| client.partner_id.as_ref())
        .collect();
    partners.sort();
    partners.dedup();
    // At each audience from when on without a gap: before it nobody could use it.
    let mut chains = BTreeMap::new();
    for grant in rows::granted(db, &partners)? {
        let key = (grant.partner_id, grant.realm, grant.scope);
        let chain = chains
            .entry((key, grant.resource_server_id))
            .or_insert((grant.decided_at, grant.expires_at));
        let is_renewal = grant.decided_at.is_none_or(|at| at <= chain.1);
        *chain = if is_renewal {
            (chain.0, chain.1.max(grant.expires_at))
        } else {
            (grant.decided_at, grant.expires_at)
        };
    }
    let mut held = BTreeMap::new();
    for ((key, resource_server), (since, end)) in chains {
        if resource_server.is_some() && end < lately {
            continue;
        }
        let known: &mut Held = held.entry(key).or_insert(Held {
            since,
            elsewhere: false,
        });
        // One that came to be granted at another audience lately may be meant for that.
        known.since = known.since.max(since);
        known.elsewhere |= resource_server.is_some();
    }
    Ok(held)
}

/// The scopes that a client's partner was granted at other services at some time since, whose calls are not seen here.
pub fn scopes_elsewhere(
    db: &mut Db,
    client: &Client,
    since: Instant,
) -> Result<ScopeSet, StoreError> {
    let partners: Vec<&PartnerId> = client.partner_id.iter().collect();
    let granted = rows::granted(db, &partners)?.into_iter();
    let elsewhere = granted.filter(|grant| {
        grant.realm == client.realm
            && grant.resource_server_id.is_some()
            && grant.expires_at >= since
    });
    Ok(elsewhere.map(|grant| grant.scope).collect())
}

/// Whether a client could do without a scope.
///
/// Who calls the partner API or the admin API is seen at the door. What happens at another
/// service is not: a scope that is granted there counts as used when a token carried it.
fn judge(
    rules: Rules,
    client: &Client,
    scope: &Scope,
    last: LastDays,
    held: Option<Held>,
) -> Option<Recommendation> {
    let since_when = rules.now.minus(rules.policy.unused);
    let granted = held.and_then(|held| held.since);
    let held_since = granted.map_or(client.created_at, |at| at.max(client.created_at));
    let elsewhere = held.is_some_and(|held| held.elsewhere);
    let last_used = if elsewhere {
        last.used.max(last.asked)
    } else {
        last.used
    };
    if held_since > since_when || last_used.is_some_and(|day| day >= Day::of(since_when)) {
        return None;
    }
    let what = if elsewhere { "asked for it" } else { "used it" };
    let reason = match last_used {
        Some(day) => format!("the client holds {scope} and has not {what} since {day}"),
        None => format!(
            "the client has held {scope} since {} and has never {what}",
            Day::of(held_since)
        ),
    };
    Some(Recommendation {
        about: About::UnusedScope(client.id.clone(), scope.clone()),
        realm: client.realm,
        partner_id: client.partner_id.clone(),
        client_id: Some(client.id.clone()),
        credential_id: None,
        grant_id: None,
        scope: Some(scope.clone()),
        since: last_used.map_or(held_since, |day| day.start().plus(DAY)),
        ends_at: None,
        reason,
    })
}
