//! `/admin/v1/clients/{id}/credentials` and `/admin/v1/credentials`.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::delivery::{self, DeliveredView, DeliveryView, RecipientJwk};
use super::id;
use crate::admin::AdminError;
use crate::admin::credentials;
use crate::admin::delivery::deliver;
use crate::admin::overlap::{self, Listed, Overlap};
use crate::app::App;
use crate::domain::credential::{CredentialKind, CredentialState, RevocationReason};
use crate::domain::delivery::Channel;
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::http::extract::{AnyScope, Operator};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::store::credentials::Credential;
use crate::store::secret_deliveries::{self, SecretDelivery};

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
    /// The one that was issued in its place.
    replaced_by: Option<CredentialId>,
    first_used_at: Option<Instant>,
    /// As of about a second ago, as the two that follow.
    last_used_at: Option<Instant>,
    use_count: i64,
    last_used_ip: Option<String>,
    /// In a list, of one that was superseded and is still accepted: how long nobody has used it.
    quiet_seconds: Option<i64>,
    /// Whether the new secret is in use, and the old one and its tokens are not.
    safe_to_finish: Option<bool>,
    /// The same for people.
    advice: Option<String>,
    /// Where its secret travelled by link: what became of that.
    delivery: Option<DeliveryView>,
}

impl CredentialView {
    pub(super) fn of(credential: Credential, now: Instant) -> Self {
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
            replaced_by: credential.replaced_by,
            first_used_at: credential.first_used_at,
            last_used_at: credential.last_used_at,
            use_count: credential.use_count,
            last_used_ip: credential.last_used_ip,
            quiet_seconds: None,
            safe_to_finish: None,
            advice: None,
            delivery: None,
        }
    }

    fn listed((credential, overlap): Listed, now: Instant) -> Self {
        Self {
            quiet_seconds: overlap.as_ref().map(|o| o.quiet_seconds),
            safe_to_finish: overlap.as_ref().map(Overlap::is_safe_to_finish),
            advice: overlap.as_ref().map(Overlap::to_string),
            ..Self::of(credential, now)
        }
    }

    fn with(mut self, delivery: Option<SecretDelivery>) -> Self {
        self.delivery = delivery.map(DeliveryView::of);
        self
    }
}

/// The one answer that shows a secret, or how it travels.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedCredential)]
pub struct IssuedView {
    #[serde(flatten)]
    credential: CredentialView,
    #[serde(flatten)]
    delivered: DeliveredView,
}

/// A credential to be issued.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"kind": "secret", "expires_at": "2030-01-31T12:00:00Z"}))]
pub struct NewCredential {
    pub kind: CredentialKind,
    pub expires_at: Option<Instant>,
    /// `response` unless said otherwise.
    pub deliver: Option<Channel>,
    /// For `jwe`: the recipient's public key.
    pub recipient_jwk: Option<RecipientJwk>,
    /// For `link`: how many seconds it waits to be opened, 3600 unless said otherwise.
    #[schema(minimum = 60, maximum = 86400)]
    pub delivery_ttl_seconds: Option<i32>,
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
///
/// For an operator's client the scope may also be `operators:write`.
#[utoipa::path(
    get, path = "/admin/v1/clients/{id}/credentials", operation_id = "list_credentials", tag = "credentials",
    params(("id" = ClientId, Path, description = "The client")),
    security(("operator" = ["clients:read"]), ("operator" = ["operators:write"])),
    responses((status = 200, description = "A page of credentials", body = ListView<CredentialView>))
)]
pub async fn list(
    who: Operator<AnyScope>,
    path: web::Path<String>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<CredentialView>>, Problem> {
    who.require_either(["clients:read", "operators:write"])?;
    let client: ClientId = id(&path)?;
    // Who makes operators may also see what they come in with.
    if client.realm() != Realm::Admin || who.require("operators:write").is_err() {
        who.require("clients:read")?;
    }
    let asked = query.page_of::<CredentialId>()?;
    let (now, ttl) = (app.clock.now(), app.settings.token_ttl);
    let (found, deliveries) = app
        .store
        .read(move |db| {
            let found = overlap::page(db, &client, &asked, ttl, now)?;
            let ids: Vec<_> = found.rows.iter().map(|(c, _)| c.id.clone()).collect();
            Ok::<_, AdminError>((found, secret_deliveries::newest_of(db, &ids)?))
        })
        .await?;
    Ok(ListView::of(found, |listed| {
        let delivery = deliveries.get(&listed.0.id).cloned();
        CredentialView::listed(listed, now).with(delivery)
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
    who.require_either(["credentials:issue", "operators:write"])?;
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
        delivery::way(&mut body),
    );
    let (_kind, expires_at, way) = body.finish(taken)?;
    let now = app.clock.now();
    let shared = app.clone();
    let (credential, delivered, link) = app
        .carry_out(who.actor, move |db, act| {
            let issued = credentials::issue(db, &shared.master, act, &client, expires_at)?;
            let delivered = deliver(db, act, &issued.credential, issued.secret, way)?;
            let link = secret_deliveries::of(db, &issued.credential.id)?;
            Ok::<_, AdminError>((issued.credential, delivered, link))
        })
        .await?;
    let view = IssuedView {
        delivered: DeliveredView::of(delivered, &app.settings, credential.client_id.realm()),
        credential: CredentialView::of(credential, now).with(link),
    };
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(view))
}

/// Revokes a credential: from this answer on it gets no token.
///
/// `compromised` also revokes what the client itself has put in its place. For an operator's
/// credential the scope may also be `operators:write`.
#[utoipa::path(
    post, path = "/admin/v1/credentials/{id}/revoke", operation_id = "revoke_credential", tag = "credentials",
    params(("id" = CredentialId, Path, description = "The credential")),
    request_body = Revocation,
    security(("operator" = ["credentials:revoke"]), ("operator" = ["operators:write"])),
    responses((status = 200, description = "The credential", body = CredentialView), Conflict)
)]
pub async fn revoke(
    who: Operator<AnyScope>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<CredentialView>, Problem> {
    who.require_either(["credentials:revoke", "operators:write"])?;
    let id: CredentialId = id(&path)?;
    // Who makes operators may also unmake their credentials.
    if !(is_operators(&app, &id).await? && who.require("operators:write").is_ok()) {
        who.require("credentials:revoke")?;
    }
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.parsed("reason"), body.optional_text("note", 1000));
    let (reason, note) = body.finish(taken)?;
    let now = app.clock.now();
    let (credential, link) = app
        .carry_out(who.actor, move |db, act| {
            let credential = credentials::revoke_on_request(db, act, &id, reason, note)?;
            let link = secret_deliveries::of(db, &credential.id)?;
            Ok::<_, AdminError>((credential, link))
        })
        .await?;
    Ok(web::Json(CredentialView::of(credential, now).with(link)))
}

/// Whether a credential is an operator's; an unknown one is not.
pub(super) async fn is_operators(app: &web::Data<App>, id: &CredentialId) -> Result<bool, Problem> {
    let id = id.clone();
    let realm = app
        .store
        .read(move |db| credentials::realm_of(db, &id))
        .await?;
    Ok(realm == Some(Realm::Admin))
}
