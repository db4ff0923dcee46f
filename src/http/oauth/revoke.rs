//! `POST /{realm}/oauth2/revoke` (RFC 7009): a client revokes a token of its own.

use actix_web::{HttpRequest, HttpResponse, web};
use onyx_verifier::Caller;
use utoipa::ToSchema;

use super::handed_in::{self, HandedIn};
use super::token::{Denial, uncached};
use crate::admin::AdminError;
use crate::admin::tokens::{self, Named};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::id::ClientId;
use crate::domain::realm::Realm;
use crate::logging;
use crate::oauth::recognise::recognise_to_revoke;
use crate::oauth::refusal::Refusal;

/// A token to be revoked or described.
#[derive(Debug, ToSchema)]
#[schema(as = HandedInToken)]
pub struct TokenHandedIn {
    pub token: String,
    /// Not looked at: there is one kind of token.
    #[schema(nullable = false)]
    pub token_type_hint: Option<String>,
    /// Together with `client_secret`, where HTTP Basic is not used.
    #[schema(nullable = false)]
    pub client_id: Option<ClientId>,
    #[schema(nullable = false, format = Password)]
    pub client_secret: Option<String>,
}

/// Revokes a token of the client's own; from this answer on it is refused.
///
/// 200 also for what is no living token of this realm. A token of another client stays valid:
/// `unauthorized_client`.
#[utoipa::path(
    post, path = "/{realm}/oauth2/revoke", operation_id = "revoke_own_token", tag = "oauth",
    request_body(content = TokenHandedIn, content_type = "application/x-www-form-urlencoded"),
    security(("client_secret_basic" = []), ()),
    responses((status = 200, description = "It is revoked, or never was good"))
)]
pub async fn revoke(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    realm: web::ThinData<Realm>,
) -> HttpResponse {
    let answer = match answer(&request, payload, &app, realm.0).await {
        Ok(()) => uncached(HttpResponse::Ok()).finish(),
        Err(denial) => denial.response(&app, &request, realm.0),
    };
    handed_in::told(&request, answer)
}

async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    app: &App,
    realm: Realm,
) -> Result<(), Denial> {
    let handed_in = handed_in::read(request, payload, app, realm).await?;
    let HandedIn {
        who, token, now, ..
    } = &handed_in;
    let found = recognise_to_revoke(&app.ring, &app.addresses, token, *now);
    let Some((_, caller)) = found.filter(|(of, _)| *of == realm) else {
        return Ok(());
    };
    if caller.client_id() != who.entry.client.id.as_str() {
        let advice = "the token was given to another client: only that one may revoke it";
        let refusal = Refusal::UnauthorizedClient(advice.into());
        return Err(Denial::to(who.entry.client.id.as_str(), refusal));
    }
    record(app, &handed_in, realm, &caller).await
}

async fn record(
    app: &App,
    handed_in: &HandedIn,
    realm: Realm,
    caller: &Caller,
) -> Result<(), Denial> {
    let client = &handed_in.who.entry.client;
    let actor = Actor::client(&client.id, Some(handed_in.who.credential_id.clone())).within(
        logging::current_request().map(|id| id.to_string()),
        handed_in.from.clone(),
    );
    let token = Named {
        realm,
        jti: caller.token_id().to_owned(),
        client_id: Some(client.id.clone()),
        partner_id: client.partner_id.clone(),
    };
    let done = app.carry_out(actor, move |db, act| tokens::revoke(db, act, token));
    match done.await {
        Ok(_) => Ok(()),
        Err(AdminError::Store(error)) => Err(Refusal::Store(error).into()),
        // Revoking a token that is at hand knows no other refusal.
        Err(other) => {
            log::error!("a token could not be revoked: {other}");
            Err(Refusal::NoKey.into())
        }
    }
}
