//! `/admin/v1/partners/{id}/scope-grants` and `/admin/v1/scope-grants`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::id;
use crate::admin::AdminError;
use crate::admin::grants::{self, NewGrant};
use crate::app::App;
use crate::domain::grant::GrantState;
use crate::domain::id::{GrantId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::page::Page;
use crate::domain::realm::Realm;
use crate::domain::scope::Scope;
use crate::http::body::Members;
use crate::http::extract::{GovernanceWrite, GrantsDecide, Operator};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::Db;
use crate::store::grants::{Grant, page};

#[derive(Debug, Serialize)]
pub struct GrantView {
    id: GrantId,
    state: GrantState,
    partner_id: PartnerId,
    realm: Realm,
    scope: Scope,
    /// The audience's identifier.
    resource: String,
    purpose: String,
    lawful_basis: Option<String>,
    data_classes: serde_json::Value,
    retention_days: i32,
    requested_by: String,
    requested_at: Instant,
    decided_by: Option<String>,
    decided_at: Option<Instant>,
    expires_at: Instant,
}

impl GrantView {
    fn of(app: &App, (grant, identifier): (Grant, Option<String>)) -> Self {
        Self {
            id: grant.id,
            state: grant.state,
            partner_id: grant.partner_id,
            realm: grant.realm,
            scope: grant.scope,
            resource: identifier.unwrap_or_else(|| app.addresses.api(grant.realm).to_string()),
            purpose: grant.purpose,
            lawful_basis: grant.lawful_basis,
            data_classes: serde_json::from_str(&grant.data_classes).unwrap_or_default(),
            retention_days: grant.retention_days,
            requested_by: grant.requested_by,
            requested_at: grant.requested_at,
            decided_by: grant.decided_by,
            decided_at: grant.decided_at,
            expires_at: grant.expires_at,
        }
    }
}

/// `GET /admin/v1/partners/{id}/scope-grants`
pub async fn list(
    _: Operator<GovernanceWrite>,
    path: web::Path<String>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<GrantView>>, Problem> {
    let partner: PartnerId = id(&path)?;
    let asked = query.page()?;
    let found = app
        .store
        .read(move |db| {
            crate::admin::partners::get(db, &partner)?;
            let found = page(db, &partner, &asked)?;
            let rows = found
                .rows
                .into_iter()
                .map(|grant| with_identifier(db, grant))
                .collect::<Result<_, _>>()?;
            Ok::<_, AdminError>(Page {
                rows,
                next: found.next,
            })
        })
        .await?;
    Ok(ListView::of(found, |row| GrantView::of(&app, row)))
}

/// `POST /admin/v1/partners/{id}/scope-grants`
pub async fn request(
    who: Operator<GovernanceWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let partner: PartnerId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.parsed("realm"),
        body.parsed("scope"),
        body.optional_text("resource", 2048),
        body.text("purpose", 1000),
        body.optional_text("lawful_basis", 200),
        body.list("data_classes", 50),
        body.integer("retention_days", 0..=36_500),
        body.parsed("expires_at"),
    );
    let (realm, scope, resource, purpose, lawful_basis, data_classes, retention_days, expires_at) =
        body.finish(taken)?;
    let resource = resource.filter(|uri| **uri != **app.addresses.api(realm));
    let new = NewGrant {
        realm,
        scope,
        resource,
        purpose,
        lawful_basis,
        data_classes,
        retention_days,
        expires_at,
    };
    let (auto, now) = (app.settings.sandbox_auto_approve, app.clock.now());
    let grant = app
        .change(now, move |db| {
            let grant = grants::request(db, &who.actor, &partner, new, auto, now)?;
            with_identifier(db, grant)
        })
        .await?;
    Ok(HttpResponse::Created().json(GrantView::of(&app, grant)))
}

/// `POST /admin/v1/scope-grants/{id}/approve`
pub async fn approve(
    who: Operator<GrantsDecide>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<GrantView>, Problem> {
    decide(who, path, request, payload, app, GrantState::Approved).await
}

/// `POST /admin/v1/scope-grants/{id}/deny`
pub async fn deny(
    who: Operator<GrantsDecide>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<GrantView>, Problem> {
    decide(who, path, request, payload, app, GrantState::Denied).await
}

async fn decide(
    who: Operator<GrantsDecide>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    to: GrantState,
) -> Result<web::Json<GrantView>, Problem> {
    let id: GrantId = id(&path)?;
    let body = Members::read(&request, payload).await?;
    body.finish(())?;
    let now = app.clock.now();
    let grant = app
        .change(now, move |db| {
            let grant = grants::decide(db, &who.actor, &id, to, now)?;
            with_identifier(db, grant)
        })
        .await?;
    Ok(web::Json(GrantView::of(&app, grant)))
}

fn with_identifier(db: &mut Db, grant: Grant) -> Result<(Grant, Option<String>), AdminError> {
    let identifier = grants::identifier(db, &grant)?;
    Ok((grant, identifier))
}
