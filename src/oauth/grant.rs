//! The client-credentials grant (RFC 6749 §4.4): who asks, what it may have, for whom.
//!
//! oxide-auth's state machine fixes the order (authenticate, bind, negotiate); each
//! of its questions is answered here from the directory.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use oxide_auth::code_grant::client_credentials::{
    ClientCredentials, Error, Input, Output, Request,
};
use oxide_auth::code_grant::error::AccessTokenErrorType;
use oxide_auth::primitives::grant::Extensions;
use oxide_auth::primitives::registrar::{BoundClient, PreGrant, RegisteredUrl};
use oxide_auth::primitives::scope::Scope as OxideScope;
use url::Url;

use super::authenticate::{Authenticated, authenticate};
use super::charge::charge;
use super::refusal::Refusal;
use super::request::TokenRequest;
use crate::directory::{Audience, Directory, Entry, Holdings};
use crate::domain::Algorithm;
use crate::domain::audience::{Addresses, MAX_IDENTIFIER};
use crate::domain::client::ClientKind;
use crate::domain::instant::Instant;
use crate::domain::limits::RouteClass;
use crate::domain::realm::Realm;
use crate::domain::scope::ScopeSet;
use crate::keys::MasterKey;
use crate::limits::{Charged, Rates};
use crate::usage::Usage;

/// The most audiences of one token.
const MAX_RESOURCES: usize = 16;

/// Where the answers come from.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Who clients are.
    pub directory: &'a Directory,
    /// What secrets are hashed under.
    pub master: &'a MasterKey,
    /// The server's own audiences.
    pub addresses: &'a Addresses,
    /// What the server's own audiences are signed with.
    pub signing_alg: Algorithm,
    /// What requests are charged to.
    pub rates: Option<&'a Rates>,
    /// Where they are counted.
    pub usage: &'a Usage,
    /// Where it is left what the request was charged, whatever becomes of it.
    pub charged: &'a OnceCell<Charged>,
    /// The issuer that is asked.
    pub realm: Realm,
    /// From where the request comes.
    pub from: Option<IpAddr>,
    /// The moment of the request.
    pub now: Instant,
}

/// What was granted: all that a token says beyond its id and times.
#[derive(Debug)]
pub struct Granted {
    /// The client, and the credential that it showed.
    pub who: Authenticated,
    /// What it may do.
    pub scopes: ScopeSet,
    /// For whom.
    pub audiences: Vec<Arc<str>>,
    /// What the audiences verify.
    pub alg: Algorithm,
    /// The token lives no longer than this, whatever its lifetime.
    pub ends_at: Option<Instant>,
}

/// Takes a request through the grant.
pub async fn grant(desk: Desk<'_>, request: &TokenRequest) -> Result<Granted, Refusal> {
    let wanted = wanted_scopes(request)?;
    let mut machine = ClientCredentials::new(&Spoken(request));
    let mut who = None;
    let mut bargain = None;
    let mut input = Input::None;
    loop {
        input = match machine.advance(input) {
            Output::Authenticate { client, passdata } => {
                let found = authenticate(
                    desk.directory,
                    desk.master,
                    desk.realm,
                    client,
                    passdata,
                    desk.from,
                    desk.now,
                );
                let found = found.await?;
                // Before anything is looked up for it.
                let class = RouteClass::Token;
                let charged = charge(desk.rates, Some(desk.usage), &found.entry, class, desk.now);
                if let Some(charged) = charged.await {
                    let refusal = charged.refusal();
                    let _ = desk.charged.set(charged);
                    if let Some(over) = refusal {
                        return Err(Refusal::LimitExceeded(over));
                    }
                }
                who = Some(found);
                Input::Authenticated
            }
            Output::Binding { client_id } => Input::Bound {
                bound_client: bind(client_id)?,
            },
            Output::Extend => Input::Extended {
                extensions: Extensions::new(),
            },
            Output::Negotiate {
                bound_client,
                scope: _,
            } => {
                let entry = who
                    .as_ref()
                    .map(|w: &Authenticated| w.entry.as_ref())
                    .ok_or(Refusal::InvalidClient)?;
                let agreed = negotiate(desk, entry, wanted.as_ref(), &request.resources).await?;
                let pre_grant = PreGrant {
                    client_id: bound_client.client_id.to_string(),
                    redirect_uri: bound_client.redirect_uri.clone().into_owned(),
                    scope: agreed
                        .scopes
                        .as_str()
                        .parse::<OxideScope>()
                        .map_err(|_| malformed_scope())?,
                };
                bargain = Some(agreed);
                Input::Negotiated { pre_grant }
            }
            Output::Ok { pre_grant, .. } => {
                let (Some(who), Some(bargain)) = (who, bargain) else {
                    return Err(Refusal::InvalidClient);
                };
                return conclude(who, bargain, pre_grant, desk.now);
            }
            Output::Err(error) => return Err(refusal(*error)),
        };
    }
}

/// The audiences and scopes that were agreed on.
struct Bargain {
    scopes: ScopeSet,
    audiences: Vec<Arc<str>>,
    alg: Algorithm,
    ends_at: Option<Instant>,
}

/// What the client may have at every audience that it names.
async fn negotiate(
    desk: Desk<'_>,
    entry: &Entry,
    wanted: Option<&ScopeSet>,
    resources: &[String],
) -> Result<Bargain, Refusal> {
    if resources.len() > MAX_RESOURCES {
        return Err(Refusal::InvalidTarget(
            "too many resources for one token".into(),
        ));
    }
    let mut targets: Vec<Target> = Vec::new();
    for resource in resources {
        // Named again, it costs no second look: one request could name it thousands of times.
        if !targets.iter().any(|t| *t.uri == **resource) {
            targets.push(registered(desk, resource).await?);
        }
    }
    if targets.is_empty() {
        targets.push(default_target(desk, entry.client.kind));
    }
    let alg = targets.first().map_or(desk.signing_alg, |t| t.alg);
    if targets.iter().any(|t| t.alg != alg) {
        return Err(Refusal::InvalidTarget(
            "these resources want different signing algorithms: ask for one each".into(),
        ));
    }
    let not_for =
        |t: &Target| Refusal::InvalidTarget(format!("{} is not for this client", t.uri).into());
    let held = targets
        .iter()
        .map(|t| {
            entry
                .holdings(&t.audience, desk.now)
                .ok_or_else(|| not_for(t))
        })
        .collect::<Result<Vec<Cow<'_, Holdings>>, _>>()?;
    let scopes = choose(entry, wanted, &held)?;
    let ends_at = held.iter().filter_map(|h| h.end_of(&scopes)).min();
    if ends_at.is_some_and(|end| end.epoch_seconds() <= desk.now.epoch_seconds()) {
        // Tokens know whole seconds: what ends within this one is over for them.
        return Err(Refusal::InvalidScope(
            "a grant of these scopes ends this second".into(),
        ));
    }
    Ok(Bargain {
        scopes,
        audiences: targets.into_iter().map(|t| t.uri).collect(),
        alg,
        ends_at,
    })
}

/// The scopes of the token. A scope counts only if it is held at every audience: one
/// token shown at two places must not carry to either what was granted at the other.
fn choose(
    entry: &Entry,
    wanted: Option<&ScopeSet>,
    held: &[Cow<'_, Holdings>],
) -> Result<ScopeSet, Refusal> {
    let everywhere = held
        .iter()
        .map(|h| h.scopes.clone())
        .reduce(|a, b| a.intersection(&b))
        .unwrap_or_default();
    match wanted {
        Some(wanted) => {
            let missing = wanted.difference(&everywhere);
            if missing.is_empty() {
                Ok(wanted.clone())
            } else {
                Err(Refusal::InvalidScope(
                    format!("not granted here, or not among this client's own scopes: {missing}")
                        .into(),
                ))
            }
        }
        None => {
            let held_any = !everywhere.is_empty();
            let chosen = match &entry.client.default_scopes {
                Some(default) => default.intersection(&everywhere),
                None => everywhere,
            };
            if chosen.is_empty() {
                let advice = if held_any {
                    "none of this client's default scopes is granted here: name the scope that you want"
                } else {
                    "nothing is granted here that is among this client's own scopes"
                };
                Err(Refusal::InvalidScope(advice.into()))
            } else {
                Ok(chosen)
            }
        }
    }
}

struct Target {
    uri: Arc<str>,
    audience: Audience,
    alg: Algorithm,
}

fn default_target(desk: Desk<'_>, kind: ClientKind) -> Target {
    let (uri, audience) = match kind {
        ClientKind::Partner | ClientKind::Operator => {
            (desk.addresses.api(desk.realm), Audience::Api)
        }
        ClientKind::ResourceServer => (desk.addresses.issuer(desk.realm), Audience::Issuer),
    };
    Target {
        uri: Arc::clone(uri),
        audience,
        alg: desk.signing_alg,
    }
}

/// The audience that a `resource` parameter names (RFC 8707 §2).
async fn registered(desk: Desk<'_>, resource: &str) -> Result<Target, Refusal> {
    // What is longer than any registered identifier is none, and is not worth remembering.
    let is_absolute =
        resource.len() <= MAX_IDENTIFIER && !resource.contains('#') && Url::parse(resource).is_ok();
    if !is_absolute {
        return Err(Refusal::InvalidTarget(
            "resource must be an absolute URI without a fragment".into(),
        ));
    }
    let target = |audience, alg| Target {
        uri: resource.into(),
        audience,
        alg,
    };
    if *resource == **desk.addresses.api(desk.realm) {
        return Ok(target(Audience::Api, desk.signing_alg));
    }
    if *resource == **desk.addresses.issuer(desk.realm) {
        return Ok(target(Audience::Issuer, desk.signing_alg));
    }
    match desk
        .directory
        .resource_server(desk.realm, resource.to_owned())
        .await?
    {
        Some(server) => Ok(target(
            Audience::ResourceServer(server.id.clone()),
            server.signing_alg,
        )),
        None => Err(Refusal::InvalidTarget(
            "no resource server is registered under this resource".into(),
        )),
    }
}

/// The token's end from everything that it hangs on, and a last look that the machine
/// carried the same client and scopes through.
fn conclude(
    who: Authenticated,
    bargain: Bargain,
    agreed: &PreGrant,
    now: Instant,
) -> Result<Granted, Refusal> {
    // Its scopes are a set too: as many, and each of them one of ours, are the same.
    let mut carried = agreed.scope.iter();
    let are_ours = carried.all(|name| bargain.scopes.names(name))
        && agreed.scope.iter().count() == bargain.scopes.len();
    if agreed.client_id != who.entry.client.id.as_str() || !are_ours {
        return Err(Refusal::InvalidClient);
    }
    let ends = [
        bargain.ends_at,
        who.entry.client.expires_at,
        who.credential_ends_at,
        who.entry.contract_ends_at(now),
    ];
    Ok(Granted {
        ends_at: ends.into_iter().flatten().min(),
        scopes: bargain.scopes,
        audiences: bargain.audiences,
        alg: bargain.alg,
        who,
    })
}

fn wanted_scopes(request: &TokenRequest) -> Result<Option<ScopeSet>, Refusal> {
    let Some(text) = &request.scope else {
        return Ok(None);
    };
    let scopes: ScopeSet = text.parse().map_err(|_| malformed_scope())?;
    if scopes.is_empty() {
        Err(malformed_scope())
    } else {
        Ok(Some(scopes))
    }
}

fn malformed_scope() -> Refusal {
    Refusal::InvalidScope("scope must be names separated by spaces".into())
}

/// The machine binds every client to a redirect URI, which this grant has no use for.
fn bind(client_id: &str) -> Result<BoundClient<'static>, Refusal> {
    static NOWHERE: LazyLock<Option<RegisteredUrl>> =
        LazyLock::new(|| Url::parse("about:blank").ok().map(RegisteredUrl::Semantic));
    let nowhere = NOWHERE.as_ref().ok_or(Refusal::InvalidClient)?;
    Ok(BoundClient {
        client_id: Cow::Owned(client_id.to_owned()),
        redirect_uri: Cow::Borrowed(nowhere),
    })
}

fn refusal(mut error: Error) -> Refusal {
    match error.description().map(|d| d.kind()) {
        Some(AccessTokenErrorType::UnsupportedGrantType) => Refusal::UnsupportedGrantType,
        Some(AccessTokenErrorType::InvalidRequest) | None => {
            Refusal::invalid_request("grant_type is missing: send grant_type=client_credentials")
        }
        Some(_) => Refusal::InvalidClient,
    }
}

/// A request as the machine wants to hear it.
struct Spoken<'a>(&'a TokenRequest);

impl Request for Spoken<'_> {
    fn valid(&self) -> bool {
        true
    }

    fn authorization(&self) -> Option<(Cow<'_, str>, Cow<'_, [u8]>)> {
        Some((
            Cow::Borrowed(&self.0.client_id),
            Cow::Borrowed(self.0.secret.as_bytes()),
        ))
    }

    fn scope(&self) -> Option<Cow<'_, str>> {
        self.0.scope.as_deref().map(Cow::Borrowed)
    }

    fn grant_type(&self) -> Option<Cow<'_, str>> {
        self.0.grant_type.as_deref().map(Cow::Borrowed)
    }

    fn extension(&self, _key: &str) -> Option<Cow<'_, str>> {
        None
    }
}
