//! Who calls: verified tokens as types, each with the right that its route demands.
//!
//! A handler that takes [`Granted`] or [`Operator`] cannot run without one.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use onyx_verifier::{Caller, Rejection, TokenFault, Verifier};
use zeroize::Zeroizing;

use super::limits;
use super::problem::Problem;
use super::remarks::remark;
use super::source;
use super::versions;
use crate::app::App;
use crate::audit::Actor;
use crate::audit::tally::Refused;
use crate::directory::Entry;
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::limits::RouteClass;
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::domain::version::ApiVersion;
use crate::limits::Charged;
use crate::logging;
use crate::oauth::charge::charge;

/// What a route demands of a token.
pub trait Right: 'static {
    /// The scope that the token must carry; `None`: any token of the right kind will do.
    const SCOPE: Option<&'static str>;
}

macro_rules! rights {
    ($($(#[$meta:meta])* $name:ident = $scope:expr),+ $(,)?) => { $(
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name;
        impl Right for $name {
            const SCOPE: Option<&'static str> = $scope;
        }
    )+ };
}

rights!(
    /// Any valid token of the right kind.
    AnyScope = None,
    AuditRead = Some("audit:read"),
    CatalogueRead = Some("catalogue:read"),
    CatalogueWrite = Some("catalogue:write"),
    BillingWrite = Some("billing:write"),
    ClientsRead = Some("clients:read"),
    ClientsWrite = Some("clients:write"),
    CredentialsRevoke = Some("credentials:revoke"),
    CredentialsRotate = Some("credentials:rotate"),
    EventsReplay = Some("events:replay"),
    GovernanceWrite = Some("governance:write"),
    GrantsDecide = Some("grants:decide"),
    InvoicesRead = Some("invoices:read"),
    KeysManage = Some("keys:manage"),
    LedgerRead = Some("ledger:read"),
    LimitsWrite = Some("limits:write"),
    OperatorsWrite = Some("operators:write"),
    OrdersCreate = Some("orders:create"),
    OrdersFulfil = Some("orders:fulfil"),
    OrdersRead = Some("orders:read"),
    PartnersRead = Some("partners:read"),
    PartnersWrite = Some("partners:write"),
    RequestsRead = Some("requests:read"),
    ResourceServersWrite = Some("resource-servers:write"),
    RevocationsRead = Some("revocations:read"),
    SecurityRead = Some("security:read"),
    SecurityWrite = Some("security:write"),
    UsageRead = Some("usage:read"),
    UsageWrite = Some("usage:write"),
    WebhooksManage = Some("webhooks:manage"),
);

/// A partner's verified token that carries the right `R`.
///
/// The tenant comes from here and from nowhere else.
#[derive(Debug)]
pub struct Granted<R> {
    /// Whose data.
    pub tenant: Tenant,
    /// The client that calls.
    pub client_id: ClientId,
    /// The credential that its token was given for.
    pub credential_id: CredentialId,
    /// The client as the one who acts, for the record.
    pub actor: Actor,
    /// The verified token.
    pub caller: Caller,
    right: PhantomData<R>,
}

/// An operator's verified token that carries the right `R`.
#[derive(Debug)]
pub struct Operator<R> {
    /// Who acts.
    pub actor: Actor,
    client_id: ClientId,
    caller: Caller,
    app: web::Data<App>,
    right: PhantomData<R>,
}

impl<R> Operator<R> {
    /// The operator's client.
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Demands one of two scopes, before it is known which: whoever has neither learns nothing of what there is.
    pub fn require_either(&self, scopes: [&str; 2]) -> Result<(), Problem> {
        let [usual, _] = scopes;
        if scopes.iter().any(|scope| self.caller.has_scope(scope)) {
            return Ok(());
        }
        self.require(usual)
    }

    /// Demands a scope that depends on what the request is about.
    pub fn require(&self, scope: &str) -> Result<(), Problem> {
        let refuse = |rejection| Problem::refused(&rejection, Realm::Admin.as_str(), None);
        self.caller.require_scope(scope).map_err(refuse)?;
        let now = self.app.clock.now();
        self.app.usage.used(&self.client_id, scope, now);
        Ok(())
    }
}

/// A verified token that may follow a realm's revocations. It cannot be printed.
pub struct Follower {
    /// The realm.
    pub realm: Realm,
    /// The client that follows.
    pub client_id: String,
    /// The token, which must stay good for as long as its holder listens.
    pub token: Zeroizing<String>,
    verifier: Verifier,
}

impl Follower {
    /// Whether the token is good still; without the seconds that clocks may differ by, since it is
    /// this server's own.
    pub fn may_go_on(&self, now: Instant) -> bool {
        let verified = self.verifier.verify_at(&self.token, now.epoch_seconds());
        verified.is_ok_and(|caller| now.epoch_seconds() < caller.expires_at())
    }

    /// Refuses whoever would not be let in now.
    pub fn check(&self, now: Instant) -> Result<(), Problem> {
        let verified = self.verifier.verify_at(&self.token, now.epoch_seconds());
        let refuse = |rejection| Problem::refused(&rejection, self.realm.as_str(), None);
        verified.map(|_| ()).map_err(refuse)
    }

    /// What is answered to whoever's token is over.
    pub fn is_over(&self) -> Problem {
        let rejection = Rejection::InvalidToken(TokenFault::Expired);
        Problem::refused(&rejection, self.realm.as_str(), None)
    }

    /// How long the token lives on.
    pub fn lives_for(&self, now: Instant) -> Duration {
        let verified = self.verifier.verify_at(&self.token, now.epoch_seconds());
        let left = verified.map_or(0, |caller| caller.expires_at() - now.epoch_seconds());
        Duration::from_secs(u64::try_from(left).unwrap_or(0))
    }
}

impl FromRequest for Follower {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            // Tokens for the partner API are of no use at the feed, so its description would mislead.
            let gate = Gate {
                is_described: false,
                ..Gate::of(&request)?
            };
            let issuer = gate.app.addresses.issuer(gate.realm);
            let verifier = gate
                .app
                .verifier_for(gate.realm, issuer)
                .ok_or_else(Problem::not_found)?;
            let caller = gate
                .admit(&request, &verifier, RevocationsRead::SCOPE)
                .await?;
            Ok(Self {
                realm: gate.realm,
                client_id: caller.client_id().to_owned(),
                token: shown(&request),
                verifier,
            })
        })
    }
}

/// When a request was let in by its token.
struct LetIn(Instant);

/// Refuses whoever was let in and may no more: a body takes as long to arrive as its sender likes, and an answer as its
/// reader likes, and meanwhile its token may be revoked. That it is over does not matter: it was good when it was shown.
/// Who was not let in by a token is not asked.
pub(super) fn check_again(request: &HttpRequest) -> Result<(), Problem> {
    let let_in = request.extensions().get::<LetIn>().map(|LetIn(at)| *at);
    let Some(at) = let_in else {
        return Ok(());
    };
    let gate = Gate::of(request)?;
    gate.app.directory.check_news()?;
    let verifier = gate.app.verifier(gate.realm);
    let verifier = verifier.ok_or_else(Problem::not_found)?;
    // As of then, so that nothing but what was revoked since decides.
    let verified = verifier.verify_at(&shown(request), at.epoch_seconds());
    verified
        .map(|_| ())
        .map_err(|rejection| gate.refuse(&rejection))
}

/// The token of a request that was let in.
fn shown(request: &HttpRequest) -> Zeroizing<String> {
    let bearer = request.headers().get(AUTHORIZATION);
    let token = bearer.and_then(|value| value.to_str().ok()?.split_once(' '));
    token
        .map_or_else(String::new, |(_, token)| token.trim().to_owned())
        .into()
}

/// Recognises whoever asks for what is not served, as far as his token is good: a call of a partner's is charged,
/// told of and put on record all the same. It settles nothing that lasts.
pub(super) async fn recognise(request: &HttpRequest) -> Result<(), Problem> {
    let gate = Gate::of(request)?;
    let caller = gate.admit_to_api::<AnyScope>(request).await?;
    let client = caller.client_id().parse().ok();
    let (Some(_), Some(client)) = (gate.tenant(&caller), client) else {
        return Ok(());
    };
    let pinned = gate.pinned_version(client).await?;
    let version = versions::answer_in(request, pinned)?;
    remark(request, |remarks| remarks.version = Some(version));
    Ok(())
}

impl<R: Right> FromRequest for Granted<R> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let gate = Gate::of(&request)?;
            let caller = gate.admit_to_api::<R>(&request).await?;
            let named = |fault| gate.refuse(&Rejection::InvalidToken(fault));
            let of_another_kind = || named(TokenFault::WrongAudience);
            let partner = caller.partner_id().ok_or_else(of_another_kind)?;
            if caller.env() != Some(gate.realm.as_str()) {
                return Err(of_another_kind());
            }
            let malformed = || named(TokenFault::Malformed);
            let credential_id = caller
                .credential_id()
                .and_then(|id| id.parse().ok())
                .ok_or_else(malformed)?;
            let client_id = caller.client_id().parse().map_err(|_| malformed())?;
            let tenant = Tenant::of_token(partner.parse().map_err(|_| malformed())?, gate.realm);
            gate.settle_version(&request, &tenant, &client_id).await?;
            gate.note_use::<R>(&client_id);
            Ok(Self {
                actor: actor(&request, &gate.app, &client_id, caller.credential_id()),
                tenant,
                client_id,
                credential_id,
                caller,
                right: PhantomData,
            })
        })
    }
}

impl<R: Right> FromRequest for Operator<R> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let gate = Gate::of(&request)?;
            let caller = gate.admit_to_api::<R>(&request).await?;
            let client: Option<ClientId> = caller.client_id().parse().ok();
            match client.filter(|id| id.realm() == Realm::Admin && gate.realm == Realm::Admin) {
                Some(id) => {
                    gate.note_use::<R>(&id);
                    Ok(Self {
                        actor: actor(&request, &gate.app, &id, caller.credential_id()),
                        client_id: id,
                        caller,
                        app: gate.app,
                        right: PhantomData,
                    })
                }
                None => Err(gate.refuse(&Rejection::InvalidToken(TokenFault::WrongAudience))),
            }
        })
    }
}

/// Who acts, for the record: the token's client and credential, the request and its origin.
fn actor(request: &HttpRequest, app: &App, client: &ClientId, credential: Option<&str>) -> Actor {
    let credential = credential.and_then(|id| id.parse().ok());
    let from = source::address(request, &app.settings.trusted_proxies);
    Actor::client(client, credential).within(
        logging::current_request().map(|id| id.to_string()),
        from.map(|ip| ip.to_string()),
    )
}

/// Whether a token's client may call from where a request comes from: a list of addresses binds
/// calls as it binds token requests. The client is looked up in memory.
///
/// Behind a gateway the address is the gateway's, unless it is among the trusted proxies.
///
/// The answer is the client.
pub(super) async fn check_address(
    request: &HttpRequest,
    app: &App,
    realm: Realm,
    caller: &Caller,
) -> Result<Arc<Entry>, Problem> {
    let malformed = || {
        let rejection = Rejection::InvalidToken(TokenFault::Malformed);
        Problem::refused(&rejection, realm.as_str(), None)
    };
    let id: ClientId = caller.client_id().parse().map_err(|_| malformed())?;
    let found = app.directory.client(realm, id, app.clock.now()).await?;
    let entry = found.ok_or_else(malformed)?;
    let from = source::address(request, &app.settings.trusted_proxies);
    if entry.may_call_from(from) {
        return Ok(entry);
    }
    log::info!("{} called from where it may not", entry.client.id);
    // The token is good: this helps its owner, and tells a thief only that it is of no use here.
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "address_not_allowed",
        "this client may not call from this address: its ip_allowlist says from where",
    )
    // There is no error code for it: the bare challenge says where the token would do (RFC 6750 §3).
    .challenging(&Rejection::NoCredentials, realm.as_str(), None)
    .counted(Refused::AddressNotAllowed))
}

/// The realm whose tokens open this part of the server, and the application.
struct Gate {
    app: web::Data<App>,
    realm: Realm,
    /// Whether it opens an API that is described as a protected resource (RFC 9728).
    is_described: bool,
}

impl Gate {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        match (
            request.app_data::<web::Data<App>>(),
            request.app_data::<web::ThinData<Realm>>(),
        ) {
            (Some(app), Some(realm)) => Ok(Self {
                app: app.clone(),
                realm: realm.0,
                is_described: realm.is_environment(),
            }),
            _ => Err(Problem::not_found()),
        }
    }

    async fn admit_to_api<R: Right>(&self, request: &HttpRequest) -> Result<Caller, Problem> {
        let verifier = self
            .app
            .verifier(self.realm)
            .ok_or_else(Problem::not_found)?;
        self.admit(request, verifier, R::SCOPE).await
    }

    async fn admit(
        &self,
        request: &HttpRequest,
        verifier: &Verifier,
        scope: Option<&str>,
    ) -> Result<Caller, Problem> {
        self.app.directory.check_news()?;
        let verified = onyx_verifier::actix::authorize(request, verifier).await;
        let caller = verified.map_err(|rejection| self.refuse(&rejection))?;
        remark(request, |remarks| {
            remarks.client_id = caller.client_id().parse().ok();
            remarks.caller = self.tenant(&caller);
        });
        let entry = check_address(request, &self.app, self.realm, &caller).await?;
        self.charge(request, &entry).await?;
        if let Some(scope) = scope {
            caller
                .require_scope(scope)
                .map_err(|rejection| self.refuse(&rejection))?;
        }
        let now = self.app.clock.now();
        request.extensions_mut().insert(LetIn(now));
        Ok(caller)
    }

    /// Charges the request to the client's partner; noted for whoever finishes the answer.
    ///
    /// After the address was found good: a stolen token drains nothing from elsewhere.
    async fn charge(&self, request: &HttpRequest, entry: &Entry) -> Result<(), Problem> {
        let class = if request.method().is_safe() {
            RouteClass::Read
        } else {
            RouteClass::Write
        };
        let now = self.app.clock.now();
        let (rates, usage) = (self.app.rates(), Some(&self.app.usage));
        let Some(charged) = charge(rates, usage, entry, class, now).await else {
            return Ok(());
        };
        let refusal = charged.refusal();
        request.extensions_mut().insert::<Charged>(charged);
        refusal.map_or(Ok(()), |over| Err(limits::refused(over)))
    }

    /// The partner that a token names, where its realm has partners, and its credential.
    fn tenant(&self, caller: &Caller) -> Option<(Tenant, CredentialId)> {
        let partner = caller.partner_id()?.parse().ok()?;
        let credential = caller.credential_id()?.parse().ok()?;
        (caller.env() == Some(self.realm.as_str()))
            .then(|| (Tenant::of_token(partner, self.realm), credential))
    }

    /// Settles which version of the API the caller is answered in.
    async fn settle_version(
        &self,
        request: &HttpRequest,
        tenant: &Tenant,
        client: &ClientId,
    ) -> Result<(), Problem> {
        let pinned = self.pinned_version(client.clone()).await?;
        let version = versions::settle(&self.app, request, tenant, pinned).await?;
        remark(request, |remarks| remarks.version = Some(version));
        Ok(())
    }

    /// The version that a client's partner used first.
    async fn pinned_version(&self, client: ClientId) -> Result<Option<ApiVersion>, Problem> {
        let now = self.app.clock.now();
        let found = self.app.directory.client(self.realm, client, now);
        Ok(found.await?.and_then(|entry| entry.pinned_version))
    }

    /// Counts that the caller needed what this route demands.
    fn note_use<R: Right>(&self, client: &ClientId) {
        if let Some(scope) = R::SCOPE {
            self.app.usage.used(client, scope, self.app.clock.now());
        }
    }

    fn refuse(&self, rejection: &Rejection) -> Problem {
        log::debug!("token refused: {rejection}");
        let metadata = self
            .is_described
            .then(|| self.app.addresses.resource_metadata(self.realm));
        Problem::refused(rejection, self.realm.as_str(), metadata.as_deref())
    }
}
