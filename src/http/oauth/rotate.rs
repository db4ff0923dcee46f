//! `POST /{realm}/oauth2/credentials/rotate`: a client rotates the secret that it shows.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::door::Door;
use super::handed_in::{charge_to, told};
use super::token::{Denial, OAuthErrorView, asked, is_form, uncached};
use crate::admin::rotation::Rotated;
use crate::admin::self_rotation::{self, Denied};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::http::{body, source};
use crate::logging;
use crate::oauth::authenticate::{Authenticated, authenticate};
use crate::oauth::refusal::Refusal;

/// The one answer that shows the new secret.
#[derive(Serialize, ToSchema)]
pub struct OwnRotationView<'a> {
    /// The new credential.
    credential_id: CredentialId,
    /// Its secret in the clear, this once.
    client_secret: &'a str,
    /// When it ends.
    expires_at: Option<Instant>,
    /// The credential that was shown.
    replaces: CredentialId,
    /// Until when that one is accepted.
    accepts_until: Instant,
}

/// How a client authenticates where it does not use HTTP Basic.
#[derive(Debug, ToSchema)]
#[schema(as = ClientAuthentication)]
pub struct ClientForm {
    #[schema(nullable = false)]
    pub client_id: Option<ClientId>,
    #[schema(nullable = false, format = Password)]
    pub client_secret: Option<String>,
}

/// Rotates the secret that the client authenticates with.
///
/// The old one is accepted for 24 more hours. While the new one is unused, a repeat with the
/// old one replaces it, so that an answer may be lost; afterwards the old one is refused here
/// (`invalid_grant`). Where the client may not rotate by itself (in live, unless its
/// `self_rotation` is true): `unauthorized_client`.
#[utoipa::path(
    post, path = "/{realm}/oauth2/credentials/rotate", operation_id = "rotate_own_secret", tag = "oauth",
    request_body(content = Option<ClientForm>, content_type = "application/x-www-form-urlencoded"),
    security(("client_secret_basic" = []), ()),
    responses(
        (status = 201, description = "The new secret", body = OwnRotationView),
        (status = 409, description = "Two secrets are usable, and this one has not been superseded (`rotation_pending`): wait until the older one ends", body = OAuthErrorView)
    )
)]
pub async fn rotate(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    realm: web::ThinData<Realm>,
) -> HttpResponse {
    let answer = match answer(&request, payload, &app, realm.0).await {
        Ok(rotated) => uncached(HttpResponse::Created()).json(OwnRotationView {
            credential_id: rotated.issued.credential.id.clone(),
            client_secret: rotated.issued.secret.expose(),
            expires_at: rotated.issued.credential.expires_at,
            replaces: rotated.replaces.clone(),
            accepts_until: rotated.accepts_until,
        }),
        Err(denial) => denial.response(&app, &request, realm.0),
    };
    told(&request, answer)
}

async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    app: &web::Data<App>,
    realm: Realm,
) -> Result<Rotated, Denial> {
    let form = body::bytes(request, payload).await.map_err(Denial::Body)?;
    // HTTP Basic needs no body, and what is not there has no type.
    if !form.is_empty() && !is_form(request) {
        return Err(Denial::UnsupportedMediaType);
    }
    let asked = asked(request, &form)?;
    let now = app.clock.now();
    let from = source::address(request, &app.settings.trusted_proxies);
    let secret = asked.secret.as_bytes();
    let door = Door::knock(app, realm, &asked.client_id, from, now)?;
    let who = authenticate(
        &app.directory,
        &app.master,
        realm,
        &asked.client_id,
        secret,
        from,
        now,
    );
    let who = door.let_in(who.await, |who| who)?;
    charge_to(request, app, &who, now).await?;
    let actor = Actor::client(&who.entry.client.id, Some(who.credential_id.clone())).within(
        logging::current_request().map(|id| id.to_string()),
        from.map(|ip| ip.to_string()),
    );
    let rotated = rotate_as(app, actor, &who).await;
    app.uses.note(&who.marks, now, from);
    rotated
}

async fn rotate_as(
    app: &web::Data<App>,
    actor: Actor,
    who: &Authenticated,
) -> Result<Rotated, Denial> {
    let (client, shown) = (who.entry.client.id.clone(), who.credential_id.clone());
    let (shared, again) = (app.clone(), (client.clone(), shown.clone()));
    let rotated = app
        .carry_out(actor.clone(), move |db, act| {
            self_rotation::rotate(db, &shared.master, act, &client, &shown)
        })
        .await;
    if matches!(rotated, Err(Denied::SuccessorUsed)) {
        // Its owner uses another secret by now: somebody should hear of it.
        let (client, shown) = again;
        let noted = app.carry_out(actor, move |db, act| {
            self_rotation::note_refusal(db, act, &client, &shown)
        });
        if let Err(error) = noted.await {
            log::warn!("a refused rotation could not be put on record: {error}");
        }
    }
    rotated.map_err(|denied| Denial::to(who.entry.client.id.as_str(), refusal(denied)))
}

fn refusal(denied: Denied) -> Refusal {
    let advice = denied.to_string().into();
    match denied {
        Denied::NotUsable => Refusal::InvalidClient,
        Denied::Off => Refusal::UnauthorizedClient(advice),
        Denied::SuccessorUsed | Denied::SuccessorNotOwn => Refusal::InvalidGrant(advice),
        Denied::TooMany => Refusal::RotationPending(advice),
        Denied::Store(error) => Refusal::Store(error),
        Denied::Randomness(error) => Refusal::Randomness(error),
    }
}
