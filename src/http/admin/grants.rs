//! `/admin/v1/partners/{id}/scope-grants` and `/admin/v1/scope-grants`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Reason, id};
use crate::admin::AdminError;
use crate::admin::grants::{self, NewGrant};
use crate::app::App;
use crate::domain::grant::{GrantState, GrantStep};
use crate::domain::id::{GrantId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::page::Page;
use crate::domain::realm::Realm;
use crate::domain::scope::Scope;
use crate::http::admin::named::Named;
use crate::http::extract::{AnyScope, GovernanceWrite, GrantsDecide, Operator};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::domain::Environment;
use crate::http::openapi::refusals::{Conflict, FourEyes};
use crate::http::problem::Problem;
use crate::store::Db;
use crate::store::grants::{Filter, Grant, page};

#[derive(Debug, Serialize, ToSchema)]
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
    /// Who revoked it, or `policy` where its end came.
    ended_by: Option<String>,
    ended_at: Option<Instant>,
    ended_reason: Option<String>,
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
            ended_by: grant.ended_by,
            ended_at: grant.ended_at,
            ended_reason: grant.ended_reason,
        }
    }
}

/// A grant that is asked for.
#[derive(Debug, ToSchema)]
#[schema(example = json!({
    "realm": "sandbox", "scope": "orders:read", "purpose": "show customers their orders",
    "data_classes": ["orders"], "retention_days": 30, "expires_at": "2030-01-31T12:00:00Z"
}))]
pub struct NewScopeGrant {
    #[schema(value_type = Environment)]
    pub realm: Realm,
    pub scope: Scope,
    /// The audience's identifier; the partner API unless said otherwise.
    #[schema(format = "uri", min_length = 1, max_length = 2048)]
    pub resource: Option<String>,
    /// What the partner needs it for.
    #[schema(min_length = 1, max_length = 1000)]
    pub purpose: String,
    #[schema(min_length = 1, max_length = 200)]
    pub lawful_basis: Option<String>,
    #[schema(max_items = 50)]
    pub data_classes: Vec<String>,
    /// Days that the partner keeps the data.
    #[schema(minimum = 0, maximum = 36500)]
    pub retention_days: i32,
    /// In the future, at most 366 days ahead.
    pub expires_at: Instant,
}

/// Lists the scope grants of a partner.
#[utoipa::path(
    get, path = "/admin/v1/partners/{id}/scope-grants", operation_id = "list_scope_grants", tag = "scope-grants",
    params(
        ("id" = PartnerId, Path, description = "The partner"),
        ("realm" = Option<Realm>, Query, description = "Only grants of this realm."),
        ("state" = Option<GrantState>, Query, description = "Only grants in this state."),
        ("scope" = Option<Scope>, Query, description = "Only grants of this scope."),
    ),
    responses((status = 200, description = "A page of grants", body = ListView<GrantView>))
)]
pub async fn list(
    _: Operator<GovernanceWrite>,
    path: web::Path<String>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<GrantView>>, Problem> {
    let partner: PartnerId = id(&path)?;
    let filter = Filter {
        realm: query.filter("realm")?,
        state: query.filter("state")?,
        scope: query.filter("scope")?,
    };
    let asked = query.page_of::<GrantId>()?;
    let found = app
        .store
        .read(move |db| {
            crate::admin::partners::get(db, &partner)?;
            let found = page(db, &partner, &filter, &asked)?;
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

/// Asks for a scope on behalf of a partner.
///
/// In the sandbox it may be approved at once, by policy.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/scope-grants", operation_id = "request_scope_grant", tag = "scope-grants",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = NewScopeGrant,
    responses((status = 201, description = "The grant", body = GrantView), Conflict)
)]
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
        body.parsed::<Named>("realm"),
        body.parsed("scope"),
        body.optional_text("resource", 2048),
        body.text("purpose", 1000),
        body.optional_line("lawful_basis", 200),
        body.list("data_classes", 50),
        body.integer("retention_days", 0..=36_500),
        body.parsed("expires_at"),
    );
    let (realm, scope, resource, purpose, lawful_basis, data_classes, retention_days, expires_at) =
        body.finish(taken)?;
    let Named(realm) = realm;
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
    let grant = app
        .carry_out(who.actor, move |db, act| {
            let grant = grants::request(db, act, &partner, new)?;
            with_identifier(db, grant)
        })
        .await?;
    Ok(HttpResponse::Created().json(GrantView::of(&app, grant)))
}

/// Shows a grant, to who asks for grants and to who decides them.
#[utoipa::path(
    get, path = "/admin/v1/scope-grants/{id}", operation_id = "show_scope_grant", tag = "scope-grants",
    params(("id" = GrantId, Path, description = "The grant")),
    security(("operator" = ["governance:write"]), ("operator" = ["grants:decide"])),
    responses((status = 200, description = "The grant", body = GrantView))
)]
pub async fn show(
    who: Operator<AnyScope>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<GrantView>, Problem> {
    if who.require("grants:decide").is_err() {
        who.require("governance:write")?;
    }
    let id: GrantId = id(&path)?;
    let found = app.store.read(move |db| {
        let grant = grants::get(db, &id)?;
        with_identifier(db, grant)
    });
    Ok(web::Json(GrantView::of(&app, found.await?)))
}

/// Revokes an approved grant.
///
/// The partner's tokens that carry its scope die. While another grant of the scope at the audience
/// stands, the next token carries it all the same.
#[utoipa::path(
    post, path = "/admin/v1/scope-grants/{id}/revoke", operation_id = "revoke_scope_grant", tag = "scope-grants",
    params(("id" = GrantId, Path, description = "The grant")),
    request_body = Reason,
    responses((status = 200, description = "The grant", body = GrantView), Conflict)
)]
pub async fn revoke(
    who: Operator<GrantsDecide>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<GrantView>, Problem> {
    let id: GrantId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.optional_text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    let reason = reason.unwrap_or_else(|| "no reason was given".to_owned());
    let grant = app
        .carry_out(who.actor, move |db, act| {
            let grant = grants::revoke(db, act, &id, &reason)?;
            with_identifier(db, grant)
        })
        .await?;
    Ok(web::Json(GrantView::of(&app, grant)))
}

/// Approves a grant that another operator asked for.
#[utoipa::path(
    post, path = "/admin/v1/scope-grants/{id}/approve", operation_id = "approve_scope_grant", tag = "scope-grants",
    params(("id" = GrantId, Path, description = "The grant")),
    request_body = Reason,
    responses((status = 200, description = "The grant", body = GrantView), FourEyes, Conflict)
)]
pub async fn approve(
    who: Operator<GrantsDecide>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<GrantView>, Problem> {
    decide(who, path, request, payload, app, GrantStep::Approve).await
}

/// Denies a grant that another operator asked for.
#[utoipa::path(
    post, path = "/admin/v1/scope-grants/{id}/deny", operation_id = "deny_scope_grant", tag = "scope-grants",
    params(("id" = GrantId, Path, description = "The grant")),
    request_body = Reason,
    responses((status = 200, description = "The grant", body = GrantView), FourEyes, Conflict)
)]
pub async fn deny(
    who: Operator<GrantsDecide>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<GrantView>, Problem> {
    decide(who, path, request, payload, app, GrantStep::Deny).await
}

async fn decide(
    who: Operator<GrantsDecide>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    step: GrantStep,
) -> Result<web::Json<GrantView>, Problem> {
    let id: GrantId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.optional_text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    let grant = app
        .carry_out(who.actor, move |db, act| {
            let grant = grants::decide(db, act, &id, step, reason.as_deref())?;
            with_identifier(db, grant)
        })
        .await?;
    Ok(web::Json(GrantView::of(&app, grant)))
}

fn with_identifier(db: &mut Db, grant: Grant) -> Result<(Grant, Option<String>), AdminError> {
    let identifier = grants::identifier(db, &grant)?;
    Ok((grant, identifier))
}
