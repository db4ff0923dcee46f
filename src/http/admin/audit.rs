//! `/admin/v1/audit`.

use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use futures_util::stream;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

use super::id;
use crate::app::App;
use crate::audit::export::Export;
use crate::audit::prove;
use crate::audit::{Action, Deed};
use crate::domain::id::{AuditEventId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::http::audit::{AuditEventView, AuditOutcome, AuditProofView, encode};
use crate::http::extract::{AuditRead, Operator, check_again};
use crate::http::list::{ListQuery, ListView, Parameters};
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::{Problem, ProblemView};
use crate::store::audit_events::{Filter, find, page};
use crate::store::{StoreError, audit_tree};

/// Text for people and for programs that know notes.
const TEXT: &str = "text/plain; charset=utf-8";

/// That the tree grew from a smaller one.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditConsistencyView {
    from: u64,
    to: u64,
    /// As RFC 9162 §2.1.4 has them, in base64.
    hashes: Vec<String>,
    /// The newest signed head, where `to` is its size.
    checkpoint: Option<String>,
    /// What verifies checkpoints: `name+id+key`.
    key: String,
}

/// Lists audit events, oldest first.
#[utoipa::path(
    get, path = "/admin/v1/audit/events", operation_id = "list_audit_events", tag = "audit",
    params(
        ("partner_id" = Option<PartnerId>, Query, description = "Only events of this partner."),
        ("realm" = Option<Realm>, Query, description = "Only events of this realm."),
        ("actor" = Option<String>, Query, description = "Only what this client, `host`, `policy` or `link_holder` did."),
        ("action" = Option<String>, Query, description = "Only this action, by its name."),
        ("target" = Option<String>, Query, description = "Only what was done to this, by its id."),
        ("outcome" = Option<AuditOutcome>, Query, description = "Only what was done, or what was refused."),
        ("from" = Option<Instant>, Query, description = "Only events from this moment on."),
        ("to" = Option<Instant>, Query, description = "Only events from before this moment."),
    ),
    responses((status = 200, description = "A page of events", body = ListView<AuditEventView>))
)]
pub async fn list(
    _: Operator<AuditRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<AuditEventView>>, Problem> {
    let filter = Filter {
        partner_id: query.filter("partner_id")?,
        realm: query.filter("realm")?,
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
    };
    let asked = query.page_of::<AuditEventId>()?;
    let found = app.store.read(move |db| page(db, &filter, &asked)).await?;
    Ok(ListView::of(found, AuditEventView::from))
}

/// Answers the newest signed head of the tree.
///
/// A C2SP tlog-checkpoint in the form of a signed note. Whoever keeps it can tell later whether anything
/// before it was changed.
#[utoipa::path(
    get, path = "/admin/v1/audit/checkpoint", operation_id = "audit_checkpoint", tag = "audit",
    responses(
        (status = 200, description = "The signed note", body = String, content_type = "text/plain"),
        (status = 404, description = "Nothing was sequenced yet (`not_found`)", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub async fn checkpoint(
    _: Operator<AuditRead>,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let newest = app.store.read(audit_tree::newest).await?;
    let newest = newest.ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok().content_type(TEXT).body(newest.note))
}

/// Answers the public key that verifies checkpoints.
///
/// In the form `name+id+key` (C2SP signed-note). It is derived from the master key, and changes with it alone.
#[utoipa::path(
    get, path = "/admin/v1/audit/key", operation_id = "audit_key", tag = "audit",
    responses((status = 200, description = "The key", body = String, content_type = "text/plain"))
)]
pub async fn key(_: Operator<AuditRead>, app: web::Data<App>) -> HttpResponse {
    let key = format!("{}\n", app.master.audit().verifier());
    HttpResponse::Ok().content_type(TEXT).body(key)
}

/// Proves that an event is in the tree.
#[utoipa::path(
    get, path = "/admin/v1/audit/events/{id}/proof", operation_id = "prove_audit_event", tag = "audit",
    params(("id" = AuditEventId, Path, description = "The event")),
    responses((status = 200, description = "The proof", body = AuditProofView), Conflict)
)]
pub async fn proof(
    _: Operator<AuditRead>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<AuditProofView>, Problem> {
    let id: AuditEventId = id(&path)?;
    let (event, proof) = app
        .store
        .read(move |db| {
            let event = find(db, &id)?.ok_or_else(Problem::not_found)?;
            let proof = prove::inclusion(db, &event)?;
            Ok::<_, Problem>((event, proof))
        })
        .await?;
    Ok(web::Json(AuditProofView::of(
        app.master.audit(),
        event,
        proof,
    )))
}

/// Proves that the tree grew from a smaller one.
#[utoipa::path(
    get, path = "/admin/v1/audit/consistency", operation_id = "prove_audit_growth", tag = "audit",
    params(
        ("from" = u64, Query, description = "How many leaves the earlier tree had."),
        ("to" = Option<u64>, Query, description = "How many the later one has. Without it: all."),
    ),
    responses((status = 200, description = "The proof", body = AuditConsistencyView))
)]
pub async fn consistency(
    _: Operator<AuditRead>,
    mut query: Parameters,
    app: web::Data<App>,
) -> Result<web::Json<AuditConsistencyView>, Problem> {
    let from = query.whole("from")?;
    let to = query.whole("to")?;
    query.finish()?;
    let from = from.ok_or_else(|| Problem::bad_parameter("from is missing"))?;
    let proof = app
        .store
        .read(move |db| prove::consistency(db, from, to))
        .await?;
    Ok(web::Json(AuditConsistencyView {
        from: proof.from,
        to: proof.to,
        hashes: proof.hashes.into_iter().map(encode).collect(),
        checkpoint: proof.checkpoint,
        key: app.master.audit().verifier().to_owned(),
    }))
}

/// Exports the whole trail, one JSON object a line.
///
/// Events in the order of the tree, the hashes of leaves whose events are gone, the signed heads; at the
/// end what has no place yet. The export itself goes on record.
#[utoipa::path(
    get, path = "/admin/v1/audit/export", operation_id = "export_audit_trail", tag = "audit",
    responses((status = 200, description = "The lines; the last is of the type `end`", body = String, content_type = "application/x-ndjson"))
)]
pub async fn export(
    who: Operator<AuditRead>,
    request: HttpRequest,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let keys = Arc::clone(app.master.audit());
    let export = app.store.read(move |db| Export::begin(db, &keys)).await?;
    let size = export.size();
    let recorded = app.carry_out(who.actor, move |db, act| {
        act.record(
            db,
            Deed::new(Action::AuditExported, "audit_log").detail("leaves", size),
        )
    });
    recorded.await?;
    let lines = stream::unfold(Some((request, app, export)), |state| async {
        let (request, app, export) = state?;
        match more(&request, &app, export).await {
            Ok((Some(text), export)) => Some((
                Ok::<_, Error>(Bytes::from(text)),
                Some((request, app, export)),
            )),
            Ok((None, _)) => None,
            // The connection breaks off, and the export has no end: whoever reads it sees that.
            Err(problem) => Some((Err(problem.into()), None)),
        }
    });
    Ok(HttpResponse::build(StatusCode::OK)
        .content_type("application/x-ndjson")
        .streaming(Box::pin(lines)))
}

/// The next lines of an export, for whoever may still have them: it is read as slowly as its reader likes.
async fn more(
    request: &HttpRequest,
    app: &App,
    mut export: Export,
) -> Result<(Option<String>, Export), Problem> {
    check_again(request)?;
    let read = app.store.read(move |db| {
        let text = export.more(db)?;
        Ok::<_, StoreError>((text, export))
    });
    Ok(read.await?)
}
