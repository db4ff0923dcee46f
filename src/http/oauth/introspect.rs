//! `POST /{realm}/oauth2/introspect` (RFC 7662, RFC 9701): a resource server asks about a token.

use actix_web::http::header::{Accept, CONTENT_TYPE, Header, HeaderValue, Quality};
use actix_web::{HttpRequest, HttpResponse, web};
use onyx_verifier::Claims;
use serde::Serialize;
use utoipa::ToSchema;

use super::handed_in;
use super::revoke::TokenHandedIn;
use super::token::{Denial, uncached};
use crate::app::App;
use crate::domain::client::ClientKind;
use crate::domain::realm::Realm;
use crate::oauth::refusal::Refusal;
use crate::store::{StoreError, resource_servers};

/// The media type of signed answers (RFC 9701 §5).
const SIGNED: &str = "application/token-introspection+jwt";

/// What is said of a token: that it is good for the caller with all that it says, or that it is not.
#[derive(Serialize, ToSchema)]
#[schema(as = Introspection)]
pub struct IntrospectionView<'a> {
    active: bool,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_type: Option<&'static str>,
    /// The token's claims, of a token that is active.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    claims: Option<&'a Claims>,
}

/// A signed answer (RFC 9701 §5).
#[derive(Serialize)]
struct Signed<'a> {
    iss: &'a str,
    /// Who asked.
    aud: &'a str,
    iat: i64,
    token_introspection: IntrospectionView<'a>,
}

/// Tells a resource server whether a token that was shown to it is good.
///
/// Everything that is not good for the caller, and whatever is meant for another audience, is
/// `{"active": false}`. With `Accept: application/token-introspection+jwt` the answer is signed
/// (RFC 9701).
#[utoipa::path(
    post, path = "/{realm}/oauth2/introspect", operation_id = "introspect", tag = "oauth",
    request_body(content = TokenHandedIn, content_type = "application/x-www-form-urlencoded"),
    security(("client_secret_basic" = []), ()),
    responses((status = 200, description = "What the token is worth to the caller", body = IntrospectionView))
)]
pub async fn introspect(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    realm: web::ThinData<Realm>,
) -> HttpResponse {
    let answer = match answer(&request, payload, &app, realm.0).await {
        Ok(answer) => answer,
        Err(denial) => denial.response(&app, &request, realm.0),
    };
    handed_in::told(&request, answer)
}

async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    app: &App,
    realm: Realm,
) -> Result<HttpResponse, Denial> {
    let handed_in = handed_in::read(request, payload, app, realm).await?;
    let client = &handed_in.who.entry.client;
    let server = client.resource_server_id.clone();
    let Some(server) = server.filter(|_| client.kind == ClientKind::ResourceServer) else {
        let advice = "only resource servers' clients may ask about tokens";
        let refusal = Refusal::UnauthorizedClient(advice.into());
        return Err(Denial::to(client.id.as_str(), refusal));
    };
    let found = app
        .store
        .read(move |db| resource_servers::find(db, &server))
        .await;
    let found = found.map_err(|error: StoreError| Refusal::Store(error))?;
    let verifier = found.and_then(|server| app.verifier_for(realm, &server.identifier));
    let caller = verifier.and_then(|verifier| {
        let now = handed_in.now.epoch_seconds();
        let verified = verifier.verify_at(&handed_in.token, now).ok();
        // Without the seconds that clocks may differ by: it is this server's own.
        verified.filter(|caller| now < caller.expires_at())
    });
    let view = IntrospectionView {
        active: caller.is_some(),
        token_type: caller.as_ref().map(|_| "Bearer"),
        claims: caller.as_ref().map(|caller| caller.claims()),
    };
    if !wants_signed(request) {
        return Ok(uncached(HttpResponse::Ok()).json(view));
    }
    let answer = Signed {
        iss: app.addresses.issuer(realm),
        aud: client.id.as_str(),
        iat: handed_in.now.epoch_seconds(),
        token_introspection: view,
    };
    let alg = app.settings.signing_alg;
    let key = app.ring.signer(realm, alg, handed_in.now);
    let key = key.ok_or(Refusal::NoKey)?;
    let signed = key
        .signing()
        .sign("token-introspection+jwt", &answer)
        .map_err(Refusal::Signer)?;
    Ok(uncached(HttpResponse::Ok())
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(SIGNED)))
        .body(signed))
}

/// Whether a signed answer is named, and at least as welcome as a plain one (RFC 9110 §12.5.1).
fn wants_signed(request: &HttpRequest) -> bool {
    let Ok(accepted) = Accept::parse(request) else {
        return false;
    };
    let welcome = |media_type: &str| {
        let named = accepted
            .iter()
            .find(|one| one.item.essence_str().eq_ignore_ascii_case(media_type));
        named.map(|one| one.quality)
    };
    welcome(SIGNED).is_some_and(|signed| {
        signed > Quality::ZERO && welcome("application/json").is_none_or(|plain| signed >= plain)
    })
}
