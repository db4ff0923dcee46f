//! `/admin/v1/partners/{id}/privacy-notice`.

use actix_web::{HttpRequest, web};
use serde::Serialize;

use super::id;
use crate::admin::privacy::{self, NewNotice};
use crate::app::App;
use crate::domain::id::{PartnerId, PrivacyNoticeId};
use crate::domain::instant::Instant;
use crate::http::body::Members;
use crate::http::extract::{GovernanceWrite, Operator, PartnersRead};
use crate::http::problem::Problem;
use crate::store::privacy_notices::PrivacyNotice;

#[derive(Debug, Serialize)]
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

/// `GET /admin/v1/partners/{id}/privacy-notice`
pub async fn show(
    _: Operator<PartnersRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<PrivacyNoticeView>, Problem> {
    let partner: PartnerId = id(&path)?;
    let notice = app.store.read(move |db| privacy::get(db, &partner)).await?;
    Ok(web::Json(notice.into()))
}

/// `PUT /admin/v1/partners/{id}/privacy-notice`
pub async fn record(
    who: Operator<GovernanceWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<PrivacyNoticeView>, Problem> {
    let partner: PartnerId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.text("requests", 2000),
        body.text("purpose", 2000),
        body.text("retention", 500),
        body.text("how_to_revoke", 2000),
        body.text("support_contact", 320),
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
