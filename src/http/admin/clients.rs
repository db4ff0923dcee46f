//! `/admin/v1/clients` and `/admin/v1/partners/{id}/clients`.

use std::ops::RangeInclusive;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{StatedReason, id};
use crate::admin::AdminError;
use crate::admin::clients::{self, ClientEdit, NewClient};
use crate::app::App;
use crate::config::TOKEN_TTL;
use crate::domain::allowlist::{Allowlist, MAX_NETWORKS};
use crate::domain::client::{ClientKind, ClientState, ClientStep};
use crate::domain::id::{ClientId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::{Scope, ScopeSet};
use crate::http::admin::named::Named;
use crate::http::etag;
use crate::http::extract::{ClientsRead, ClientsWrite, CredentialsRevoke, Operator};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::domain::Environment;
use crate::http::openapi::refusals::{Conflict, Outdated};
use crate::http::problem::Problem;
use crate::store::clients::{Client, Filter, page};

#[derive(Debug, Serialize, ToSchema)]
pub struct ClientView {
    id: ClientId,
    state: ClientState,
    realm: Realm,
    kind: ClientKind,
    partner_id: Option<PartnerId>,
    resource_server_id: Option<ResourceServerId>,
    name: String,
    scopes: ScopeSet,
    default_scopes: Option<ScopeSet>,
    token_ttl: Option<i32>,
    expires_at: Option<Instant>,
    /// The networks that it may call from; null: from anywhere.
    ip_allowlist: Option<Allowlist>,
    /// Whether its partner rotates its secret by itself; null: in the sandbox it does, in live not.
    self_rotation: Option<bool>,
    created_by: String,
    created_at: Instant,
    updated_at: Instant,
}

impl From<Client> for ClientView {
    fn from(client: Client) -> Self {
        Self {
            id: client.id,
            state: client.state,
            realm: client.realm,
            kind: client.kind,
            partner_id: client.partner_id,
            resource_server_id: client.resource_server_id,
            name: client.name,
            scopes: client.scopes,
            default_scopes: client.default_scopes,
            token_ttl: client.token_ttl,
            expires_at: client.expires_at,
            ip_allowlist: client.ip_allowlist,
            self_rotation: client.self_rotation,
            created_by: client.created_by,
            created_at: client.created_at,
            updated_at: client.updated_at,
        }
    }
}

/// A client of a partner to be made.
#[derive(Debug, ToSchema)]
#[schema(as = NewClient, example = json!({
    "realm": "sandbox", "name": "backend", "scopes": ["orders:read"], "token_ttl": 300
}))]
pub struct NewClientBody {
    #[schema(value_type = Environment)]
    pub realm: Realm,
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    #[schema(min_items = 1, max_items = 100)]
    pub scopes: Vec<Scope>,
    /// What a token request without `scope` gets; all scopes unless said otherwise.
    #[schema(max_items = 100)]
    pub default_scopes: Option<Vec<Scope>>,
    /// Seconds that its tokens live.
    #[schema(minimum = 60, maximum = 900)]
    pub token_ttl: Option<i32>,
    /// From then on it gets no tokens.
    pub expires_at: Option<Instant>,
    /// The networks that it may ask for tokens and call from; from anywhere unless said otherwise.
    pub ip_allowlist: Option<Allowlist>,
    /// Whether its partner rotates its secret by itself; in the sandbox only unless said otherwise.
    pub self_rotation: Option<bool>,
}

/// What is to change of a client: what is left out stays, and null takes away what may be absent.
#[derive(Debug, ToSchema)]
#[schema(as = ClientEdit, example = json!({ "scopes": ["orders:read"], "expires_at": null }))]
pub struct ClientEditBody {
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    pub name: Option<String>,
    /// Instead of those before.
    #[schema(min_items = 1, max_items = 100, nullable = false)]
    pub scopes: Option<Vec<Scope>>,
    /// What a token request without `scope` gets. Left out, they follow the scopes; null: all scopes.
    #[schema(max_items = 100)]
    pub default_scopes: Option<Vec<Scope>>,
    /// Seconds that its tokens live; null: as long as the server says.
    #[schema(minimum = 60, maximum = 900)]
    pub token_ttl: Option<i32>,
    /// The networks that it may ask for tokens and call from; null: from anywhere.
    pub ip_allowlist: Option<Allowlist>,
    /// From then on it gets no tokens; null: no end.
    pub expires_at: Option<Instant>,
    /// Whether its partner rotates its secret by itself; null: in the sandbox only.
    pub self_rotation: Option<bool>,
}

/// Lists clients.
#[utoipa::path(
    get, path = "/admin/v1/clients", operation_id = "list_clients", tag = "clients",
    params(
        ("partner_id" = Option<PartnerId>, Query, description = "Only clients of this partner."),
        ("kind" = Option<ClientKind>, Query, description = "Only clients of this kind."),
        ("realm" = Option<Realm>, Query, description = "Only clients of this realm."),
        ("state" = Option<ClientState>, Query, description = "Only clients in this state."),
    ),
    responses((status = 200, description = "A page of clients", body = ListView<ClientView>))
)]
pub async fn list(
    _: Operator<ClientsRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<ClientView>>, Problem> {
    let filter = Filter {
        partner_id: query.filter("partner_id")?,
        kind: query.filter("kind")?,
        realm: query.filter("realm")?,
        state: query.filter("state")?,
    };
    let asked = query.page_of::<ClientId>()?;
    let found = app.store.read(move |db| page(db, &filter, &asked)).await?;
    Ok(ListView::of(found, ClientView::from))
}

/// Lists the clients of a partner.
#[utoipa::path(
    get, path = "/admin/v1/partners/{id}/clients", operation_id = "list_partner_clients", tag = "clients",
    params(
        ("id" = PartnerId, Path, description = "The partner"),
        ("realm" = Option<Realm>, Query, description = "Only clients of this realm."),
        ("state" = Option<ClientState>, Query, description = "Only clients in this state."),
    ),
    responses((status = 200, description = "A page of clients", body = ListView<ClientView>))
)]
pub async fn list_of_partner(
    _: Operator<ClientsRead>,
    path: web::Path<String>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<ClientView>>, Problem> {
    let partner: PartnerId = id(&path)?;
    let (realm, state) = (query.filter("realm")?, query.filter("state")?);
    let asked = query.page_of::<ClientId>()?;
    let found = app
        .store
        .read(move |db| {
            crate::admin::partners::get(db, &partner)?;
            let filter = Filter {
                partner_id: Some(partner),
                realm,
                state,
                kind: None,
            };
            Ok::<_, AdminError>(page(db, &filter, &asked)?)
        })
        .await?;
    Ok(ListView::of(found, ClientView::from))
}

/// Shows a client.
#[utoipa::path(
    get, path = "/admin/v1/clients/{id}", operation_id = "show_client", tag = "clients",
    params(("id" = ClientId, Path, description = "The client")),
    responses((status = 200, description = "The client", body = ClientView))
)]
pub async fn show(
    _: Operator<ClientsRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    let id: ClientId = id(&path)?;
    let client = app.store.read(move |db| clients::get(db, &id)).await?;
    Ok(web::Json(client.into()))
}

/// Makes a client of a partner.
///
/// Its scopes must be granted to the partner in that environment now.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/clients", operation_id = "create_client", tag = "clients",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = NewClientBody,
    responses((status = 201, description = "The client", body = ClientView), Conflict)
)]
pub async fn create(
    who: Operator<ClientsWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let partner: PartnerId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.parsed::<Named>("realm"),
        body.line("name", 200),
        body.list::<Scope>("scopes", 100),
        body.optional_list::<Scope>("default_scopes", 100),
        body.optional_integer("token_ttl", token_ttls()),
        body.optional_parsed("expires_at"),
        optional_allowlist(&mut body),
        body.optional_flag("self_rotation"),
    );
    let (realm, name, scopes, default_scopes, token_ttl, expires_at, ip_allowlist, self_rotation) =
        body.finish(taken)?;
    let new = NewClient {
        realm: realm.0,
        name,
        scopes: scopes.into_iter().collect(),
        default_scopes: default_scopes.map(|scopes| scopes.into_iter().collect()),
        token_ttl,
        expires_at,
        ip_allowlist,
        self_rotation,
    };
    let client = app
        .carry_out(who.actor, move |db, act| {
            clients::create(db, act, &partner, new)
        })
        .await?;
    Ok(HttpResponse::Created().json(ClientView::from(client)))
}

/// Changes a client.
///
/// Where it may do less than before, or from fewer places, or ends sooner than its tokens, its
/// tokens from before die. Operators need `operators:write` besides.
#[utoipa::path(
    patch, path = "/admin/v1/clients/{id}", operation_id = "edit_client", tag = "clients",
    params(("id" = ClientId, Path, description = "The client")),
    request_body = ClientEditBody,
    responses((status = 200, description = "The client", body = ClientView), Conflict, Outdated)
)]
pub async fn edit(
    who: Operator<ClientsWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    let id: ClientId = id(&path)?;
    require_for_operators(&who, &id)?;
    etag::unbound(&request)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.replacement("name", |b, name| b.line(name, 200)),
        body.replacement("scopes", scopes),
        body.edit("default_scopes", scopes),
        body.edit("token_ttl", |b, name| b.integer(name, token_ttls())),
        body.edit("ip_allowlist", allowlist),
        body.edit("expires_at", |b, name| b.parsed(name)),
        body.edit("self_rotation", Members::flag),
    );
    let (name, scopes, default_scopes, token_ttl, ip_allowlist, expires_at, self_rotation) =
        body.finish(taken)?;
    let edit = ClientEdit {
        name,
        scopes,
        default_scopes,
        token_ttl,
        ip_allowlist,
        expires_at,
        self_rotation,
    };
    let client = app
        .carry_out(who.actor, move |db, act| clients::edit(db, act, &id, edit))
        .await?;
    Ok(web::Json(client.into()))
}

/// Suspends a client: it gets no tokens, and those it has die.
///
/// For operators it needs `operators:write` besides, and the last one who can make operators stays.
#[utoipa::path(
    post, path = "/admin/v1/clients/{id}/suspend", operation_id = "suspend_client", tag = "clients",
    params(("id" = ClientId, Path, description = "The client")),
    request_body = StatedReason,
    responses((status = 200, description = "The client", body = ClientView), Conflict)
)]
pub async fn suspend(
    who: Operator<ClientsWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    step(who, path, request, payload, app, ClientStep::Suspend).await
}

/// Lets a suspended client have tokens again.
///
/// For operators it needs `operators:write` besides.
#[utoipa::path(
    post, path = "/admin/v1/clients/{id}/resume", operation_id = "resume_client", tag = "clients",
    params(("id" = ClientId, Path, description = "The client")),
    request_body = StatedReason,
    responses((status = 200, description = "The client", body = ClientView), Conflict)
)]
pub async fn resume(
    who: Operator<ClientsWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    step(who, path, request, payload, app, ClientStep::Resume).await
}

/// Revokes a client and its credentials, for good.
///
/// For operators it needs `operators:write` besides, and the last one who can make operators stays.
#[utoipa::path(
    post, path = "/admin/v1/clients/{id}/revoke", operation_id = "revoke_client", tag = "clients",
    params(("id" = ClientId, Path, description = "The client")),
    request_body = StatedReason,
    responses((status = 200, description = "The client", body = ClientView), Conflict)
)]
pub async fn revoke(
    who: Operator<CredentialsRevoke>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    step(who, path, request, payload, app, ClientStep::Revoke).await
}

async fn step<R>(
    who: Operator<R>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    step: ClientStep,
) -> Result<web::Json<ClientView>, Problem> {
    let id: ClientId = id(&path)?;
    require_for_operators(&who, &id)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    let client = app
        .carry_out(who.actor, move |db, act| {
            clients::step(db, act, &id, step, &reason)
        })
        .await?;
    Ok(web::Json(client.into()))
}

/// What is done to an operator needs the right over operators besides.
fn require_for_operators<R>(who: &Operator<R>, id: &ClientId) -> Result<(), Problem> {
    match id.realm() {
        Realm::Admin => who.require("operators:write"),
        Realm::Sandbox | Realm::Live => Ok(()),
    }
}

fn token_ttls() -> RangeInclusive<i32> {
    let seconds = |ttl: &u32| i32::try_from(*ttl).unwrap_or(i32::MAX);
    seconds(TOKEN_TTL.start())..=seconds(TOKEN_TTL.end())
}

fn scopes(body: &mut Members, name: &str) -> Option<ScopeSet> {
    Some(body.list::<Scope>(name, 100)?.into_iter().collect())
}

/// A list of networks. An empty one would shut everybody out, or nobody: it is refused.
fn allowlist(body: &mut Members, name: &str) -> Option<Allowlist> {
    let networks = body.list(name, MAX_NETWORKS)?;
    let list = Allowlist::of(networks);
    if list.is_none() {
        body.refuse(
            name,
            "must name at least one network; null lets it call from anywhere",
        );
    }
    list
}

/// Such a list, or nothing. The outer `None`: a fault was noted.
fn optional_allowlist(body: &mut Members) -> Option<Option<Allowlist>> {
    let edit = body.edit("ip_allowlist", allowlist)?;
    Some(edit.apply(None))
}
