//! `/admin/v1/partners/{id}/agreements` and `/admin/v1/agreements`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Reason, StatedReason, id};
use crate::admin::AdminError;
use crate::admin::agreements::{self, NewAgreement};
use crate::app::App;
use crate::domain::agreement::{AgreementKind, AgreementState};
use crate::domain::id::{AgreementId, PartnerId};
use crate::domain::instant::Instant;
use crate::http::extract::{GovernanceWrite, Operator, PartnersRead};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::store::agreements::{Agreement, Filter, page};

#[derive(Debug, Serialize, ToSchema)]
pub struct AgreementView {
    id: AgreementId,
    state: AgreementState,
    partner_id: PartnerId,
    kind: AgreementKind,
    reference: String,
    document_sha256: String,
    lawful_basis: Option<String>,
    in_force_from: Instant,
    expires_at: Instant,
    /// Whether it counts at this moment: in force, and within its dates.
    counts_now: bool,
    created_by: String,
    created_at: Instant,
    decided_by: Option<String>,
    decided_at: Option<Instant>,
    ended_by: Option<String>,
    ended_at: Option<Instant>,
    ended_reason: Option<String>,
}

impl AgreementView {
    fn of(app: &App, agreement: Agreement) -> Self {
        Self {
            counts_now: agreements::counts(&agreement, app.clock.now()),
            id: agreement.id,
            state: agreement.state,
            partner_id: agreement.partner_id,
            kind: agreement.kind,
            reference: agreement.reference,
            document_sha256: agreement.document_sha256,
            lawful_basis: agreement.lawful_basis,
            in_force_from: agreement.in_force_from,
            expires_at: agreement.expires_at,
            created_by: agreement.created_by,
            created_at: agreement.created_at,
            decided_by: agreement.decided_by,
            decided_at: agreement.decided_at,
            ended_by: agreement.ended_by,
            ended_at: agreement.ended_at,
            ended_reason: agreement.ended_reason,
        }
    }
}

/// Something that was agreed.
#[derive(Debug, ToSchema)]
#[schema(as = NewAgreement, example = json!({
    "kind": "contract", "reference": "MSA-17",
    "document_sha256": "6d5a9a7f0b0f4b5e1d1c6a8e5ed9be0e3d6c6c1d3f0a1b2c3d4e5f60718293a4",
    "in_force_from": "2030-01-01T00:00:00Z", "expires_at": "2031-01-01T00:00:00Z"
}))]
pub struct NewAgreementBody {
    pub kind: AgreementKind,
    /// Where it is filed.
    #[schema(min_length = 1, max_length = 200)]
    pub reference: String,
    /// Of the signed document.
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    pub document_sha256: String,
    #[schema(min_length = 1, max_length = 200)]
    pub lawful_basis: Option<String>,
    pub in_force_from: Instant,
    /// After `in_force_from`, and in the future.
    pub expires_at: Instant,
}

/// Lists the agreements with a partner.
#[utoipa::path(
    get, path = "/admin/v1/partners/{id}/agreements", operation_id = "list_agreements", tag = "agreements",
    params(
        ("id" = PartnerId, Path, description = "The partner"),
        ("kind" = Option<AgreementKind>, Query, description = "Only agreements of this kind."),
        ("state" = Option<AgreementState>, Query, description = "Only agreements in this state."),
    ),
    responses((status = 200, description = "A page of agreements", body = ListView<AgreementView>))
)]
pub async fn list(
    _: Operator<PartnersRead>,
    path: web::Path<String>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<AgreementView>>, Problem> {
    let partner: PartnerId = id(&path)?;
    let filter = Filter {
        kind: query.filter("kind")?,
        state: query.filter("state")?,
    };
    let asked = query.page_of::<AgreementId>()?;
    let found = app
        .store
        .read(move |db| {
            crate::admin::partners::get(db, &partner)?;
            Ok::<_, AdminError>(page(db, &partner, filter, &asked)?)
        })
        .await?;
    Ok(ListView::of(found, |row| AgreementView::of(&app, row)))
}

/// Records an agreement as a draft.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/agreements", operation_id = "record_agreement", tag = "agreements",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = NewAgreementBody,
    responses((status = 201, description = "The agreement, in the state `draft`", body = AgreementView), Conflict)
)]
pub async fn record(
    who: Operator<GovernanceWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let partner: PartnerId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.parsed("kind"),
        body.line("reference", 200),
        body.parsed("document_sha256"),
        body.optional_line("lawful_basis", 200),
        body.parsed("in_force_from"),
        body.parsed("expires_at"),
    );
    let (kind, reference, document, lawful_basis, in_force_from, expires_at) =
        body.finish(taken)?;
    let new = NewAgreement {
        kind,
        reference,
        document,
        lawful_basis,
        in_force_from,
        expires_at,
    };
    let agreement = app
        .carry_out(who.actor, move |db, act| {
            agreements::record(db, act, &partner, new)
        })
        .await?;
    Ok(HttpResponse::Created().json(AgreementView::of(&app, agreement)))
}

/// Brings a draft into force; its dates say from when until when it counts.
#[utoipa::path(
    post, path = "/admin/v1/agreements/{id}/bring-into-force", operation_id = "bring_agreement_into_force",
    tag = "agreements",
    params(("id" = AgreementId, Path, description = "The agreement")),
    request_body = Reason,
    responses((status = 200, description = "The agreement", body = AgreementView), Conflict)
)]
pub async fn bring_into_force(
    who: Operator<GovernanceWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<AgreementView>, Problem> {
    let id: AgreementId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.optional_text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    let agreement = app
        .carry_out(who.actor, move |db, act| {
            agreements::bring_into_force(db, act, &id, reason.as_deref())
        })
        .await?;
    Ok(web::Json(AgreementView::of(&app, agreement)))
}

/// Ends an agreement before its time.
///
/// With the last contract that counts, live access ends: no more tokens, and those given are refused.
#[utoipa::path(
    post, path = "/admin/v1/agreements/{id}/terminate", operation_id = "terminate_agreement", tag = "agreements",
    params(("id" = AgreementId, Path, description = "The agreement")),
    request_body = StatedReason,
    responses((status = 200, description = "The agreement", body = AgreementView), Conflict)
)]
pub async fn terminate(
    who: Operator<GovernanceWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<AgreementView>, Problem> {
    let id: AgreementId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    let agreement = app
        .carry_out(who.actor, move |db, act| {
            agreements::terminate(db, act, &id, &reason)
        })
        .await?;
    Ok(web::Json(AgreementView::of(&app, agreement)))
}
