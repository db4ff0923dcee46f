//! One client with everything that decides about its tokens.

use std::net::IpAddr;

use super::marks::Held;
use crate::domain::agreement::{Term, unbroken_until};
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::id::{ClientId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::partner::PartnerState;
use crate::domain::realm::Realm;
use crate::domain::scope::{RESOURCE_SERVER_SCOPES, Scope, ScopeSet};
use crate::store::clients::{self, Client};
use crate::store::credentials;
use crate::store::grants::{self, Grant};
use crate::store::{Db, StoreError, agreements, partners};

/// A client as the token endpoint sees it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The client.
    pub client: Client,
    /// Its credentials that were usable at the look.
    pub credentials: Vec<Held>,
    /// Its partner's grants in this realm that were in force at the look.
    pub grants: Vec<Grant>,
    /// Whether its partner is approved; true for clients without a partner.
    pub partner_approved: bool,
    /// The terms of its partner's contracts, which live access hangs on; elsewhere empty.
    pub contracts: Vec<Term>,
}

/// What a client holds at one audience: scopes, and when their grants end.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// The scopes.
    pub scopes: ScopeSet,
    /// When the grant of each ends; a scope can have several.
    ends: Vec<(Scope, Instant)>,
}

/// Which audience is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The realm's own API: the partner API, or the admin API.
    Api,
    /// The realm's issuer: its revocation feed.
    Issuer,
    /// A registered resource server.
    ResourceServer(ResourceServerId),
}

impl Entry {
    /// Whether the client may get tokens at all.
    pub fn is_active(&self, now: Instant) -> bool {
        self.client.state == ClientState::Active
            && self.partner_approved
            && self.client.expires_at.is_none_or(|end| now < end)
            && (!self.needs_contract() || self.contract_ends_at(now).is_some())
    }

    /// When live access ends for want of a contract; `None`: it hangs on none, or has none now.
    ///
    /// Told from dates, at each request: what is held in memory may be older than an end.
    pub fn contract_ends_at(&self, now: Instant) -> Option<Instant> {
        unbroken_until(&self.contracts, now)
    }

    fn needs_contract(&self) -> bool {
        self.client.kind == ClientKind::Partner && self.client.realm == Realm::Live
    }

    /// What the client holds at an audience now. `None`: an audience that is not for its kind.
    ///
    /// A grant for one audience says nothing about another, even under the same name.
    pub fn holdings(&self, audience: &Audience, now: Instant) -> Option<Holdings> {
        match (self.client.kind, audience) {
            (ClientKind::Operator, Audience::Api) => {
                Some(Holdings::unbounded(self.client.scopes.clone()))
            }
            (ClientKind::ResourceServer, Audience::Issuer) => {
                let scopes = self
                    .client
                    .scopes
                    .intersection(&ScopeSet::of(RESOURCE_SERVER_SCOPES));
                Some(Holdings::unbounded(scopes))
            }
            (ClientKind::Partner, Audience::Api) => Some(self.granted(None, now)),
            (ClientKind::Partner, Audience::ResourceServer(id)) => {
                Some(self.granted(Some(id), now))
            }
            _ => None,
        }
    }

    /// Whether the client may call from this address.
    pub fn may_call_from(&self, address: Option<IpAddr>) -> bool {
        let list = self.client.ip_allowlist.as_ref();
        list.is_none_or(|list| list.admits(address))
    }

    fn granted(&self, server: Option<&ResourceServerId>, now: Instant) -> Holdings {
        let counts = |g: &&Grant| {
            g.resource_server_id.as_ref() == server
                && now < g.expires_at
                && self.client.scopes.contains(&g.scope)
        };
        let held = self.grants.iter().filter(counts);
        let ends: Vec<(Scope, Instant)> = held.map(|g| (g.scope.clone(), g.expires_at)).collect();
        Holdings {
            scopes: ends.iter().map(|(scope, _)| scope.clone()).collect(),
            ends,
        }
    }
}

impl Holdings {
    fn unbounded(scopes: ScopeSet) -> Self {
        Self {
            scopes,
            ends: Vec::new(),
        }
    }

    /// When the first of these scopes stops being held; `None`: no end is set.
    ///
    /// A scope with several grants is held until the last of them ends.
    pub fn end_of(&self, scopes: &ScopeSet) -> Option<Instant> {
        let end = |scope: &Scope| {
            let ends = self.ends.iter().filter(|(held, _)| held == scope);
            ends.map(|(_, end)| *end).max()
        };
        scopes.iter().filter_map(end).min()
    }
}

/// Reads a client and all that it holds. `None`: unknown.
///
/// An unknown id costs the same queries as a known one: nobody learns from the time which it was.
pub(super) fn load(db: &mut Db, id: &ClientId, now: Instant) -> Result<Option<Entry>, StoreError> {
    let client = clients::find(db, id)?;
    let credentials = credentials::usable(db, id, now)?;
    let stand_in = PartnerId::generate(now);
    let of_partner = client
        .as_ref()
        .is_none_or(|client| client.partner_id.is_some());
    let partner_id = client
        .as_ref()
        .and_then(|client| client.partner_id.as_ref())
        .unwrap_or(&stand_in);
    let (partner_approved, grants) = if of_partner {
        let partner = partners::find(db, partner_id)?;
        let approved = partner.is_some_and(|p| p.state == PartnerState::Approved);
        (approved, grants::in_force(db, partner_id, id.realm(), now)?)
    } else {
        (true, Vec::new())
    };
    // The id names its realm, so whether this is asked says nothing of whether it is known.
    let contracts = if of_partner && id.realm() == Realm::Live {
        agreements::contract_terms(db, partner_id)?
    } else {
        Vec::new()
    };
    Ok(client.map(|client| Entry {
        client,
        credentials: credentials.into_iter().map(Held::from).collect(),
        grants,
        partner_approved,
        contracts,
    }))
}
