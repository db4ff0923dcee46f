//! `/admin/v1/resource-servers`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

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
use crate::http::body::Members;
use crate::http::extract::{Operator, ResourceServersWrite};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::resource_servers::{ResourceServer, page};

#[derive(Debug, Serialize)]
pub struct ResourceServerView {
    id: ResourceServerId,
    client_id: Option<ClientId>,
    realm: Realm,
    identifier: String,
    name: String,
    scopes: ScopeSet,
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

/// `GET /admin/v1/resource-servers`
pub async fn list(
    _: Operator<ResourceServersWrite>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<ResourceServerView>>, Problem> {
    let asked = query.page()?;
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

/// `GET /admin/v1/resource-servers/{id}`
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

/// `POST /admin/v1/resource-servers`
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
        body.text("name", 200),
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

/// `PATCH /admin/v1/resource-servers/{id}`: members that are left out stay as they are.
pub async fn edit(
    who: Operator<ResourceServersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ResourceServerView>, Problem> {
    let id: ResourceServerId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.replacement("name", |b, name| b.text(name, 200)),
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
