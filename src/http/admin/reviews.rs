//! `/admin/v1/reviews` and `/admin/v1/leak-reports`.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::id;
use crate::admin::reviews;
use crate::app::App;
use crate::domain::id::{CredentialId, LeakReportId, PartnerId, ReviewId};
use crate::domain::instant::Instant;
use crate::domain::leak::{LeakAction, LeakReportState};
use crate::domain::review::{CaseState, ReviewKind};
use crate::http::extract::{AnyScope, Operator, SecurityRead, SecurityWrite};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::store::StoreError;
use crate::store::leaks::{self, LeakReport, Match};
use crate::store::reviews::{Filter, Review, page};

#[derive(Debug, Serialize, ToSchema)]
pub struct ReviewView {
    id: ReviewId,
    state: CaseState,
    kind: ReviewKind,
    partner_id: Option<PartnerId>,
    /// What raised it: a leak's is the credential.
    pointer: String,
    opened_at: Instant,
    closed_by: Option<String>,
    closed_at: Option<Instant>,
    closed_reason: Option<String>,
}

impl From<Review> for ReviewView {
    fn from(review: Review) -> Self {
        Self {
            id: review.id,
            state: review.state,
            kind: review.kind,
            partner_id: review.partner_id,
            pointer: review.pointer,
            opened_at: review.opened_at,
            closed_by: review.closed_by,
            closed_at: review.closed_at,
            closed_reason: review.closed_reason,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LeakReportView {
    id: LeakReportId,
    state: LeakReportState,
    received_at: Instant,
    done_at: Option<Instant>,
    source_ip: Option<String>,
    /// How many texts had the form of a secret, without doubles.
    candidates: i32,
    matches: Vec<MatchView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LeakMatchView)]
struct MatchView {
    credential_id: CredentialId,
    action: LeakAction,
}

impl LeakReportView {
    fn of(report: LeakReport, matches: &[Match]) -> Self {
        let of_this = matches.iter().filter(|m| m.report_id == report.id);
        let matches = of_this
            .map(|m| MatchView {
                credential_id: m.credential_id.clone(),
                action: m.action,
            })
            .collect();
        Self {
            id: report.id,
            state: report.state,
            received_at: report.received_at,
            done_at: report.done_at,
            source_ip: report.source_ip,
            candidates: report.candidates,
            matches,
        }
    }
}

/// What came of a case.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"reason": "rotated by the partner; the repository is private now"}))]
pub struct Closing {
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// Lists reviews: cases to look into.
#[utoipa::path(
    get, path = "/admin/v1/reviews", operation_id = "list_reviews", tag = "security",
    params(
        ("state" = Option<CaseState>, Query, description = "Only reviews in this state."),
        ("kind" = Option<ReviewKind>, Query, description = "Only reviews of this kind."),
        ("partner_id" = Option<PartnerId>, Query, description = "Only reviews of this partner."),
        ("pointer" = Option<String>, Query, description = "Only reviews that this raised, by its id."),
    ),
    responses((status = 200, description = "A page of reviews", body = ListView<ReviewView>))
)]
pub async fn list(
    _: Operator<SecurityRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<ReviewView>>, Problem> {
    let filter = Filter {
        state: query.filter("state")?,
        kind: query.filter("kind")?,
        partner_id: query.filter("partner_id")?,
        pointer: query.filter("pointer")?,
    };
    let asked = query.page_of::<ReviewId>()?;
    let found = app.store.read(move |db| page(db, &filter, &asked)).await?;
    Ok(ListView::of(found, ReviewView::from))
}

/// Closes a review for good; what raises it again opens another.
#[utoipa::path(
    post, path = "/admin/v1/reviews/{id}/close", operation_id = "close_review", tag = "security",
    params(("id" = ReviewId, Path, description = "The review")),
    request_body = Closing,
    responses((status = 200, description = "The review", body = ReviewView), Conflict)
)]
pub async fn close(
    who: Operator<SecurityWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ReviewView>, Problem> {
    let id: ReviewId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let reason = (body.text("reason", 1000),);
    let (reason,) = body.finish(reason)?;
    let review = app
        .carry_out(who.actor, move |db, act| {
            reviews::close(db, act, &id, &reason)
        })
        .await?;
    Ok(web::Json(review.into()))
}

/// Lists reports of leaked secrets, with the credentials that matched.
#[utoipa::path(
    get, path = "/admin/v1/leak-reports", operation_id = "list_leak_reports", tag = "security",
    params(
        ("state" = Option<LeakReportState>, Query, description = "Only reports in this state."),
        ("credential_id" = Option<CredentialId>, Query, description = "Only reports that this credential's secret was in."),
    ),
    security(("operator" = ["security:read"]), ("operator" = ["security:write"])),
    responses((status = 200, description = "A page of reports", body = ListView<LeakReportView>))
)]
pub async fn list_leak_reports(
    who: Operator<AnyScope>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<LeakReportView>>, Problem> {
    if who.require("security:write").is_err() {
        who.require("security:read")?;
    }
    let filter = leaks::Filter {
        state: query.filter("state")?,
        credential_id: query.filter("credential_id")?,
    };
    let asked = query.page_of::<LeakReportId>()?;
    let (found, matches) = app
        .store
        .read(move |db| {
            let found = leaks::page(db, &filter, &asked)?;
            let ids: Vec<_> = found.rows.iter().map(|r| r.id.clone()).collect();
            Ok::<_, StoreError>((found, leaks::matches(db, &ids)?))
        })
        .await?;
    Ok(ListView::of(found, |report| {
        LeakReportView::of(report, &matches)
    }))
}
