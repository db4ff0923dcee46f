//! `/admin/v1/clients/{id}/credentials` and `/admin/v1/credentials`.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::id;
use crate::admin::credentials;
use crate::admin::overlap::{self, Listed, Overlap};
use crate::app::App;
use crate::domain::credential::{CredentialKind, CredentialState, RevocationReason};
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::words;
use crate::http::body::Members;
use crate::http::extract::{AnyScope, ClientsRead, Operator};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::credentials::Credential;

#[derive(Debug, Serialize)]
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
        }
    }
}

words!(
    /// How a secret reaches the partner.
    Delivery { Response = "response" }
);

/// A credential in a list, with advice where its rotation is under way.
#[derive(Debug, Serialize)]
pub struct ListedView {
    #[serde(flatten)]
    credential: CredentialView,
    /// How long nobody has used it.
    quiet_seconds: Option<i64>,
    safe_to_finish: Option<bool>,
    advice: Option<String>,
}

impl ListedView {
    fn of((credential, overlap): Listed, now: Instant) -> Self {
        Self {
            credential: CredentialView::of(credential, now),
            quiet_seconds: overlap.as_ref().map(|o| o.quiet_seconds),
            safe_to_finish: overlap.as_ref().map(Overlap::is_safe_to_finish),
            advice: overlap.as_ref().map(Overlap::to_string),
        }
    }
}

/// The one answer that shows a secret.
#[derive(Serialize)]
struct IssuedView<'a> {
    #[serde(flatten)]
    credential: CredentialView,
    secret: &'a str,
}

/// `GET /admin/v1/clients/{id}/credentials`
pub async fn list(
    _: Operator<ClientsRead>,
    path: web::Path<String>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<ListedView>>, Problem> {
    let client: ClientId = id(&path)?;
    let asked = query.page()?;
    let (now, ttl) = (app.clock.now(), app.settings.token_ttl);
    let found = app
        .store
        .read(move |db| overlap::page(db, &client, &asked, ttl, now))
        .await?;
    Ok(ListView::of(found, |listed| ListedView::of(listed, now)))
}

/// `POST /admin/v1/clients/{id}/credentials`
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

/// `POST /admin/v1/credentials/{id}/revoke`
pub async fn revoke(
    who: Operator<AnyScope>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<CredentialView>, Problem> {
    let id: CredentialId = id(&path)?;
    // Who makes operators may also unmake their credentials.
    if !(is_operators(&app, &id).await? && who.require("operators:write").is_ok()) {
        who.require("credentials:revoke")?;
    }
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

/// Whether a credential is an operator's; an unknown one is not.
pub(super) async fn is_operators(app: &web::Data<App>, id: &CredentialId) -> Result<bool, Problem> {
    let id = id.clone();
    let realm = app
        .store
        .read(move |db| credentials::realm_of(db, &id))
        .await?;
    Ok(realm == Some(Realm::Admin))
}
