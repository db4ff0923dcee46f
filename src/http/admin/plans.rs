//! `/admin/v1/plans`.

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};

use super::id;
use super::limits::body::{NewPlanBody, PlanEditBody, edited, figures, with_figures};

use crate::admin::plans::{self, NewPlan};
use crate::app::App;
use crate::domain::id::PlanId;
use crate::domain::instant::Instant;
use crate::http::etag;
use crate::http::extract::{LimitsWrite, Operator};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::refusals::{Conflict, Outdated};
use crate::http::problem::Problem;
use crate::store::plans::{Plan, page};

/// The most characters of a plan's name.
const LONGEST_NAME: usize = 100;

with_figures!(
    /// A named set of limits.
    pub struct PlanView {
        id: PlanId,
        name: String,
        /// Counts changes; the `ETag` changes with it.
        version: i64,
        created_by: String,
        created_at: Instant,
        updated_at: Instant,
    }
);

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self::with(
            plan.id,
            plan.name,
            plan.version,
            plan.created_by,
            plan.created_at,
            plan.updated_at,
            &plan.figures,
        )
    }
}

/// Lists plans.
#[utoipa::path(
    get, path = "/admin/v1/plans", operation_id = "list_plans", tag = "limits",
    responses((status = 200, description = "A page of plans", body = ListView<PlanView>))
)]
pub async fn list(
    _: Operator<LimitsWrite>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<PlanView>>, Problem> {
    let asked = query.page_of::<PlanId>()?;
    let found = app.store.read(move |db| page(db, &asked)).await?;
    Ok(ListView::of(found, PlanView::from))
}

/// Shows a plan.
#[utoipa::path(
    get, path = "/admin/v1/plans/{id}", operation_id = "show_plan", tag = "limits",
    params(("id" = PlanId, Path, description = "The plan")),
    responses((status = 200, description = "The plan; its `ETag` is for `If-Match`", body = PlanView))
)]
pub async fn show(
    _: Operator<LimitsWrite>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id: PlanId = id(&path)?;
    let found = app.store.read(move |db| plans::get(db, &id)).await?;
    Ok(tagged(HttpResponse::Ok(), found))
}

/// Makes a plan.
#[utoipa::path(
    post, path = "/admin/v1/plans", operation_id = "create_plan", tag = "limits",
    request_body = NewPlanBody,
    responses((status = 201, description = "The plan", body = PlanView), Conflict)
)]
pub async fn create(
    who: Operator<LimitsWrite>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.line("name", LONGEST_NAME), figures(&mut body));
    let (name, figures) = body.finish(taken)?;
    let new = NewPlan { name, figures };
    let plan = app
        .carry_out(who.actor, move |db, act| plans::create(db, act, new))
        .await?;
    Ok(tagged(HttpResponse::Created(), plan))
}

/// Changes a plan, for all partners that are on it.
///
/// With `If-Match`, only if it is as the caller knows it. Effective on every node within a second.
#[utoipa::path(
    patch, path = "/admin/v1/plans/{id}", operation_id = "edit_plan", tag = "limits",
    params(
        ("id" = PlanId, Path, description = "The plan"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the plan as the caller knows it."),
    ),
    request_body = PlanEditBody,
    responses((status = 200, description = "The plan", body = PlanView), Conflict, Outdated)
)]
pub async fn edit(
    who: Operator<LimitsWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id: PlanId = id(&path)?;
    let expected = etag::expected_revisions(&request, &id)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.changed_line("name", LONGEST_NAME), edited(&mut body));
    let (name, change) = body.finish(taken)?;
    let plan = app
        .carry_out(who.actor, move |db, act| {
            plans::edit(db, act, &id, expected.as_deref(), name, change)
        })
        .await?;
    Ok(tagged(HttpResponse::Ok(), plan))
}

fn tagged(mut answer: HttpResponseBuilder, plan: Plan) -> HttpResponse {
    let tag = etag::of_revision(&plan.id, plan.revision());
    answer.insert_header((ETAG, tag.to_string()));
    answer.json(PlanView::from(plan))
}
