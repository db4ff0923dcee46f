//! `/admin/v1/partners`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Reason, StatedReason, id};
use crate::admin::offboarding::{self, Offboarded};
use crate::admin::partners::{self, NewPartner};
use crate::app::App;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::partner::{PartnerState, PartnerStep};
use crate::http::etag;
use crate::http::extract::{Operator, PartnersRead, PartnersWrite};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::refusals::{Conflict, Outdated};
use crate::http::problem::Problem;
use crate::store::partners::{Edit, Partner, page};

#[derive(Debug, Serialize, ToSchema)]
pub struct PartnerView {
    id: PartnerId,
    state: PartnerState,
    name: String,
    legal_name: String,
    security_contact: String,
    /// Whether a leaked secret of live is accepted for one more hour.
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

/// An application.
#[derive(Debug, ToSchema)]
#[schema(as = NewPartner, example = json!({
    "name": "Acme", "legal_name": "Acme Travel GmbH", "security_contact": "security@acme.example"
}))]
pub struct NewPartnerBody {
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    #[schema(min_length = 1, max_length = 200)]
    pub legal_name: String,
    /// Whom to tell, at any hour.
    #[schema(min_length = 1, max_length = 320)]
    pub security_contact: String,
}

/// What is to change; what is absent stays.
#[derive(Debug, ToSchema)]
#[schema(as = PartnerEdit, example = json!({"security_contact": "soc@acme.example"}))]
pub struct PartnerEditBody {
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    pub name: Option<String>,
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    pub legal_name: Option<String>,
    #[schema(min_length = 1, max_length = 320, nullable = false)]
    pub security_contact: Option<String>,
    /// Whether a leaked secret of live is accepted for one more hour.
    #[schema(nullable = false)]
    pub leaked_secret_grace: Option<bool>,
}

/// Lists partners.
#[utoipa::path(
    get, path = "/admin/v1/partners", operation_id = "list_partners", tag = "partners",
    params(("state" = Option<PartnerState>, Query, description = "Only partners in this state.")),
    responses((status = 200, description = "A page of partners", body = ListView<PartnerView>))
)]
pub async fn list(
    _: Operator<PartnersRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<PartnerView>>, Problem> {
    let state = query.filter("state")?;
    let asked = query.page_of::<PartnerId>()?;
    let found = app.store.read(move |db| page(db, state, &asked)).await?;
    Ok(ListView::of(found, PartnerView::from))
}

/// Shows a partner.
#[utoipa::path(
    get, path = "/admin/v1/partners/{id}", operation_id = "show_partner", tag = "partners",
    params(("id" = PartnerId, Path, description = "The partner")),
    responses((status = 200, description = "The partner", body = PartnerView))
)]
pub async fn show(
    _: Operator<PartnersRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<PartnerView>, Problem> {
    let id: PartnerId = id(&path)?;
    let partner = app.store.read(move |db| partners::get(db, &id)).await?;
    Ok(web::Json(partner.into()))
}

/// Records an application.
#[utoipa::path(
    post, path = "/admin/v1/partners", operation_id = "create_partner", tag = "partners",
    request_body = NewPartnerBody,
    responses((status = 201, description = "The partner, in the state `applied`", body = PartnerView))
)]
pub async fn create(
    who: Operator<PartnersWrite>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.line("name", 200),
        body.line("legal_name", 200),
        body.line("security_contact", 320),
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

/// Changes what is said about a partner.
#[utoipa::path(
    patch, path = "/admin/v1/partners/{id}", operation_id = "edit_partner", tag = "partners",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = PartnerEditBody,
    responses((status = 200, description = "The partner", body = PartnerView), Conflict, Outdated)
)]
pub async fn edit(
    who: Operator<PartnersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<PartnerView>, Problem> {
    let id: PartnerId = id(&path)?;
    etag::unbound(&request)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.changed_line("name", 200),
        body.changed_line("legal_name", 200),
        body.changed_line("security_contact", 320),
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

/// Approves a partner: it can get grants and clients.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/approve", operation_id = "approve_partner", tag = "partners",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = Reason,
    responses((status = 200, description = "The partner", body = PartnerView), Conflict)
)]
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

/// Rejects an application.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/reject", operation_id = "reject_partner", tag = "partners",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = Reason,
    responses((status = 200, description = "The partner", body = PartnerView), Conflict)
)]
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

/// Suspends a partner: its clients get no tokens, and what they have is refused.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/suspend", operation_id = "suspend_partner", tag = "partners",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = StatedReason,
    responses((status = 200, description = "The partner", body = PartnerView), Conflict)
)]
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

/// Lets a suspended partner go on.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/resume", operation_id = "resume_partner", tag = "partners",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = StatedReason,
    responses((status = 200, description = "The partner", body = PartnerView), Conflict)
)]
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

/// A partner that was let go, and what became of its records.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OffboardedPartnerView)]
pub struct OffboardedView {
    #[serde(flatten)]
    partner: PartnerView,
    /// What was taken out.
    anonymised: Vec<AnonymisedView>,
    /// What stays, and why.
    kept: Vec<KeptView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnonymisedRecords)]
struct AnonymisedView {
    what: &'static str,
    /// Out of how many records.
    records: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeptRecords)]
struct KeptView {
    what: &'static str,
    why: String,
}

impl From<Offboarded> for OffboardedView {
    fn from(gone: Offboarded) -> Self {
        let anonymised = gone.anonymised.into_iter().map(|one| AnonymisedView {
            what: one.what,
            records: one.records,
        });
        let kept = gone.kept.into_iter().map(|one| KeptView {
            what: one.what,
            why: one.why,
        });
        Self {
            partner: gone.partner.into(),
            anonymised: anonymised.collect(),
            kept: kept.collect(),
        }
    }
}

/// Lets a suspended partner go, for good: its clients, credentials and grants end with it.
///
/// Contacts, names and addresses that the books do not need are taken out of its records. The
/// answer says which, and what is kept and why.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/offboard", operation_id = "offboard_partner", tag = "partners",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = StatedReason,
    responses((status = 200, description = "The partner", body = OffboardedView), Conflict)
)]
pub async fn offboard(
    who: Operator<PartnersWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<OffboardedView>, Problem> {
    let id: PartnerId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    let gone = app
        .carry_out(who.actor, move |db, act| {
            offboarding::offboard(db, act, &id, &reason)
        })
        .await?;
    Ok(web::Json(gone.into()))
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
