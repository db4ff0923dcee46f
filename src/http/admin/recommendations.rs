//! `/admin/v1/recommendations`

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Nothing, id};
use crate::admin::AdminError;
use crate::admin::recommendations::{self, Recommendation, Search};
use crate::app::App;
use crate::domain::id::{ClientId, CredentialId, GrantId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::recommendation::{About, Place, RecommendationKind, Remedy};
use crate::domain::scope::Scope;
use crate::http::extract::{ClientsRead, GrantsDecide, Operator};
use crate::http::list::{ListQuery, ListView, bad_cursor};
use crate::http::members::Members;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::store::recommendations::Filter;

#[derive(Debug, Serialize, ToSchema)]
pub struct RecommendationView {
    id: About,
    kind: RecommendationKind,
    realm: Realm,
    partner_id: Option<PartnerId>,
    client_id: Option<ClientId>,
    credential_id: Option<CredentialId>,
    grant_id: Option<GrantId>,
    scope: Option<Scope>,
    since: Instant,
    ends_at: Option<Instant>,
    /// What and why, in a sentence.
    reason: String,
    /// What applying does; `None`: there is nothing that the server could do by itself.
    apply: Option<Remedy>,
}

impl From<Recommendation> for RecommendationView {
    fn from(found: Recommendation) -> Self {
        let kind = found.about.kind();
        Self {
            kind,
            apply: kind.remedy(),
            id: found.about,
            realm: found.realm,
            partner_id: found.partner_id,
            client_id: found.client_id,
            credential_id: found.credential_id,
            grant_id: found.grant_id,
            scope: found.scope,
            since: found.since,
            ends_at: found.ends_at,
            reason: found.reason,
        }
    }
}

/// A recommendation that was followed.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedView {
    #[serde(flatten)]
    recommendation: RecommendationView,
    applied_at: Instant,
    applied_by: String,
}

/// Lists what is held and not needed, and what is about to end.
///
/// A page can have fewer rows than asked for, or none, and a next one.
#[utoipa::path(
    get, path = "/admin/v1/recommendations", operation_id = "list_recommendations", tag = "recommendations",
    params(
        ("kind" = Option<RecommendationKind>, Query, description = "Only recommendations of this kind."),
        ("partner_id" = Option<PartnerId>, Query, description = "Only what is this partner's."),
        ("realm" = Option<Realm>, Query, description = "Only what is in this realm."),
    ),
    responses((status = 200, description = "A page of recommendations", body = ListView<RecommendationView>))
)]
pub async fn list(
    who: Operator<ClientsRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<RecommendationView>>, Problem> {
    let kind = query.filter("kind")?;
    let filter = Filter {
        partner_id: query.filter("partner_id")?,
        realm: query.filter("realm")?,
    };
    let asked = query.page()?;
    let search = Search {
        kind,
        filter,
        after: asked
            .after
            .as_deref()
            .map(|cursor| place(cursor, kind))
            .transpose()?,
        limit: asked.limit,
    };
    let act = app.act(who.actor);
    let found = app
        .store
        .read(move |db| recommendations::page(db, act.policy, act.now, &search))
        .await?;
    Ok(ListView::of(found, RecommendationView::from))
}

/// Where a page of all kinds begins, or of one.
fn place(cursor: &str, kind: Option<RecommendationKind>) -> Result<Place, Problem> {
    let place: Place = cursor.parse().map_err(|_| bad_cursor())?;
    // One of another kind's list would look like this one's end, or like its beginning.
    if kind.is_some_and(|kind| kind != place.kind()) {
        return Err(bad_cursor());
    }
    Ok(place)
}

/// Takes an unused scope away from its client, or revokes an unused credential.
///
/// What was used meanwhile stays, as of about a second ago: `no_longer_applies`. Where there is nothing that the server could
/// do by itself: `nothing_to_apply`. What is an operator's demands `operators:write` besides.
#[utoipa::path(
    post, path = "/admin/v1/recommendations/{id}/apply", operation_id = "apply_recommendation", tag = "recommendations",
    params(("id" = About, Path, description = "The recommendation")),
    request_body = Nothing,
    responses((status = 200, description = "The recommendation that was followed", body = AppliedView), Conflict)
)]
pub async fn apply(
    who: Operator<GrantsDecide>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<AppliedView>, Problem> {
    let about: About = id(&path)?;
    let body = Members::read(&request, payload).await?;
    body.finish(())?;
    let of = about.clone();
    let realm = app.store.read(move |db| recommendations::realm_of(db, &of));
    // Who decides about partners does not thereby decide what operators may do.
    if realm.await? == Realm::Admin {
        who.require("operators:write")?;
    }
    let applied_by = who.actor.as_str().to_owned();
    let (applied, applied_at) = app
        .carry_out(who.actor, move |db, act| {
            Ok::<_, AdminError>((recommendations::apply(db, act, &about)?, act.now))
        })
        .await?;
    Ok(web::Json(AppliedView {
        recommendation: applied.into(),
        applied_at,
        applied_by,
    }))
}
