//! `/admin/v1/partners/{id}/limits`.

pub mod body;

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::id;
use body::{LimitsBody, optional_figures, with_figures};

use crate::admin::limits::{self, InForce, Wanted};
use crate::app::App;
use crate::domain::id::{PartnerId, PlanId};
use crate::domain::instant::Instant;
use crate::domain::limits::{Mode, Source};
use crate::domain::realm::Realm;
use crate::http::admin::named::Named;
use crate::http::etag;
use crate::http::extract::{LimitsWrite, Operator};
use crate::http::list::{ListQuery, ListView, bad_cursor};
use crate::http::members::Members;
use crate::http::openapi::domain::{ENVIRONMENTS, Environment};
use crate::http::openapi::refusals::{Conflict, Outdated};
use crate::http::problem::Problem;

/// The plan that a partner is on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanOfPartner)]
pub struct PlanOfPartner {
    id: PlanId,
    name: String,
}

with_figures!(
    /// The limits in force for a partner in an environment.
    pub struct LimitsView {
        partner_id: PartnerId,
        #[schema(value_type = Environment)]
        realm: Realm,
        mode: Mode,
        /// Where the figures come from.
        source: Source,
        /// The plan that holds where figures of its own do not.
        plan: Option<PlanOfPartner>,
        /// When figures of its own end.
        ends_at: Option<Instant>,
        /// Who set them. `null`: nobody, so these are the defaults.
        updated_by: Option<String>,
        updated_at: Option<Instant>,
    }
);

impl From<InForce> for LimitsView {
    fn from(of: InForce) -> Self {
        let limits = of.terms.limits(of.now);
        let plan = of.plan.map(|(id, name)| PlanOfPartner { id, name });
        let (updated_by, updated_at) = of.updated.unzip();
        Self::with(
            of.partner_id,
            of.realm,
            limits.mode,
            of.terms.source(of.now),
            plan,
            of.terms.own_end(of.now),
            updated_by,
            updated_at,
            &limits.figures,
        )
    }
}

/// Shows the limits in force for a partner, in each environment.
#[utoipa::path(
    get, path = "/admin/v1/partners/{id}/limits", operation_id = "show_limits", tag = "limits",
    params(
        ("id" = PartnerId, Path, description = "The partner"),
        ("realm" = Option<Environment>, Query, description = "Only in this environment."),
    ),
    responses((status = 200, description = "The limits in force", body = ListView<LimitsView>))
)]
pub async fn show(
    _: Operator<LimitsWrite>,
    path: web::Path<String>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<LimitsView>>, Problem> {
    let partner: PartnerId = id(&path)?;
    let realm = query.filter::<Named>("realm")?.map(|Named(realm)| realm);
    let asked = query.page()?;
    let now = app.clock.now();
    let read = app.store.read(move |db| {
        let realms = ENVIRONMENTS.iter().copied();
        let wanted = realms.filter(|of| realm.is_none_or(|only| only == *of));
        wanted
            .map(|realm| limits::get(db, &partner, realm, now))
            .collect::<Result<Vec<_>, _>>()
    });
    let page = asked.of_all(read.await?, |limits| limits.realm.as_str());
    let page = page.ok_or_else(bad_cursor)?;
    Ok(ListView::of(page, LimitsView::from))
}

/// Sets a partner's limits in an environment, in the place of those that it had.
///
/// A plan, figures of its own, or both: the figures stand before the plan until they end. With neither, the
/// house's defaults hold. Effective on every node within a second. Whoever is over a new limit already is
/// let through as it refills; nobody's bucket is refilled by a change.
#[utoipa::path(
    put, path = "/admin/v1/partners/{id}/limits", operation_id = "set_limits", tag = "limits",
    params(("id" = PartnerId, Path, description = "The partner")),
    request_body = LimitsBody,
    responses((status = 200, description = "The limits in force", body = LimitsView), Conflict, Outdated)
)]
pub async fn set(
    who: Operator<LimitsWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<LimitsView>, Problem> {
    let partner: PartnerId = id(&path)?;
    etag::unbound(&request)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.parsed::<Named>("realm"),
        body.parsed::<Mode>("mode"),
        body.optional_parsed::<PlanId>("plan_id"),
        body.optional_parsed::<Instant>("ends_at"),
        optional_figures(&mut body),
    );
    let (Named(realm), mode, plan_id, ends_at, figures) = body.finish(taken)?;
    let wanted = Wanted {
        realm,
        mode,
        plan_id,
        figures,
        ends_at,
    };
    let set = app
        .carry_out(who.actor, move |db, act| {
            limits::set(db, act, &partner, wanted)
        })
        .await?;
    Ok(web::Json(set.into()))
}
