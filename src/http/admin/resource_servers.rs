//! `/admin/v1/resource-servers`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::id;
use crate::admin::AdminError;
use crate::admin::resource_servers::{self, NewResourceServer, ResourceServerEdit};
use crate::app::App;
use crate::domain::Algorithm;
use crate::domain::audience::MAX_IDENTIFIER;
use crate::domain::id::{ClientId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::page::Page;
use crate::domain::realm::Realm;
use crate::domain::scope::{Scope, ScopeSet};
use crate::http::etag;
use crate::http::extract::{Operator, ResourceServersWrite};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::domain::SigningAlgorithm;
use crate::http::openapi::refusals::{Conflict, Outdated};
use crate::http::problem::Problem;
use crate::store::resource_servers::{ResourceServer, page};

#[derive(Debug, Serialize, ToSchema)]
pub struct ResourceServerView {
    id: ResourceServerId,
    client_id: Option<ClientId>,
    realm: Realm,
    identifier: String,
    name: String,
    scopes: ScopeSet,
    #[schema(value_type = SigningAlgorithm)]
    signing_alg: Algorithm,
    created_by: String,
    created_at: Instant,
}

impl From<(ResourceServer, Option<ClientId>)> for ResourceServerView {
    fn from((server, client_id): (ResourceServer, Option<ClientId>)) -> Self {
        Self {
            id: server.id,
            client_id,
            realm: server.realm,
            identifier: server.identifier,
            name: server.name,
            scopes: server.scopes,
            signing_alg: server.signing_alg,
            created_by: server.created_by,
            created_at: server.created_at,
        }
    }
}

/// A resource server to be registered.
#[derive(Debug, ToSchema)]
#[schema(as = NewResourceServer, example = json!({
    "realm": "live", "identifier": "https://orders.example.com", "name": "Orders",
    "scopes": ["orders:read"], "signing_alg": "RS256"
}))]
pub struct NewResourceServerBody {
    /// An environment.
    pub realm: Realm,
    /// The audience: an absolute URI without a fragment.
    #[schema(format = "uri", min_length = 1, max_length = 1024)]
    pub identifier: String,
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    #[schema(min_items = 1, max_items = 100)]
    pub scopes: Vec<Scope>,
    /// How tokens for it are signed; as the realm signs, unless said otherwise.
    #[schema(value_type = Option<SigningAlgorithm>)]
    pub signing_alg: Option<Algorithm>,
}

/// What is to change of a resource server: what is left out stays.
#[derive(Debug, ToSchema)]
#[schema(as = ResourceServerEdit, example = json!({ "signing_alg": "EdDSA" }))]
pub struct ResourceServerEditBody {
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    pub name: Option<String>,
    /// Instead of those before.
    #[schema(min_items = 1, max_items = 100, nullable = false)]
    pub scopes: Option<Vec<Scope>>,
    /// How tokens for it are signed from now on.
    #[schema(value_type = SigningAlgorithm, required = false, nullable = false)]
    pub signing_alg: Option<Algorithm>,
}

/// Lists resource servers.
#[utoipa::path(
    get, path = "/admin/v1/resource-servers", operation_id = "list_resource_servers", tag = "resource-servers",
    responses((status = 200, description = "A page of resource servers", body = ListView<ResourceServerView>))
)]
pub async fn list(
    _: Operator<ResourceServersWrite>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<ResourceServerView>>, Problem> {
    let asked = query.page_of::<ResourceServerId>()?;
    let found = app
        .store
        .read(move |db| {
            let found = page(db, &asked)?;
            let rows = found
                .rows
                .into_iter()
                .map(|server| resource_servers::get(db, &server.id));
            Ok::<_, AdminError>(Page {
                rows: rows.collect::<Result<_, _>>()?,
                next: found.next,
            })
        })
        .await?;
    Ok(ListView::of(found, ResourceServerView::from))
}

/// Shows a resource server.
#[utoipa::path(
    get, path = "/admin/v1/resource-servers/{id}", operation_id = "show_resource_server", tag = "resource-servers",
    params(("id" = ResourceServerId, Path, description = "The resource server")),
    responses((status = 200, description = "The resource server", body = ResourceServerView))
)]
pub async fn show(
    _: Operator<ResourceServersWrite>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<ResourceServerView>, Problem> {
    let id: ResourceServerId = id(&path)?;
    let found = app
        .store
        .read(move |db| resource_servers::get(db, &id))
        .await?;
    Ok(web::Json(found.into()))
}

/// Registers a resource server: an audience with its scopes.
///
/// Its client gets credentials as any client does.
#[utoipa::path(
    post, path = "/admin/v1/resource-servers", operation_id = "create_resource_server", tag = "resource-servers",
    request_body = NewResourceServerBody,
    responses((status = 201, description = "The resource server", body = ResourceServerView), Conflict)
)]
pub async fn create(
    who: Operator<ResourceServersWrite>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.parsed::<Realm>("realm"),
        body.text("identifier", MAX_IDENTIFIER),
        body.line("name", 200),
        body.list::<Scope>("scopes", 100),
        body.optional_parsed("signing_alg"),
    );
    let (realm, identifier, name, scopes, signing_alg) = body.finish(taken)?;
    let alg = signing_alg.unwrap_or(app.settings.signing_alg);
    let new = NewResourceServer {
        realm,
        identifier,
        name,
        scopes: scopes.into_iter().collect(),
        signing_alg: alg,
    };
    resource_servers::check(&app.addresses, &new)?;
    // First the key: once registered, the audience can be asked for at once.
    super::keys::ensure(&app, realm, alg).await?;
    let shared = app.clone();
    let (server, client) = app
        .carry_out(who.actor, move |db, act| {
            resource_servers::create(db, act, &shared.addresses, new)
        })
        .await?;
    Ok(HttpResponse::Created().json(ResourceServerView::from((server, Some(client)))))
}

/// Changes a resource server.
///
/// A scope that a requested or approved grant names stays until the grant is denied or revoked.
#[utoipa::path(
    patch, path = "/admin/v1/resource-servers/{id}", operation_id = "edit_resource_server", tag = "resource-servers",
    params(("id" = ResourceServerId, Path, description = "The resource server")),
    request_body = ResourceServerEditBody,
    responses((status = 200, description = "The resource server", body = ResourceServerView), Conflict, Outdated)
)]
pub async fn edit(
    who: Operator<ResourceServersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ResourceServerView>, Problem> {
    let id: ResourceServerId = id(&path)?;
    etag::unbound(&request)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.replacement("name", |b, name| b.line(name, 200)),
        body.replacement("scopes", |b, name| b.list::<Scope>(name, 100)),
        body.replacement("signing_alg", |b, name| b.parsed::<Algorithm>(name)),
    );
    let (name, scopes, signing_alg) = body.finish(taken)?;
    let edit = ResourceServerEdit {
        name,
        scopes: scopes.map(|scopes| scopes.into_iter().collect()),
        signing_alg,
    };
    if let Some(alg) = signing_alg {
        // First the key, as for a new audience.
        let wanted = id.clone();
        let found = app.store.read(move |db| resource_servers::get(db, &wanted));
        super::keys::ensure(&app, found.await?.0.realm, alg).await?;
    }
    let edited = app
        .carry_out(who.actor, move |db, act| {
            resource_servers::edit(db, act, &id, edit)
        })
        .await?;
    Ok(web::Json(edited.into()))
}
