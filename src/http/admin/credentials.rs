//! `/admin/v1/clients/{id}/credentials` and `/admin/v1/credentials`.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::id;
use crate::admin::AdminError;
use crate::admin::credentials;
use crate::app::App;
use crate::domain::credential::{CredentialKind, CredentialState, RevocationReason};
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::words;
use crate::http::body::Members;
use crate::http::extract::{AnyScope, ClientsRead, CredentialsRevoke, Operator};
use crate::http::list::{ListQuery, ListView};
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::store::credentials::{Credential, page};

#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialView {
    id: CredentialId,
    state: CredentialState,
    /// Whether it gets tokens now: a state says what was decided, not what time has done.
    usable: bool,
    client_id: ClientId,
    kind: CredentialKind,
    hint: String,
    expires_at: Option<Instant>,
    accepts_until: Option<Instant>,
    created_by: String,
    created_at: Instant,
    revoked_at: Option<Instant>,
    revoked_by: Option<String>,
    revoked_reason: Option<RevocationReason>,
    revoked_note: Option<String>,
}

impl CredentialView {
    fn of(credential: Credential, now: Instant) -> Self {
        Self {
            usable: credential.validity().is_usable(now),
            id: credential.id,
            state: credential.state,
            client_id: credential.client_id,
            kind: credential.kind,
            hint: credential.hint,
            expires_at: credential.expires_at,
            accepts_until: credential.accepts_until,
            created_by: credential.created_by,
            created_at: credential.created_at,
            revoked_at: credential.revoked_at,
            revoked_by: credential.revoked_by,
            revoked_reason: credential.revoked_reason,
            revoked_note: credential.revoked_note,
        }
    }
}

words!(
    /// How a secret reaches the partner.
    Delivery { Response = "response" }
);

/// The one answer that shows a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedCredential)]
pub struct IssuedView<'a> {
    #[serde(flatten)]
    credential: CredentialView,
    /// The secret in the clear, this once.
    secret: &'a str,
}

/// A credential to be issued.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"kind": "secret", "expires_at": "2030-01-31T12:00:00Z"}))]
pub struct NewCredential {
    pub kind: CredentialKind,
    pub expires_at: Option<Instant>,
    /// `response` unless said otherwise.
    pub deliver: Option<Delivery>,
}

/// Why a credential is revoked.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"reason": "compromised", "note": "found in a public repository"}))]
pub struct Revocation {
    pub reason: RevocationReason,
    #[schema(min_length = 1, max_length = 1000)]
    pub note: Option<String>,
}

/// Lists the credentials of a client.
#[utoipa::path(
    get, path = "/admin/v1/clients/{id}/credentials", operation_id = "list_credentials", tag = "credentials",
    params(("id" = ClientId, Path, description = "The client")),
    responses((status = 200, description = "A page of credentials", body = ListView<CredentialView>))
)]
pub async fn list(
    _: Operator<ClientsRead>,
    path: web::Path<String>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<CredentialView>>, Problem> {
    let client: ClientId = id(&path)?;
    let asked = query.page()?;
    let found = app
        .store
        .read(move |db| {
            crate::admin::clients::get(db, &client)?;
            Ok::<_, AdminError>(page(db, &client, &asked)?)
        })
        .await?;
    let now = app.clock.now();
    Ok(ListView::of(found, |credential| {
        CredentialView::of(credential, now)
    }))
}

/// Issues a credential; this answer alone shows its secret.
///
/// For an operator's client the scope is `operators:write`.
#[utoipa::path(
    post, path = "/admin/v1/clients/{id}/credentials", operation_id = "issue_credential", tag = "credentials",
    params(("id" = ClientId, Path, description = "The client")),
    request_body = NewCredential,
    security(("operator" = ["credentials:issue"]), ("operator" = ["operators:write"])),
    responses((status = 201, description = "The credential, with its secret", body = IssuedView), Conflict)
)]
pub async fn issue(
    who: Operator<AnyScope>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let client: ClientId = id(&path)?;
    // Whoever holds an operator's secret is that operator: making operators covers it, and
    // issuing partners' credentials does not.
    let is_operator = client.realm() == Realm::Admin;
    who.require(if is_operator {
        "operators:write"
    } else {
        "credentials:issue"
    })?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.parsed::<CredentialKind>("kind"),
        body.optional_parsed("expires_at"),
        body.optional_parsed::<Delivery>("deliver"),
    );
    let (_kind, expires_at, _deliver) = body.finish(taken)?;
    let now = app.clock.now();
    let shared = app.clone();
    let issued = app
        .carry_out(who.actor, move |db, act| {
            credentials::issue(db, &shared.master, act, &client, expires_at)
        })
        .await?;
    let view = IssuedView {
        credential: CredentialView::of(issued.credential, now),
        secret: issued.secret.expose(),
    };
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(view))
}

/// Revokes a credential: from this answer on it gets no token.
#[utoipa::path(
    post, path = "/admin/v1/credentials/{id}/revoke", operation_id = "revoke_credential", tag = "credentials",
    params(("id" = CredentialId, Path, description = "The credential")),
    request_body = Revocation,
    responses((status = 200, description = "The credential", body = CredentialView), Conflict)
)]
pub async fn revoke(
    who: Operator<CredentialsRevoke>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<CredentialView>, Problem> {
    let id: CredentialId = id(&path)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.parsed("reason"), body.optional_text("note", 1000));
    let (reason, note) = body.finish(taken)?;
    let now = app.clock.now();
    let credential = app
        .carry_out(who.actor, move |db, act| {
            credentials::revoke(db, act, &id, reason, note)
        })
        .await?;
    Ok(web::Json(CredentialView::of(credential, now)))
}
