//! One client with everything that decides about its tokens.

use std::borrow::Cow;
use std::net::IpAddr;

use super::marks::Held;
use crate::domain::agreement::{Term, unbroken_until};
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::id::{ClientId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::limits::Terms as LimitTerms;
use crate::domain::partner::PartnerState;
use crate::domain::realm::Realm;
use crate::domain::scope::{RESOURCE_SERVER_SCOPES, Scope, ScopeSet};
use crate::domain::version::ApiVersion;
use crate::store::clients::{self, Client};
use crate::store::credentials::{self, Credential};
use crate::store::grants::{self, Terms};
use crate::store::{Db, StoreError, agreements, limits, partners};

/// A client as the token endpoint sees it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The client.
    pub client: Client,
    /// Its credentials that were usable at the look.
    pub credentials: Vec<Held>,
    /// Whether its partner is approved; true for clients without a partner.
    pub partner_approved: bool,
    /// The version of the API that its partner is spoken to in; `None`: it has used none yet.
    pub pinned_version: Option<ApiVersion>,
    /// The terms of its partner's contracts, which live access hangs on; elsewhere empty.
    pub contracts: Vec<Term>,
    /// How much its partner may ask for; nothing is said of clients without a partner.
    pub limits: LimitTerms,
    /// What it held at each audience when it was looked up: made once, since every token asks.
    held: Vec<(Audience, Holdings)>,
}

/// What a client holds at one audience: scopes, and when their grants end.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// The scopes.
    pub scopes: ScopeSet,
    /// When the grant of each ends; a scope can have several.
    ends: Vec<(Scope, Instant)>,
    /// When the first of all these grants ends: until then nothing here changes by itself.
    whole_until: Option<Instant>,
    /// When the first of all scopes stops being held.
    end: Option<Instant>,
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
    /// A client with its partner's grants in this realm.
    pub fn new(
        client: Client,
        credentials: Vec<Credential>,
        grants: Vec<Terms>,
        partner_approved: bool,
        contracts: Vec<Term>,
    ) -> Self {
        let held = match client.kind {
            ClientKind::Operator => {
                vec![(Audience::Api, Holdings::unbounded(client.scopes.clone()))]
            }
            ClientKind::ResourceServer => {
                let own = ScopeSet::of(RESOURCE_SERVER_SCOPES);
                let scopes = client.scopes.intersection(&own);
                vec![(Audience::Issuer, Holdings::unbounded(scopes))]
            }
            ClientKind::Partner => granted(&client.scopes, grants),
        };
        Self {
            client,
            credentials: credentials.into_iter().map(Held::from).collect(),
            partner_approved,
            pinned_version: None,
            limits: LimitTerms::default(),
            contracts,
            held,
        }
    }

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

    /// Whether the client may call from this address.
    pub fn may_call_from(&self, address: Option<IpAddr>) -> bool {
        let list = self.client.ip_allowlist.as_ref();
        list.is_none_or(|list| list.admits(address))
    }

    /// What the client holds at an audience now. `None`: an audience that is not for its kind.
    ///
    /// A grant for one audience says nothing about another, even under the same name.
    pub fn holdings(&self, audience: &Audience, now: Instant) -> Option<Cow<'_, Holdings>> {
        let is_for_its_kind = matches!(
            (self.client.kind, audience),
            (ClientKind::Operator, Audience::Api)
                | (ClientKind::ResourceServer, Audience::Issuer)
                | (
                    ClientKind::Partner,
                    Audience::Api | Audience::ResourceServer(_)
                )
        );
        if !is_for_its_kind {
            return None;
        }
        let held = self.held.iter().find(|(at, _)| at == audience);
        Some(held.map_or_else(Cow::default, |(_, held)| held.at(now)))
    }
}

/// What grants give a client by audience: scopes that it may hold, each until its grants end.
fn granted(allowed: &ScopeSet, grants: Vec<Terms>) -> Vec<(Audience, Holdings)> {
    let mut ends: Vec<(Audience, Vec<(Scope, Instant)>)> = Vec::new();
    for grant in grants {
        if !allowed.contains(&grant.scope) {
            continue;
        }
        let audience = grant
            .resource_server_id
            .map_or(Audience::Api, Audience::ResourceServer);
        let end = (grant.scope, grant.expires_at);
        match ends.iter_mut().find(|(at, _)| *at == audience) {
            Some((_, ends)) => ends.push(end),
            None => ends.push((audience, vec![end])),
        }
    }
    ends.into_iter()
        .map(|(audience, ends)| (audience, Holdings::until(ends)))
        .collect()
}

impl Holdings {
    fn unbounded(scopes: ScopeSet) -> Self {
        Self {
            scopes,
            ..Self::default()
        }
    }

    fn until(ends: Vec<(Scope, Instant)>) -> Self {
        let scopes: ScopeSet = ends.iter().map(|(scope, _)| scope.clone()).collect();
        let whole_until = ends.iter().map(|(_, end)| *end).min();
        let mut held = Self {
            scopes,
            ends,
            whole_until,
            end: None,
        };
        held.end = held.first_end(&held.scopes);
        held
    }

    /// What is left of it at a moment: all of it until the first of its grants ends.
    fn at(&self, now: Instant) -> Cow<'_, Self> {
        if self.whole_until.is_none_or(|end| now < end) {
            return Cow::Borrowed(self);
        }
        let left = self.ends.iter().filter(|(_, end)| now < *end);
        Cow::Owned(Self::until(left.cloned().collect()))
    }

    /// When the first of these scopes stops being held; `None`: no end is set.
    ///
    /// A scope with several grants is held until the last of them ends.
    pub fn end_of(&self, scopes: &ScopeSet) -> Option<Instant> {
        if *scopes == self.scopes {
            self.end
        } else {
            self.first_end(scopes)
        }
    }

    fn first_end(&self, scopes: &ScopeSet) -> Option<Instant> {
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
    // Asked also for who has no partner: then nobody's answers are not looked at.
    let standing = partners::standing(db, partner_id)?;
    let approved = matches!(standing, Some((PartnerState::Approved, _)));
    let grants = grants::terms_in_force(db, partner_id, id.realm(), now)?;
    let partner_approved = approved || !of_partner;
    let limits = limits::terms(db, partner_id, id.realm())?;
    // The id names its realm, so whether this is asked says nothing of whether it is known.
    let contracts = if id.realm() == Realm::Live {
        agreements::contract_terms(db, partner_id)?
    } else {
        Vec::new()
    };
    Ok(client.map(|client| Entry {
        pinned_version: standing.and_then(|(_, pinned)| pinned),
        limits,
        ..Entry::new(client, credentials, grants, partner_approved, contracts)
    }))
}
