//! `/admin/v1/clients` and `/admin/v1/partners/{id}/clients`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::id;
use crate::admin::AdminError;
use crate::admin::clients::{self, NewClient};
use crate::app::App;
use crate::config::TOKEN_TTL;
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::id::{ClientId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::{Scope, ScopeSet};
use crate::http::body::Members;
use crate::http::extract::{ClientsRead, ClientsWrite, Operator};
use crate::http::list::{ListQuery, ListView};
use crate::http::openapi::refusals::Conflict;
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
    /// An environment.
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
}

/// Lists clients.
#[utoipa::path(
    get, path = "/admin/v1/clients", operation_id = "list_clients", tag = "clients",
    params(
        ("partner_id" = Option<PartnerId>, Query, description = "Only clients of this partner."),
        ("kind" = Option<ClientKind>, Query, description = "Only clients of this kind."),
        ("realm" = Option<Realm>, Query, description = "Only clients of this realm."),
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
    };
    let asked = query.page()?;
    let found = app.store.read(move |db| page(db, &filter, &asked)).await?;
    Ok(ListView::of(found, ClientView::from))
}

/// Lists the clients of a partner.
#[utoipa::path(
    get, path = "/admin/v1/partners/{id}/clients", operation_id = "list_partner_clients", tag = "clients",
    params(
        ("id" = PartnerId, Path, description = "The partner"),
        ("realm" = Option<Realm>, Query, description = "Only clients of this realm."),
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
    let realm = query.filter("realm")?;
    let asked = query.page()?;
    let found = app
        .store
        .read(move |db| {
            crate::admin::partners::get(db, &partner)?;
            let filter = Filter {
                partner_id: Some(partner),
                realm,
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
    let ttl = i32::try_from(*TOKEN_TTL.start()).unwrap_or(60)
        ..=i32::try_from(*TOKEN_TTL.end()).unwrap_or(900);
    let taken = (
        body.parsed("realm"),
        body.text("name", 200),
        body.list::<Scope>("scopes", 100),
        body.optional_list::<Scope>("default_scopes", 100),
        body.optional_integer("token_ttl", ttl),
        body.optional_parsed("expires_at"),
    );
    let (realm, name, scopes, default_scopes, token_ttl, expires_at) = body.finish(taken)?;
    let new = NewClient {
        realm,
        name,
        scopes: scopes.into_iter().collect(),
        default_scopes: default_scopes.map(|scopes| scopes.into_iter().collect()),
        token_ttl,
        expires_at,
    };
    let client = app
        .carry_out(who.actor, move |db, act| {
            clients::create(db, act, &partner, new)
        })
        .await?;
    Ok(HttpResponse::Created().json(ClientView::from(client)))
}
