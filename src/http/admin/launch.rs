//! `/admin/v1/partners/{id}/launch-review`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::id;
use crate::admin::AdminError;
use crate::admin::launch::{self, Dossier, Sandbox, Settled};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::id::{LaunchReviewId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::launch::{CheckName, CheckState, ReviewState};
use crate::http::body::Members;
use crate::http::extract::{GovernanceWrite, GrantsDecide, Operator};
use crate::http::problem::Problem;
use crate::store::launch_reviews::{LaunchCheck, LaunchReview};

#[derive(Debug, Serialize)]
pub struct LaunchReviewView {
    #[serde(flatten)]
    review: ReviewView,
    checks: Vec<CheckView>,
    /// The reviews before it, the newest first.
    earlier: Vec<ReviewView>,
}

#[derive(Debug, Serialize)]
struct ReviewView {
    id: LaunchReviewId,
    state: ReviewState,
    partner_id: PartnerId,
    requested_by: String,
    requested_at: Instant,
    submitted_at: Option<Instant>,
    decided_by: Option<String>,
    decided_at: Option<Instant>,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct CheckView {
    check: CheckName,
    state: CheckState,
    /// From what the partner does in the sandbox; the others are attested.
    computed: bool,
    settled_by: Option<String>,
    settled_at: Option<Instant>,
    evidence: Option<String>,
    reason: Option<String>,
}

impl From<LaunchReview> for ReviewView {
    fn from(review: LaunchReview) -> Self {
        Self {
            id: review.id,
            state: review.state,
            partner_id: review.partner_id,
            requested_by: review.requested_by,
            requested_at: review.requested_at,
            submitted_at: review.submitted_at,
            decided_by: review.decided_by,
            decided_at: review.decided_at,
            reason: review.reason,
        }
    }
}

impl From<LaunchCheck> for CheckView {
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

impl From<Dossier> for LaunchReviewView {
    fn from(dossier: Dossier) -> Self {
        Self {
            review: dossier.review.into(),
            checks: dossier.checks.into_iter().map(CheckView::from).collect(),
            earlier: dossier.earlier.into_iter().map(ReviewView::from).collect(),
        }
    }
}

/// `GET /admin/v1/partners/{id}/launch-review`
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

/// `POST /admin/v1/partners/{id}/launch-review`
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

/// `POST /admin/v1/partners/{id}/launch-review/checks/{check}`
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

/// `POST /admin/v1/partners/{id}/launch-review/decide`
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
