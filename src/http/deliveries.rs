//! Links to secrets: the page that explains, and the two things that who holds a link can do.
//!
//! The page is asked for by browsers, by mail scanners and by chat programs that show previews:
//! it consumes nothing. What opens a link is a POST with a proof that is derived from the
//! fragment, which no browser sends. A wrong proof and an unknown link get the same answer.

pub mod operators;
mod page;
pub mod partners;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, REFERRER_POLICY};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::members::Members;
use super::problem::{Problem, ProblemView};
use super::source;
use crate::admin::delivery::{self, Held, Opening};
use crate::app::App;
use crate::audit::Actor;
use crate::domain::credential::CredentialState;
use crate::domain::id::{CredentialId, DeliveryId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::keys::link::Proof;
use crate::logging;
use crate::store::{StoreError, secret_deliveries};

/// Whose links a path leads to.
type Realms = &'static [Realm];

/// What who holds a link is handed, once. It opens with the key in the fragment alone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenedDelivery)]
pub struct OpenedView {
    credential_id: CredentialId,
    env: Realm,
    token_endpoint: String,
    /// Nonce, ciphertext and tag (AES-256-GCM), as base64url.
    ciphertext: String,
}

/// That one holds a link.
#[derive(Debug, ToSchema)]
#[schema(as = LinkProof)]
pub struct LinkProof {
    /// HKDF-SHA-256 of the fragment's 32 bytes, as base64url: the salt is the delivery's id, the
    /// label `onyx-auth secret delivery 1: proof`. The key that opens the ciphertext has the label
    /// `onyx-auth secret delivery 1: seal`, and the id is its associated data.
    #[schema(min_length = 43, max_length = 43)]
    pub proof: String,
}

/// A credential that is revoked now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DisownedCredential)]
pub struct DisownedView {
    credential_id: CredentialId,
    state: CredentialState,
    revoked_at: Option<Instant>,
}

/// The page that explains; it consumes nothing, and is counted.
async fn show(
    path: web::Path<String>,
    request: HttpRequest,
    app: web::Data<App>,
    realms: Realms,
) -> Result<HttpResponse, Problem> {
    let Ok(id) = path.parse::<DeliveryId>() else {
        return missing(&request);
    };
    let asked = id.clone();
    let found = app
        .store
        .read(move |db| delivery::notice(db, realms, &asked))
        .await?;
    let Some(notice) = found else {
        return missing(&request);
    };
    let count = move |db: &mut _| secret_deliveries::count_lookup(db, &id);
    app.store.write::<_, StoreError, _>(count).await?;
    Ok(page::explaining(&notice))
}

/// A page for people, a problem for programs.
fn missing(request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        Ok(page::missing())
    } else {
        Err(Problem::not_found())
    }
}

/// Opens the link, once.
async fn open(
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    realms: Realms,
) -> Result<HttpResponse, Problem> {
    let held = prove(&path, &request, payload, &app, realms).await?;
    let opening = app
        .carry_out(holder(&request, &app), move |db, act| {
            delivery::open(db, act, &held)
        })
        .await?;
    match opening {
        Opening::Opened(letter) => Ok(uncached(&OpenedView {
            credential_id: letter.credential_id,
            env: letter.realm,
            token_endpoint: app.addresses.token_endpoint(letter.realm),
            ciphertext: letter.ciphertext,
        })),
        gone => Err(too_late(&gone)),
    }
}

/// Revokes the credential, on the word of who holds the link.
async fn disown(
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    realms: Realms,
) -> Result<HttpResponse, Problem> {
    let held = prove(&path, &request, payload, &app, realms).await?;
    let credential = app
        .carry_out(holder(&request, &app), move |db, act| {
            delivery::disown(db, act, &held)
        })
        .await?;
    Ok(uncached(&DisownedView {
        credential_id: credential.id,
        state: credential.state,
        revoked_at: credential.revoked_at,
    }))
}

/// The delivery whose link the body proves to hold.
async fn prove(
    path: &str,
    request: &HttpRequest,
    payload: web::Payload,
    app: &App,
    realms: Realms,
) -> Result<Held, Problem> {
    // The body first: what is wrong with it says nothing about the link.
    let mut body = Members::read(request, payload).await?;
    let taken = (body.parsed::<Proof>("proof"),);
    let (proof,) = body.finish(taken)?;
    let id: DeliveryId = path.parse().map_err(|_| Problem::not_found())?;
    app.store
        .read(move |db| delivery::prove(db, realms, &id, &proof))
        .await?
        .ok_or_else(Problem::not_found)
}

/// Who acts, for the record: whoever holds the link, and from where.
fn holder(request: &HttpRequest, app: &App) -> Actor {
    let from = source::address(request, &app.settings.trusted_proxies);
    Actor::link_holder().within(
        logging::current_request().map(|id| id.to_string()),
        from.map(|ip| ip.to_string()),
    )
}

/// The link opens for nobody any more.
#[derive(Debug, IntoResponses)]
#[response(
    status = 410,
    description = "`delivery_opened` (with `opened_at`), `delivery_expired` (with `expired_at`) or `delivery_cancelled` (the credential was revoked or replaced; with `opened_at` where the link had been opened): told only to who holds the link.",
    content_type = "application/problem+json"
)]
pub struct Gone(
    #[to_schema]
    #[expect(dead_code, reason = "only its shape is read")]
    ProblemView,
);

/// Told only to who holds the link.
fn too_late(opening: &Opening) -> Problem {
    let gone = |code, detail: String| Problem::new(StatusCode::GONE, code, detail);
    match opening {
        Opening::OpenedBefore(at) => {
            let detail = format!(
                "the link was opened at {at}; if that was not you, or you do not have the secret, \
                 revoke the credential and ask for a new one: POST the same proof to this path with \
                 /revoke after it"
            );
            gone("delivery_opened", detail).with("opened_at", at.to_string())
        }
        Opening::RevokedSince(at) => {
            let detail = format!(
                "the link was opened at {at}, and the credential was revoked since; ask for a new one"
            );
            gone("delivery_cancelled", detail).with("opened_at", at.to_string())
        }
        Opening::Expired(at) => {
            let detail =
                "nobody opened the link in time, so the credential was revoked; ask for a new one";
            gone("delivery_expired", detail.to_owned()).with("expired_at", at.to_string())
        }
        Opening::Opened(_) | Opening::Cancelled => {
            let detail = "the credential was revoked or replaced before its link was opened; ask for a new one";
            gone("delivery_cancelled", detail.to_owned())
        }
    }
}

fn uncached(view: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .json(view)
}
