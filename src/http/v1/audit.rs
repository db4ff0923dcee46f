//! `/{env}/v1/audit/events`: what is on record about a partner, for the partner.

use actix_web::web;

use crate::app::App;
use crate::audit::{Action, prove};
use crate::domain::id::AuditEventId;
use crate::domain::instant::Instant;
use crate::http::audit::{AuditEventView, AuditOutcome, AuditProofView, for_partner};
use crate::http::extract::{AnyScope, Granted};
use crate::http::list::{ListQuery, ListView};
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::store::audit_events::{Filter, of_tenant, page_of_tenant};

/// Lists the caller's own audit events, oldest first.
///
/// With filters a page may be short or empty before the last: go on until `next_cursor` is `null`.
#[utoipa::path(
    get, path = "/{env}/v1/audit/events", operation_id = "list_own_audit_events", tag = "audit",
    params(
        ("actor" = Option<String>, Query, description = "Only what this client did."),
        ("action" = Option<String>, Query, description = "Only this action, by its name."),
        ("target" = Option<String>, Query, description = "Only what was done to this, by its id."),
        ("outcome" = Option<AuditOutcome>, Query, description = "Only what was done, or what was refused."),
        ("from" = Option<Instant>, Query, description = "Only events from this moment on."),
        ("to" = Option<Instant>, Query, description = "Only events from before this moment."),
    ),
    responses((status = 200, description = "A page of events", body = ListView<AuditEventView>))
)]
pub async fn list(
    who: Granted<AnyScope>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<AuditEventView>>, Problem> {
    let filter = Filter {
        actor: query.filter("actor")?,
        action: query
            .filter::<Action>("action")?
            .map(|action| action.to_string()),
        target: query.filter("target")?,
        outcome: query
            .filter::<AuditOutcome>("outcome")?
            .map(|one| one.as_str().to_owned()),
        from: query.filter("from")?,
        to: query.filter("to")?,
        ..Filter::default()
    };
    let asked = query.page_of::<AuditEventId>()?;
    let found = app
        .store
        .read_as(who.tenant, move |db, tenant| {
            page_of_tenant(db, tenant, filter, &asked)
        })
        .await?;
    Ok(ListView::of(found, |event| for_partner(event).into()))
}

/// Proves that one of the caller's own events is in the tree.
#[utoipa::path(
    get, path = "/{env}/v1/audit/events/{id}/proof", operation_id = "prove_own_audit_event", tag = "audit",
    params(("id" = AuditEventId, Path, description = "The event")),
    responses((status = 200, description = "The proof", body = AuditProofView), Conflict)
)]
pub async fn proof(
    who: Granted<AnyScope>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<AuditProofView>, Problem> {
    let id: AuditEventId = path.parse().map_err(|_| Problem::not_found())?;
    let (event, proof) = app
        .store
        .read_as(who.tenant, move |db, tenant| {
            let own = of_tenant(db, tenant, &id)?;
            let event = own.ok_or_else(Problem::not_found)?;
            let proof = prove::inclusion(db, &event)?;
            Ok::<_, Problem>((event, proof))
        })
        .await?;
    let event = for_partner(event);
    Ok(web::Json(AuditProofView::of(
        app.master.audit(),
        event,
        proof,
    )))
}
