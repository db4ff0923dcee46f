//! What OAuth endpoints have in common at which a client hands a token in.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};

use super::door::Door;
use super::token::{Denial, asked, is_form};
use crate::app::App;
use crate::domain::instant::Instant;
use crate::domain::limits::RouteClass;
use crate::domain::realm::Realm;
use crate::http::{body, limits, source};
use crate::limits::Charged;
use crate::oauth::authenticate::{Authenticated, authenticate};
use crate::oauth::charge::charge;
use crate::oauth::refusal::Refusal;

/// A client that proved who it is, and the token that it hands in.
pub(super) struct HandedIn {
    pub(super) who: Authenticated,
    pub(super) token: zeroize::Zeroizing<String>,
    /// From where, for the record.
    pub(super) from: Option<String>,
    pub(super) now: Instant,
}

/// Charges a request to the client's partner as a token request is; noted for whoever answers it.
pub(super) async fn charge_to(
    request: &HttpRequest,
    app: &App,
    who: &Authenticated,
    now: Instant,
) -> Result<(), Denial> {
    let rates = app.rates();
    let Some(charged) = charge(rates, None, &who.entry, RouteClass::Token, now).await else {
        return Ok(());
    };
    let refusal = charged.refusal();
    request.extensions_mut().insert(charged);
    let refuse = |over| {
        let client = who.entry.client.id.as_str();
        Err(Denial::to(client, Refusal::LimitExceeded(over)))
    };
    refusal.map_or(Ok(()), refuse)
}

/// An answer that tells how the limits stand, where the request was charged to a partner.
pub(super) fn told(request: &HttpRequest, mut answer: HttpResponse) -> HttpResponse {
    if let Some(charged) = request.extensions().get::<Charged>() {
        limits::tell(answer.headers_mut(), charged);
    }
    answer
}

/// Authenticates a client as the token endpoint does, and takes its `token` parameter.
pub(super) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    app: &App,
    realm: Realm,
) -> Result<HandedIn, Denial> {
    if !is_form(request) {
        return Err(Denial::UnsupportedMediaType);
    }
    let form = body::bytes(request, payload).await.map_err(Denial::Body)?;
    let asked = asked(request, &form)?;
    let now = app.clock.now();
    let from = source::address(request, &app.settings.trusted_proxies);
    let door = Door::knock(app, realm, &asked.client_id, from, now)?;
    let who = authenticate(
        &app.directory,
        &app.master,
        realm,
        &asked.client_id,
        asked.secret.as_bytes(),
        from,
        now,
    );
    let who = door.let_in(who.await, |who| who)?;
    app.uses.note(&who.marks, now, from);
    charge_to(request, app, &who, now).await?;
    let missing = || Refusal::invalid_request("token is missing: send the token in the form");
    Ok(HandedIn {
        who,
        token: asked.token.ok_or_else(missing)?,
        from: from.map(|ip| ip.to_string()),
        now,
    })
}
