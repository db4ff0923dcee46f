//! `GET /{env}/v1/me`: who the caller is, as the server sees it.

use actix_web::web;
use onyx_verifier::{Rejection, TokenFault};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::credential::CredentialState;
use crate::domain::day::Day;
use crate::domain::id::{ClientId, CredentialId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::limits::{LimitName, Limits, Mode, Quotas, RouteClass};
use crate::domain::quota::Quota;
use crate::domain::realm::Realm;
use crate::domain::scope::Scope;
use crate::domain::version::{ApiVersion, CURRENT};
use crate::http::admin::limits::body::with_figures;
use crate::http::extract::{AnyScope, Granted};
use crate::http::limits::seconds;
use crate::http::openapi::domain::Environment;
use crate::http::problem::Problem;
use crate::limits::{Ask, Part, Reading};
use crate::store::{
    StoreError, clients, credentials, grants, partners, scope_usage, usage_counters,
};

/// How many days back, today included, it is told what was used.
const USED_DAYS: u32 = 30;

/// What a partner sees of itself.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub struct MeView {
    partner: PartnerPart,
    #[schema(value_type = Environment)]
    env: Realm,
    client: ClientPart,
    credential: CredentialPart,
    scopes: ScopesPart,
    limits: LimitsPart,
    /// What the partner is answered in where a request says nothing: the version that it used first.
    pinned_version: ApiVersion,
    token: TokenPart,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MePartner)]
struct PartnerPart {
    id: PartnerId,
    name: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MeClient)]
struct ClientPart {
    id: ClientId,
    name: String,
    expires_at: Option<Instant>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MeCredential)]
struct CredentialPart {
    id: CredentialId,
    state: CredentialState,
    hint: String,
    created_at: Instant,
    expires_at: Option<Instant>,
    /// Of one that was superseded: until when it is accepted.
    accepts_until: Option<Instant>,
    first_used_at: Option<Instant>,
    /// As of about a second ago.
    last_used_at: Option<Instant>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MeScopes)]
struct ScopesPart {
    /// What the partner's approved grants allow this client at the partner API.
    granted: Vec<Scope>,
    /// What the client has used in the last 30 days, whatever its tokens carried.
    used: Vec<Scope>,
    /// What this very token carries.
    token: Vec<String>,
}

with_figures!(
    /// What holds for the partner in this environment, and what is left of it.
    #[schema(as = MeLimits)]
    pub struct LimitsPart {
        mode: Mode,
        /// As it stands after this request, for all clients of the partner; `client_…` for this one.
        left: Vec<LeftPart>,
    }
);

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MeLimit)]
struct LeftPart {
    limit: LimitName,
    /// How many it lets through within its window.
    quota: u64,
    /// Seconds.
    window: u64,
    /// How many it lets through now.
    remaining: u64,
    /// Seconds until it is whole again; where nothing remains, until it lets one through.
    reset: u64,
}

impl From<Reading> for LeftPart {
    fn from(reading: Reading) -> Self {
        Self {
            limit: reading.limit,
            quota: reading.quota,
            window: seconds(reading.window),
            remaining: reading.remaining,
            reset: seconds(reading.reset),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = MeToken)]
struct TokenPart {
    id: String,
    expires_at: Instant,
}

/// Describes the caller to itself.
#[utoipa::path(
    get, path = "/{env}/v1/me", operation_id = "me", tag = "me",
    responses((status = 200, description = "The caller", body = MeView))
)]
pub async fn show(
    who: Granted<AnyScope>,
    app: web::Data<App>,
) -> Result<web::Json<MeView>, Problem> {
    let now = app.clock.now();
    let limits = limits(&who, &app).await?;
    let used_from = Day::of(now).minus(USED_DAYS - 1);
    let (client_id, credential_id) = (who.client_id.clone(), who.credential_id.clone());
    let found = app
        .store
        .read_as(who.tenant.clone(), move |db, tenant| {
            let client = clients::of_tenant(db, tenant, &client_id)?;
            let credential = credentials::of_tenant(db, tenant, &credential_id)?;
            let partner = partners::find(db, tenant.partner_id())?;
            let grants = grants::in_force(db, tenant.partner_id(), tenant.realm(), now)?;
            let used = scope_usage::used_by_tenant(db, tenant, &client_id, used_from)?;
            Ok::<_, StoreError>((partner, client, credential, (grants, used)))
        })
        .await?;
    let (Some(partner), Some(client), Some(credential), (grants, used)) = found else {
        // A good token of records that are gone: only a restored backup does this.
        return Err(Problem::refused(
            &Rejection::InvalidToken(TokenFault::InvalidClaim("credential_id")),
            who.tenant.realm().as_str(),
            None,
        ));
    };
    let at_partner_api = grants
        .into_iter()
        .filter(|g| g.resource_server_id.is_none());
    let mut granted: Vec<Scope> = at_partner_api
        .map(|g| g.scope)
        .filter(|s| client.scopes.contains(s))
        .collect();
    granted.sort();
    granted.dedup();
    Ok(web::Json(MeView {
        partner: PartnerPart {
            id: partner.id,
            name: partner.name,
        },
        env: who.tenant.realm(),
        client: ClientPart {
            id: client.id,
            name: client.name,
            expires_at: client.expires_at,
        },
        credential: CredentialPart {
            id: credential.id,
            state: credential.state,
            hint: credential.hint,
            created_at: credential.created_at,
            expires_at: credential.expires_at,
            accepts_until: credential.accepts_until,
            first_used_at: credential.first_used_at,
            last_used_at: credential.last_used_at.or(credential.first_used_at),
        },
        scopes: ScopesPart {
            granted,
            used,
            token: who.caller.scopes().map(str::to_owned).collect(),
        },
        limits,
        // The first call of all pinned it before it came here.
        pinned_version: partner.pinned_version.unwrap_or(CURRENT),
        token: TokenPart {
            id: who.caller.token_id().to_owned(),
            expires_at: Instant::from_epoch_seconds(who.caller.expires_at()),
        },
    }))
}

/// How every quota stands that the caller's partner has.
async fn quotas_left(
    who: &Granted<AnyScope>,
    app: &App,
    limits: &Limits,
    now: Instant,
) -> Result<Vec<Reading>, Problem> {
    let quotas = &limits.figures.quotas;
    if *quotas == Quotas::default() {
        return Ok(Vec::new());
    }
    // What is counted in memory is asked there; orders are reserved in the database alone.
    let names = [
        Quota::RequestsPerDay,
        Quota::RequestsPerMonth,
        Quota::TokensPerDay,
        Quota::TokensPerMonth,
    ];
    let [requests_day, requests_month, tokens_day, tokens_month] =
        app.usage.counted(&who.tenant, names, now).await?;
    let reserved = app.store.read_as(who.tenant.clone(), move |db, tenant| {
        usage_counters::reserved(db, tenant, now)
    });
    let reserved = reserved.await?;
    let orders = |quota| reserved.get(&(quota, None)).copied().unwrap_or(0);
    let spend = quotas.spend_per_month;
    let spent = spend.and_then(|most| reserved.get(&(Quota::SpendPerMonth, Some(most.currency))));
    let all = [
        (names[0], quotas.requests_per_day, requests_day),
        (names[1], quotas.requests_per_month, requests_month),
        (names[2], quotas.tokens_per_day, tokens_day),
        (names[3], quotas.tokens_per_month, tokens_month),
        (
            Quota::OrdersPerDay,
            quotas.orders_per_day,
            orders(Quota::OrdersPerDay),
        ),
        (
            Quota::OrdersPerMonth,
            quotas.orders_per_month,
            orders(Quota::OrdersPerMonth),
        ),
        (
            Quota::SpendPerMonth,
            spend.map(|most| most.amount),
            spent.copied().unwrap_or(0),
        ),
    ];
    let limited = all
        .into_iter()
        .filter_map(|(quota, limit, used)| Some(Reading::of_quota(quota, limit?, used, now)));
    Ok(limited.collect())
}

/// What holds for the caller's partner, and how every limit that its requests can meet stands.
async fn limits(who: &Granted<AnyScope>, app: &App) -> Result<LimitsPart, Problem> {
    let (realm, now) = (who.tenant.realm(), app.clock.now());
    let found = app.directory.client(realm, who.client_id.clone(), now);
    // It was found a moment ago, with the token; gone, there is nothing to be told of it.
    let entry = found.await?.ok_or_else(Problem::not_found)?;
    let limits = entry.limits.limits(now);
    let mut left: Vec<Reading> = Vec::new();
    for class in [RouteClass::Read, RouteClass::Write, RouteClass::Token] {
        let Some(rates) = app.rates() else { break };
        let readings = rates.look(Ask {
            partner: who.tenant.partner_id(),
            realm,
            part: Part::Client(&who.client_id),
            class,
            limits,
        });
        for reading in readings.await {
            if left.iter().all(|known| known.limit != reading.limit) {
                left.push(reading);
            }
        }
    }
    left.extend(quotas_left(who, app, limits, now).await?);
    let left = left.into_iter().map(LeftPart::from).collect();
    Ok(LimitsPart::with(limits.mode, left, &limits.figures))
}
