//! `/admin/v1/partners/{id}/privacy-notice`.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::id;
use crate::admin::privacy::{self, NewNotice};
use crate::app::App;
use crate::domain::id::{PartnerId, PrivacyNoticeId};
use crate::domain::instant::Instant;
use crate::http::etag;
use crate::http::extract::{GovernanceWrite, Operator, PartnersRead};
use crate::http::members::Members;
use crate::http::openapi::refusals::{Conflict, Outdated};
use crate::http::problem::Problem;
use crate::store::privacy_notices::PrivacyNotice;

#[derive(Debug, Serialize, ToSchema)]
pub struct PrivacyNoticeView {
    id: PrivacyNoticeId,
    partner_id: PartnerId,
    requests: String,
    purpose: String,
    retention: String,
    how_to_revoke: String,
    support_contact: String,
    url: Option<String>,
    recorded_by: String,
    recorded_at: Instant,
}

impl From<PrivacyNotice> for PrivacyNoticeView {
    fn from(notice: PrivacyNotice) -> Self {
        Self {
            id: notice.id,
            partner_id: notice.partner_id,
            requests: notice.requests,
            purpose: notice.purpose,
            retention: notice.retention,
            how_to_revoke: notice.how_to_revoke,
            support_contact: notice.support_contact,
            url: notice.url,
            recorded_by: notice.recorded_by,
            recorded_at: notice.recorded_at,
        }
    }
}

/// What a partner tells those whose data it reads.
#[derive(Debug, ToSchema)]
#[schema(example = json!({
    "requests": "orders", "purpose": "show customers their orders", "retention": "30 days",
    "how_to_revoke": "in their account", "support_contact": "privacy@acme.example"
}))]
pub struct NewPrivacyNotice {
    /// What the partner asks for.
    #[schema(min_length = 1, max_length = 2000)]
    pub requests: String,
    #[schema(min_length = 1, max_length = 2000)]
    pub purpose: String,
    #[schema(min_length = 1, max_length = 500)]
    pub retention: String,
    #[schema(min_length = 1, max_length = 2000)]
    pub how_to_revoke: String,
    #[schema(min_length = 1, max_length = 320)]
    pub support_contact: String,
    /// Where it can be read.
    #[schema(format = "uri", min_length = 1, max_length = 2048)]
    pub url: Option<String>,
}

/// Shows the privacy notice in force.
#[utoipa::path(
    get, path = "/admin/v1/partners/{id}/privacy-notice", operation_id = "show_privacy_notice", tag = "privacy-notices",
    params(("id" = PartnerId, Path, description = "The partner")),
    responses((status = 200, description = "The notice in force", body = PrivacyNoticeView))
)]
pub async fn show(
    _: Operator<PartnersRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<PrivacyNoticeView>, Problem> {
    let partner: PartnerId = id(&path)?;
    let notice = app.store.read(move |db| privacy::get(db, &partner)).await?;
    Ok(web::Json(notice.into()))
}

/// Puts a privacy notice on record in place of the former, which is kept.
#[utoipa::path(
    put, path = "/admin/v1/partners/{id}/privacy-notice", operation_id = "record_privacy_notice", tag = "privacy-notices",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = NewPrivacyNotice,
    responses((status = 200, description = "The notice, in force", body = PrivacyNoticeView), Conflict, Outdated)
)]
pub async fn record(
    who: Operator<GovernanceWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<PrivacyNoticeView>, Problem> {
    let partner: PartnerId = id(&path)?;
    etag::unbound(&request)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.text("requests", 2000),
        body.text("purpose", 2000),
        body.text("retention", 500),
        body.text("how_to_revoke", 2000),
        body.line("support_contact", 320),
        body.optional_parsed("url"),
    );
    let (requests, purpose, retention, how_to_revoke, support_contact, url) = body.finish(taken)?;
    let new = NewNotice {
        requests,
        purpose,
        retention,
        how_to_revoke,
        support_contact,
        url,
    };
    let notice = app
        .carry_out(who.actor, move |db, act| {
            privacy::record(db, act, &partner, new)
        })
        .await?;
    Ok(web::Json(notice.into()))
}
