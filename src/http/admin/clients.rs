//! `/admin/v1/clients` and `/admin/v1/partners/{id}/clients`.

use std::ops::RangeInclusive;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::id;
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
use crate::http::body::Members;
use crate::http::extract::{ClientsRead, ClientsWrite, CredentialsRevoke, Operator};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::clients::{Client, Filter, page};

#[derive(Debug, Serialize)]
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

/// `GET /admin/v1/clients`
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
    let asked = query.page()?;
    let found = app.store.read(move |db| page(db, &filter, &asked)).await?;
    Ok(ListView::of(found, ClientView::from))
}

/// `GET /admin/v1/partners/{id}/clients`
pub async fn list_of_partner(
    _: Operator<ClientsRead>,
    path: web::Path<String>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<ClientView>>, Problem> {
    let partner: PartnerId = id(&path)?;
    let (realm, state) = (query.filter("realm")?, query.filter("state")?);
    let asked = query.page()?;
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

/// `GET /admin/v1/clients/{id}`
pub async fn show(
    _: Operator<ClientsRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    let id: ClientId = id(&path)?;
    let client = app.store.read(move |db| clients::get(db, &id)).await?;
    Ok(web::Json(client.into()))
}

/// `POST /admin/v1/partners/{id}/clients`
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
        body.parsed("realm"),
        body.text("name", 200),
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
        realm,
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

/// `PATCH /admin/v1/clients/{id}`: members that are left out stay; `null` takes away what may be absent.
pub async fn edit(
    who: Operator<ClientsWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    let id: ClientId = id(&path)?;
    require_for_operators(&who, &id)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.replacement("name", |b, name| b.text(name, 200)),
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

/// `POST /admin/v1/clients/{id}/suspend`
pub async fn suspend(
    who: Operator<ClientsWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    step(who, path, request, payload, app, ClientStep::Suspend).await
}

/// `POST /admin/v1/clients/{id}/resume`
pub async fn resume(
    who: Operator<ClientsWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    step(who, path, request, payload, app, ClientStep::Resume).await
}

/// `POST /admin/v1/clients/{id}/revoke`
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
