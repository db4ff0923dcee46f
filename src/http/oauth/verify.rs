//! `/{realm}/oauth2/verify`: forward authentication for gateways.
//!
//! nginx, Traefik, Caddy and Envoy ask here whether a request may pass, and hand on who calls.

use std::collections::BTreeSet;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use onyx_verifier::{Caller, Rejection};

use crate::app::App;
use crate::domain::realm::Realm;
use crate::http::extract::check_address;
use crate::http::list::Parameters;
use crate::http::problem::{Problem, ProblemView};
use crate::http::remarks::remark;

/// Tells a gateway whether a request may pass, by the request's own `Authorization`.
///
/// Any method will do. 200 with who calls in the headers `Onyx-Partner-Id`, `Onyx-Client-Id`,
/// `Onyx-Credential-Id`, `Onyx-Env`, `Onyx-Scope`, `Onyx-Token-Id`; else 401 or 403 with
/// `WWW-Authenticate`.
#[utoipa::path(
    get, path = "/{realm}/oauth2/verify", operation_id = "verify", tag = "revocations",
    params(
        ("aud" = Option<String>, Query, description = "For whom the token must be meant; the realm's API unless said otherwise."),
        ("scope" = Option<String>, Query, description = "Scopes that the token must all have, separated by spaces."),
    ),
    security(("sandbox" = []), ("live" = [])),
    responses(
        (status = 200, description = "The request may pass"),
        (status = 401, description = "No token, or one that is not good (`token_missing`, `invalid_token`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks a scope (`insufficient_scope`), or the client may not call from this address (`address_not_allowed`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "This node has had no news from its database for too long (`unavailable`)", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub async fn verify(
    request: HttpRequest,
    mut query: Parameters,
    app: web::Data<App>,
    realm: web::ThinData<Realm>,
) -> Result<HttpResponse, Problem> {
    // Behind it stands what the caller asked the gateway for.
    let callers = query.split_off("path");
    let audience = demanded(&mut query, "aud")?;
    let scope = demanded(&mut query, "scope")?;
    // A demand that is misspelt must not open the gate.
    query.finish()?;
    for (name, demand) in [("aud", &audience), ("scope", &scope)] {
        if demand.is_none() && callers.has(name) {
            // The gateway's, at the wrong end, or its caller's, who demands nothing.
            let detail = format!("{name} must stand before path");
            return Err(Problem::bad_parameter(detail));
        }
    }
    check(&request, &app, realm.0, audience, scope.unwrap_or_default()).await
}

/// What a gateway demands. An empty demand is a mistake in its configuration, which must not open it.
fn demanded(query: &mut Parameters, name: &str) -> Result<Option<String>, Problem> {
    let value = query.take::<String>(name)?;
    if value.as_ref().is_some_and(|value| value.trim().is_empty()) {
        return Err(Problem::bad_parameter(format!("{name} must not be empty")));
    }
    Ok(value)
}

async fn check(
    request: &HttpRequest,
    app: &App,
    realm: Realm,
    audience: Option<String>,
    scope: String,
) -> Result<HttpResponse, Problem> {
    app.directory.check_news()?;
    let audience = audience.as_deref().unwrap_or(app.addresses.api(realm));
    let verifier = app
        .verifier_for(realm, audience)
        .ok_or_else(Problem::not_found)?;
    // Partners see what a gateway passes on: where the API says how to get in.
    let described = (*audience == **app.addresses.api(realm) && realm != Realm::Admin)
        .then(|| app.addresses.resource_metadata(realm));
    let refuse =
        |rejection: Rejection| Problem::refused(&rejection, realm.as_str(), described.as_deref());
    let caller = onyx_verifier::actix::authorize(request, &verifier)
        .await
        .map_err(refuse)?;
    remark(request, |remarks| {
        remarks.client_id = caller.client_id().parse().ok();
    });
    let wanted: BTreeSet<&str> = scope.split(' ').filter(|scope| !scope.is_empty()).collect();
    if wanted.iter().any(|scope| !caller.has_scope(scope)) {
        return Err(refuse(Rejection::InsufficientScope {
            required: scope.clone(),
        }));
    }
    let entry = check_address(request, app, realm, &caller).await?;
    // A door like any other: what is used here alone is not to be taken away as unused.
    for scope in wanted {
        app.usage.used(&entry.client.id, scope, app.clock.now());
    }
    Ok(passed(&caller))
}

/// Tells the same below any path, for gateways that append the one that was asked for (Envoy).
///
/// The query is the caller's own there, so neither audience nor scopes are taken from it: the token
/// must be meant for the realm's API.
#[utoipa::path(
    get, path = "/{realm}/oauth2/verify/{path}", operation_id = "verify_below", tag = "revocations",
    params(("path" = String, Path, description = "Whatever was asked for; it is not looked at.")),
    security(("sandbox" = []), ("live" = [])),
    responses(
        (status = 200, description = "The request may pass"),
        (status = 400, description = "More than one access token (`invalid_request`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not good (`token_missing`, `invalid_token`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "The client may not call from this address (`address_not_allowed`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "This node has had no news from its database for too long (`unavailable`)", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub async fn verify_below(
    request: HttpRequest,
    app: web::Data<App>,
    realm: web::ThinData<Realm>,
) -> Result<HttpResponse, Problem> {
    check(&request, &app, realm.0, None, String::new()).await
}

/// Who calls, for the service behind the gateway. What a token does not say is an empty header, so
/// that a gateway that copies them overwrites whatever the caller sent.
fn passed(caller: &Caller) -> HttpResponse {
    let claims = caller.claims();
    let told = [
        ("onyx-partner-id", caller.partner_id().unwrap_or_default()),
        ("onyx-client-id", caller.client_id()),
        (
            "onyx-credential-id",
            caller.credential_id().unwrap_or_default(),
        ),
        ("onyx-env", caller.env().unwrap_or_default()),
        ("onyx-scope", claims.scope.as_str()),
        ("onyx-token-id", caller.token_id()),
    ];
    let mut answer = HttpResponse::Ok();
    for (name, value) in told {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.insert_header((HeaderName::from_static(name), value));
        }
    }
    answer.finish()
}
