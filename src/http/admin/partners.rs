//! `/admin/v1/partners`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::id;
use crate::admin::partners::{self, NewPartner};
use crate::app::App;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::partner::{PartnerState, PartnerStep};
use crate::http::body::Members;
use crate::http::extract::{Operator, PartnersRead, PartnersWrite};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::partners::{Edit, Partner, page};

#[derive(Debug, Serialize)]
pub struct PartnerView {
    id: PartnerId,
    state: PartnerState,
    name: String,
    legal_name: String,
    security_contact: String,
    leaked_secret_grace: bool,
    created_by: String,
    created_at: Instant,
    updated_at: Instant,
}

impl From<Partner> for PartnerView {
    fn from(partner: Partner) -> Self {
        Self {
            id: partner.id,
            state: partner.state,
            name: partner.name,
            legal_name: partner.legal_name,
            security_contact: partner.security_contact,
            leaked_secret_grace: partner.leaked_secret_grace,
            created_by: partner.created_by,
            created_at: partner.created_at,
            updated_at: partner.updated_at,
        }
    }
}

/// `GET /admin/v1/partners`
pub async fn list(
    _: Operator<PartnersRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<PartnerView>>, Problem> {
    let state = query.filter("state")?;
    let asked = query.page()?;
    let found = app.store.read(move |db| page(db, state, &asked)).await?;
    Ok(ListView::of(found, PartnerView::from))
}

/// `GET /admin/v1/partners/{id}`
pub async fn show(
    _: Operator<PartnersRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<PartnerView>, Problem> {
    let id: PartnerId = id(&path)?;
    let partner = app.store.read(move |db| partners::get(db, &id)).await?;
    Ok(web::Json(partner.into()))
}

/// `POST /admin/v1/partners`
pub async fn create(
    who: Operator<PartnersWrite>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.text("name", 200),
        body.text("legal_name", 200),
        body.text("security_contact", 320),
    );
    let (name, legal_name, security_contact) = body.finish(taken)?;
    let new = NewPartner {
        name,
        legal_name,
        security_contact,
    };
    let partner = app
        .carry_out(who.actor, move |db, act| partners::create(db, act, new))
        .await?;
    Ok(HttpResponse::Created().json(PartnerView::from(partner)))
}

/// `PATCH /admin/v1/partners/{id}`
pub async fn edit(
    who: Operator<PartnersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<PartnerView>, Problem> {
    let id: PartnerId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.changed_text("name", 200),
        body.changed_text("legal_name", 200),
        body.changed_text("security_contact", 320),
        body.changed_bool("leaked_secret_grace"),
    );
    let (name, legal_name, security_contact, leaked_secret_grace) = body.finish(taken)?;
    let wanted = Edit {
        name,
        legal_name,
        security_contact,
        leaked_secret_grace,
    };
    let partner = app
        .carry_out(who.actor, move |db, act| {
            partners::edit(db, act, &id, wanted)
        })
        .await?;
    Ok(web::Json(partner.into()))
}

/// `POST /admin/v1/partners/{id}/approve`
pub async fn approve(
    who: Operator<PartnersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<PartnerView>, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.optional_text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    step(who, &path, app, PartnerStep::Approve, reason).await
}

/// `POST /admin/v1/partners/{id}/reject`
pub async fn reject(
    who: Operator<PartnersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<PartnerView>, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.optional_text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    step(who, &path, app, PartnerStep::Reject, reason).await
}

/// `POST /admin/v1/partners/{id}/suspend`
pub async fn suspend(
    who: Operator<PartnersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<PartnerView>, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    step(who, &path, app, PartnerStep::Suspend, Some(reason)).await
}

/// `POST /admin/v1/partners/{id}/resume`
pub async fn resume(
    who: Operator<PartnersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<PartnerView>, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    step(who, &path, app, PartnerStep::Resume, Some(reason)).await
}

/// `POST /admin/v1/partners/{id}/offboard`
pub async fn offboard(
    who: Operator<PartnersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<PartnerView>, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    step(who, &path, app, PartnerStep::Offboard, Some(reason)).await
}

async fn step(
    who: Operator<PartnersWrite>,
    path: &str,
    app: web::Data<App>,
    step: PartnerStep,
    reason: Option<String>,
) -> Result<web::Json<PartnerView>, Problem> {
    let id: PartnerId = id(path)?;
    let partner = app
        .carry_out(who.actor, move |db, act| {
            partners::step(db, act, &id, step, reason.as_deref())
        })
        .await?;
    Ok(web::Json(partner.into()))
}
