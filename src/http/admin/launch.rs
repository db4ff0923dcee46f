//! `/admin/v1/partners/{id}/launch-review`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Nothing, id};
use crate::admin::AdminError;
use crate::admin::launch::{self, Dossier, Sandbox, Settled};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::id::{LaunchReviewId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::launch::{CheckName, CheckState, Decision, Finding, ReviewState};
use crate::http::extract::{GovernanceWrite, GrantsDecide, Operator};
use crate::http::members::Members;
use crate::http::openapi::refusals::{Conflict, FourEyes};
use crate::http::problem::Problem;
use crate::store::launch_reviews::{LaunchCheck, LaunchReview};

#[derive(Debug, Serialize, ToSchema)]
pub struct LaunchReviewView {
    id: LaunchReviewId,
    state: ReviewState,
    partner_id: PartnerId,
    checks: Vec<LaunchCheckView>,
    requested_by: String,
    requested_at: Instant,
    submitted_at: Option<Instant>,
    decided_by: Option<String>,
    decided_at: Option<Instant>,
    reason: Option<String>,
    /// The reviews before it, the newest first.
    earlier: Vec<EarlierLaunchReviewView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LaunchCheckView {
    check: CheckName,
    state: CheckState,
    /// From what the partner does in the sandbox; the others are attested.
    computed: bool,
    settled_by: Option<String>,
    settled_at: Option<Instant>,
    evidence: Option<String>,
    reason: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EarlierLaunchReviewView {
    id: LaunchReviewId,
    state: ReviewState,
    requested_by: String,
    requested_at: Instant,
    submitted_at: Option<Instant>,
    decided_by: Option<String>,
    decided_at: Option<Instant>,
    reason: Option<String>,
}

impl From<Dossier> for LaunchReviewView {
    fn from(dossier: Dossier) -> Self {
        let review = dossier.review;
        let earlier = dossier.earlier.into_iter();
        Self {
            id: review.id,
            state: review.state,
            partner_id: review.partner_id,
            checks: dossier.checks.into_iter().map(Into::into).collect(),
            requested_by: review.requested_by,
            requested_at: review.requested_at,
            submitted_at: review.submitted_at,
            decided_by: review.decided_by,
            decided_at: review.decided_at,
            reason: review.reason,
            earlier: earlier.map(Into::into).collect(),
        }
    }
}

impl From<LaunchCheck> for LaunchCheckView {
    fn from(check: LaunchCheck) -> Self {
        Self {
            check: check.name,
            state: check.state,
            computed: check.name.is_computed(),
            settled_by: check.settled_by,
            settled_at: check.settled_at,
            evidence: check.evidence,
            reason: check.reason,
        }
    }
}

impl From<LaunchReview> for EarlierLaunchReviewView {
    fn from(review: LaunchReview) -> Self {
        Self {
            id: review.id,
            state: review.state,
            requested_by: review.requested_by,
            requested_at: review.requested_at,
            submitted_at: review.submitted_at,
            decided_by: review.decided_by,
            decided_at: review.decided_at,
            reason: review.reason,
        }
    }
}

/// What an operator finds of a check.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"state": "waived", "reason": "shown in the pilot"}))]
pub struct LaunchCheckFinding {
    pub state: Finding,
    /// What shows it.
    #[schema(min_length = 1, max_length = 2000)]
    pub evidence: Option<String>,
    /// A waiver needs it.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
}

/// How a review ends.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"decision": "approve", "reason": "all is shown"}))]
pub struct LaunchDecision {
    pub decision: Decision,
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// Shows the newest launch review of a partner.
#[utoipa::path(
    get, path = "/admin/v1/partners/{id}/launch-review", operation_id = "show_launch_review", tag = "launch-reviews",
    params(("id" = PartnerId, Path, description = "The partner")),
    responses((status = 200, description = "The newest review", body = LaunchReviewView))
)]
pub async fn show(
    _: Operator<GovernanceWrite>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<LaunchReviewView>, Problem> {
    let partner: PartnerId = id(&path)?;
    let asked = partner.clone();
    let (dossier, has_news) = app
        .store
        .read(move |db| {
            let has_news = launch::has_news(db, &Sandbox, &asked)?;
            Ok::<_, AdminError>((launch::dossier(db, &asked)?, has_news))
        })
        .await?;
    if !has_news {
        return Ok(web::Json(dossier.into()));
    }
    let dossier = app
        .carry_out(Actor::policy(), move |db, act| {
            launch::take_up(db, act, &Sandbox, &partner)
        })
        .await?;
    Ok(web::Json(dossier.into()))
}

/// Asks for the launch review of an approved partner; one is open at a time.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/launch-review", operation_id = "request_launch_review", tag = "launch-reviews",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = Nothing,
    responses((status = 201, description = "The review, in the state `draft`", body = LaunchReviewView), Conflict)
)]
pub async fn request(
    who: Operator<GovernanceWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let partner: PartnerId = id(&path)?;
    Members::read(&request, payload).await?.finish(())?;
    let dossier = app
        .carry_out(who.actor, move |db, act| {
            launch::request(db, act, &Sandbox, &partner)
        })
        .await?;
    Ok(HttpResponse::Created().json(LaunchReviewView::from(dossier)))
}

/// Settles a pending check of the newest launch review.
///
/// Computed checks can only be waived. A waiver needs a reason and another operator than who asked for the
/// review. Once nothing is pending, the review is submitted.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/launch-review/checks/{check}", operation_id = "settle_launch_check",
    tag = "launch-reviews",
    params(
        ("id" = PartnerId, Path, description = "The partner"),
        ("check" = CheckName, Path, description = "The check"),
    ),
    request_body = LaunchCheckFinding,
    responses((status = 200, description = "The review", body = LaunchReviewView), Conflict, FourEyes)
)]
pub async fn settle(
    who: Operator<GovernanceWrite>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<LaunchReviewView>, Problem> {
    let (partner, name): (PartnerId, CheckName) = (id(&path.0)?, id(&path.1)?);
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.parsed("state"),
        body.optional_text("evidence", 2000),
        body.optional_text("reason", 1000),
    );
    let (finding, evidence, reason) = body.finish(taken)?;
    let settled = Settled {
        finding,
        evidence,
        reason,
    };
    let dossier = app
        .carry_out(who.actor, move |db, act| {
            launch::settle(db, act, &Sandbox, &partner, name, &settled)
        })
        .await?;
    Ok(web::Json(dossier.into()))
}

/// Decides the submitted launch review; not by who asked for it.
///
/// It cannot be approved while a check failed.
#[utoipa::path(
    post, path = "/admin/v1/partners/{id}/launch-review/decide", operation_id = "decide_launch_review",
    tag = "launch-reviews",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = LaunchDecision,
    responses((status = 200, description = "The review", body = LaunchReviewView), Conflict, FourEyes)
)]
pub async fn decide(
    who: Operator<GrantsDecide>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<LaunchReviewView>, Problem> {
    let partner: PartnerId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.parsed("decision"), body.text("reason", 1000));
    let (decision, reason) = body.finish(taken)?;
    let dossier = app
        .carry_out(who.actor, move |db, act| {
            launch::decide(db, act, &Sandbox, &partner, decision, &reason)
        })
        .await?;
    Ok(web::Json(dossier.into()))
}
