//! `/admin/v1/credentials/{id}/rotate`, `/finish-rotation` and `/undo-rotation`.

use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::credentials::{CredentialView, is_operators};
use super::delivery::{self, DeliveredView, RecipientJwk};
use super::{Nothing, id};
use crate::admin::AdminError;
use crate::admin::credentials::Issued;
use crate::admin::delivery::deliver;
use crate::admin::rotation::{self, LONGEST_OVERLAP, OVERLAP, Rotation};
use crate::app::App;
use crate::domain::credential::{CredentialKind, CredentialState};
use crate::domain::delivery::Channel;
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::http::extract::{AnyScope, Operator};
use crate::http::members::Members;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::store::credentials::Credential;

/// How a credential is to be rotated.
#[derive(Debug, ToSchema)]
#[schema(as = NewRotation, example = json!({"overlap_seconds": 3600}))]
pub struct RotationBody {
    /// How long the old secret is accepted; 86400 unless said otherwise. With 0 it ends at
    /// once, and its tokens with it.
    #[schema(minimum = 0, maximum = 604_800)]
    pub overlap_seconds: Option<i32>,
    /// When the new secret ends; as late as it may unless said otherwise.
    pub expires_at: Option<Instant>,
    /// `response` unless said otherwise.
    pub deliver: Option<Channel>,
    /// For `jwe`.
    pub recipient_jwk: Option<RecipientJwk>,
    /// For `link`; 3600 unless said otherwise.
    #[schema(minimum = 60, maximum = 86_400)]
    pub delivery_ttl_seconds: Option<i32>,
}

/// The one answer that shows the new secret, or how it travels.
///
/// All of it is about the new credential, but for what it replaces and until when that one
/// is accepted.
#[derive(Serialize, ToSchema)]
pub struct RotatedView {
    id: CredentialId,
    state: CredentialState,
    client_id: ClientId,
    kind: CredentialKind,
    hint: String,
    #[serde(flatten)]
    delivered: DeliveredView,
    expires_at: Option<Instant>,
    created_by: String,
    created_at: Instant,
    replaces: CredentialId,
    accepts_until: Instant,
}

impl RotatedView {
    fn of(sent: Sent, delivered: DeliveredView) -> Self {
        let new = sent.credential;
        Self {
            id: new.id,
            state: new.state,
            client_id: new.client_id,
            kind: new.kind,
            hint: new.hint,
            delivered,
            expires_at: new.expires_at,
            created_by: new.created_by,
            created_at: new.created_at,
            replaces: sent.replaces,
            accepts_until: sent.accepts_until,
        }
    }
}

/// A rotation whose secret is on its way.
struct Sent {
    credential: Credential,
    replaces: CredentialId,
    accepts_until: Instant,
}

/// The credential that is to be rotated, with the scope that this takes: an operator's secret is an operator.
async fn demanded(
    who: &Operator<AnyScope>,
    app: &web::Data<App>,
    path: &str,
) -> Result<CredentialId, Problem> {
    who.require_either(["credentials:rotate", "operators:write"])?;
    let id: CredentialId = id(path)?;
    who.require(if is_operators(app, &id).await? {
        "operators:write"
    } else {
        "credentials:rotate"
    })?;
    Ok(id)
}

/// Issues a secret in the place of one, which is accepted for a while longer.
///
/// For an operator's credential the scope is `operators:write`.
#[utoipa::path(
    post, path = "/admin/v1/credentials/{id}/rotate", operation_id = "rotate_credential", tag = "credentials",
    params(("id" = CredentialId, Path, description = "The credential")),
    request_body = RotationBody,
    security(("operator" = ["credentials:rotate"]), ("operator" = ["operators:write"])),
    responses((status = 201, description = "The new credential, with its secret", body = RotatedView), Conflict)
)]
pub async fn rotate(
    who: Operator<AnyScope>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id = demanded(&who, &app, &path).await?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.optional_integer("overlap_seconds", 0..=LONGEST_OVERLAP),
        body.optional_parsed("expires_at"),
        delivery::way(&mut body),
    );
    let (overlap, expires_at, way) = body.finish(taken)?;
    let rotation = Rotation {
        overlap: Duration::from_secs(overlap.unwrap_or(OVERLAP).unsigned_abs().into()),
        expires_at,
    };
    let shared = app.clone();
    let (sent, delivered) = app
        .carry_out(who.actor, move |db, act| {
            let rotated = rotation::rotate(db, &shared.master, act, &id, rotation)?;
            let Issued { credential, secret } = rotated.issued;
            let delivered = deliver(db, act, &credential, secret, way)?;
            let sent = Sent {
                credential,
                replaces: rotated.replaces,
                accepts_until: rotated.accepts_until,
            };
            Ok::<_, AdminError>((sent, delivered))
        })
        .await?;
    let realm = sent.credential.client_id.realm();
    let delivered = DeliveredView::of(delivered, &app.settings, realm);
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(RotatedView::of(sent, delivered)))
}

/// Ends a rotation's overlap: the superseded secret is revoked, and its tokens die.
///
/// For an operator's credential the scope is `operators:write`.
#[utoipa::path(
    post, path = "/admin/v1/credentials/{id}/finish-rotation", operation_id = "finish_rotation", tag = "credentials",
    params(("id" = CredentialId, Path, description = "The superseded credential")),
    request_body = Nothing,
    security(("operator" = ["credentials:rotate"]), ("operator" = ["operators:write"])),
    responses((status = 200, description = "The superseded credential", body = CredentialView), Conflict)
)]
pub async fn finish(
    who: Operator<AnyScope>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<CredentialView>, Problem> {
    let id = demanded(&who, &app, &path).await?;
    Members::read(&request, payload).await?.finish(())?;
    let now = app.clock.now();
    let finished = app
        .carry_out(who.actor, move |db, act| rotation::finish(db, act, &id))
        .await?;
    Ok(web::Json(CredentialView::of(finished, now)))
}

/// Takes a rotation back while its secret is unused and its overlap lasts; revokes that one.
///
/// For an operator's credential the scope is `operators:write`.
#[utoipa::path(
    post, path = "/admin/v1/credentials/{id}/undo-rotation", operation_id = "undo_rotation", tag = "credentials",
    params(("id" = CredentialId, Path, description = "The superseded credential")),
    request_body = Nothing,
    security(("operator" = ["credentials:rotate"]), ("operator" = ["operators:write"])),
    responses((status = 200, description = "The credential, active again", body = CredentialView), Conflict)
)]
pub async fn undo(
    who: Operator<AnyScope>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<CredentialView>, Problem> {
    let id = demanded(&who, &app, &path).await?;
    Members::read(&request, payload).await?.finish(())?;
    let now = app.clock.now();
    let undone = app
        .carry_out(who.actor, move |db, act| rotation::undo(db, act, &id))
        .await?;
    Ok(web::Json(CredentialView::of(undone, now)))
}
