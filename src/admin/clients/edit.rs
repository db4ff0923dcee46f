//! A client changed: what it may do and from where, its lifetimes, its name.

use std::time::Duration;

use super::{check_default, check_end, check_granted, get};
use crate::admin::{Act, AdminError, last_operator, partners};
use crate::audit::{Action, Deed};
use crate::domain::allowlist::Allowlist;
use crate::domain::client::{ClientKind, ClientState, ClientStep};
use crate::domain::edit::Edit;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::revocation::Revoked;
use crate::domain::scope::{ADMIN_SCOPES, RESOURCE_SERVER_SCOPES, ScopeSet};
use crate::store::changes::{Change, Subject};
use crate::store::clients::{self, Client};

/// No token lives longer.
const LONGEST_TOKEN: Duration = Duration::from_secs(900);

/// The detail on record that names the scopes which a change added.
pub(in crate::admin) const ADDED: &str = "added";

/// What is to change of a client.
#[derive(Clone, Debug, Default)]
pub struct ClientEdit {
    pub name: Option<String>,
    pub scopes: Option<ScopeSet>,
    pub default_scopes: Edit<ScopeSet>,
    pub token_ttl: Edit<i32>,
    pub ip_allowlist: Edit<Allowlist>,
    pub expires_at: Edit<Instant>,
    pub self_rotation: Edit<bool>,
}

/// Changes a client that is not revoked. Where it may do less than before, or for less long, or
/// from fewer places, its tokens from before die.
pub fn edit(
    db: &mut Change<'_>,
    act: &Act,
    id: &ClientId,
    edit: ClientEdit,
) -> Result<Client, AdminError> {
    let before = get(db, id)?;
    let revoked = |state| AdminError::illegal::<ClientStep>("the client", state);
    if before.state == ClientState::Revoked {
        return Err(revoked(before.state));
    }
    let after = Client {
        updated_at: act.now,
        ..applied(&before, edit)?
    };
    let changed = differences(&before, &after);
    if changed.is_empty() {
        return Ok(before);
    }
    check(db, act, &before, &after)?;
    if !clients::edit(db, &after)? {
        return Err(revoked(get(db, id)?.state));
    }
    if let Some(reason) = tightened(&before, &after, act.now) {
        act.revoke(db, after.realm, Revoked::Client(id.clone()), reason)?;
    }
    db.touch(Subject::Client(id.clone()));
    let added = after.scopes.difference(&before.scopes);
    let mut deed = Deed::new(Action::ClientChanged, id)
        .partner_if(after.partner_id.as_ref())
        .realm(after.realm)
        .detail("changed", changed)
        .detail("scopes", after.scopes.as_str());
    if !added.is_empty() {
        // Since when it holds them: see `recommendations::scopes`.
        deed = deed.detail(ADDED, added.as_str());
    }
    act.record(db, deed)?;
    Ok(after)
}

/// The client as it is to be.
fn applied(before: &Client, edit: ClientEdit) -> Result<Client, AdminError> {
    let scopes = edit.scopes.unwrap_or_else(|| before.scopes.clone());
    let default_scopes = match (edit.default_scopes, &before.default_scopes) {
        // Not spoken of, the defaults follow the scopes, as long as some of them are left.
        (Edit::Keep, Some(default)) => {
            let left = default.intersection(&scopes);
            if left.is_empty() && !default.is_empty() {
                return Err(AdminError::invalid(
                    "/default_scopes",
                    "none of the default scopes would be left: send new ones, or null for all scopes",
                ));
            }
            Some(left)
        }
        (edit, default) => edit.apply(default.clone()),
    };
    Ok(Client {
        name: edit.name.unwrap_or_else(|| before.name.clone()),
        scopes,
        default_scopes,
        token_ttl: edit.token_ttl.apply(before.token_ttl),
        ip_allowlist: edit.ip_allowlist.apply(before.ip_allowlist.clone()),
        expires_at: edit.expires_at.apply(before.expires_at),
        self_rotation: edit.self_rotation.apply(before.self_rotation),
        ..before.clone()
    })
}

/// The members that are not what they were.
fn differences(before: &Client, after: &Client) -> Vec<&'static str> {
    let members = [
        ("name", before.name != after.name),
        ("scopes", before.scopes != after.scopes),
        (
            "default_scopes",
            before.default_scopes != after.default_scopes,
        ),
        ("token_ttl", before.token_ttl != after.token_ttl),
        ("ip_allowlist", before.ip_allowlist != after.ip_allowlist),
        ("expires_at", before.expires_at != after.expires_at),
        ("self_rotation", before.self_rotation != after.self_rotation),
    ];
    let changed = members.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(name, _)| name).collect()
}

/// Whether a client of its kind may be so.
fn check(
    db: &mut Change<'_>,
    act: &Act,
    before: &Client,
    after: &Client,
) -> Result<(), AdminError> {
    let mut looks = Vec::new();
    if before.scopes != after.scopes {
        looks.push(check_scopes(db, act, before, after));
    }
    looks.push(check_default(after.default_scopes.as_ref(), &after.scopes));
    if before.expires_at != after.expires_at {
        looks.push(check_end(after.expires_at, act.now));
        if after.expires_at.is_some() {
            looks.push(last_operator::leave_one(db, before, act.now));
        }
    }
    if after.self_rotation.is_some() && after.kind != ClientKind::Partner {
        let detail = "is for partners' clients only";
        looks.push(Err(AdminError::invalid("/self_rotation", detail)));
    }
    looks.push(check_own_address(act, after));
    AdminError::all(looks)
}

/// Which scopes a client may have follows from its kind; a partner's from its grants.
fn check_scopes(
    db: &mut Change<'_>,
    act: &Act,
    before: &Client,
    after: &Client,
) -> Result<(), AdminError> {
    match (after.kind, &after.partner_id) {
        (ClientKind::Partner, Some(partner)) => {
            if !after.scopes.is_subset(&before.scopes) {
                partners::approved(db, partner)?;
            }
            check_granted(db, partner, after.realm, &after.scopes, act.now)
        }
        (ClientKind::Operator, _) => {
            check_among(&after.scopes, ADMIN_SCOPES)?;
            if last_operator::makes_operators(after) {
                return Ok(());
            }
            last_operator::leave_one(db, before, act.now)
        }
        _ => check_among(&after.scopes, RESOURCE_SERVER_SCOPES),
    }
}

fn check_among(scopes: &ScopeSet, known: &[&str]) -> Result<(), AdminError> {
    if !scopes.is_empty() && scopes.is_subset(&ScopeSet::of(known)) {
        return Ok(());
    }
    let detail = format!("must be one or more of {}", known.join(", "));
    Err(AdminError::invalid("/scopes", detail))
}

/// Nobody locks itself out by a slip of the pen.
fn check_own_address(act: &Act, after: &Client) -> Result<(), AdminError> {
    let Some(list) = &after.ip_allowlist else {
        return Ok(());
    };
    let address = act.actor.source_ip().and_then(|ip| ip.parse().ok());
    if act.actor.as_str() == after.id.as_str() && !list.admits(address) {
        return Err(AdminError::invalid(
            "/ip_allowlist",
            "must contain the address that this request comes from, or it would lock you out",
        ));
    }
    Ok(())
}

/// Why tokens from before must not be accepted any more. `None`: they say nothing that is no longer so.
fn tightened(before: &Client, after: &Client, now: Instant) -> Option<&'static str> {
    let loses_networks = match (&before.ip_allowlist, &after.ip_allowlist) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => !after.covers(before),
    };
    let is_earlier = |end: Instant| before.expires_at.is_none_or(|before| end < before);
    // Further ahead than the longest token, the new end is after that of every token there is.
    let ends_early = |end: &Instant| is_earlier(*end) && *end < now.plus(LONGEST_TOKEN);
    if !before.scopes.is_subset(&after.scopes) {
        Some("scopes_narrowed")
    } else if loses_networks {
        Some("addresses_narrowed")
    } else if after.expires_at.as_ref().is_some_and(ends_early) {
        Some("ends_earlier")
    } else {
        None
    }
}
