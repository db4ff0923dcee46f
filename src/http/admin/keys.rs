//! `/admin/v1/keys`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::StatedReason;
use crate::admin::AdminError;
use crate::admin::keys;
use crate::app::{App, StartError};
use crate::domain::Algorithm;
use crate::domain::instant::Instant;
use crate::domain::key::KeyState;
use crate::domain::realm::Realm;
use crate::http::extract::{KeysManage, Operator};
use crate::http::list::{ListQuery, ListView, bad_cursor};
use crate::http::members::Members;
use crate::http::openapi::domain::SigningAlgorithm;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::keys::provision;
use crate::store::signing_keys::{self, StoredKey};

#[derive(Debug, Serialize, ToSchema)]
pub struct KeyView {
    kid: String,
    realm: Realm,
    #[schema(value_type = SigningAlgorithm)]
    alg: Algorithm,
    origin: String,
    state: KeyState,
    published_at: Instant,
    signs_from: Instant,
    signs_until: Option<Instant>,
    published_until: Option<Instant>,
    revoked_at: Option<Instant>,
}

impl KeyView {
    fn at(key: StoredKey, now: Instant) -> Self {
        Self {
            state: key.state(now),
            kid: key.kid,
            realm: key.realm,
            alg: key.alg,
            origin: key.origin,
            published_at: key.published_at,
            signs_from: key.signs_from,
            signs_until: key.signs_until,
            published_until: key.published_until,
            revoked_at: key.revoked_at,
        }
    }
}

/// Which key gets a successor.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"realm": "live", "alg": "ES256"}))]
pub struct NewKey {
    pub realm: Realm,
    /// The realm's own unless said otherwise.
    #[schema(value_type = Option<SigningAlgorithm>)]
    pub alg: Option<Algorithm>,
}

/// Lists the signing keys that are published now.
#[utoipa::path(
    get, path = "/admin/v1/keys", operation_id = "list_keys", tag = "keys",
    responses((status = 200, description = "The keys", body = ListView<KeyView>))
)]
pub async fn list(
    _: Operator<KeysManage>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<KeyView>>, Problem> {
    let asked = query.page()?;
    let now = app.clock.now();
    let read = app.store.read(move |db| keys::page(db, &asked, now));
    let page = read.await?.ok_or_else(bad_cursor)?;
    Ok(ListView::of(page, |key| KeyView::at(key, now)))
}

/// Makes a successor of a signing key: published now, signing later.
#[utoipa::path(
    post, path = "/admin/v1/keys/rotate", operation_id = "rotate_key", tag = "keys",
    request_body = NewKey,
    responses((status = 201, description = "The new key", body = KeyView))
)]
pub async fn rotate(
    who: Operator<KeysManage>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.parsed::<Realm>("realm"),
        body.optional_parsed::<Algorithm>("alg"),
    );
    let (realm, alg) = body.finish(taken)?;
    let alg = alg.unwrap_or(app.settings.signing_alg);
    let now = app.clock.now();
    let fresh = fresh(&app, realm, alg, now).await?;
    let key = app
        .carry_out(who.actor, move |db, act| keys::rotate(db, act, fresh))
        .await?;
    refresh(&app).await?;
    Ok(HttpResponse::Created().json(KeyView::at(key, now)))
}

/// Revokes a signing key, for good: for the day when somebody else may have it.
///
/// From the answer on it signs and is published no more, and every token that it signed is refused,
/// also by verifiers that hold it in a cache and follow revocations. A successor signs at once.
#[utoipa::path(
    post, path = "/admin/v1/keys/{kid}/revoke", operation_id = "revoke_key", tag = "keys",
    params(("kid" = String, Path, description = "The key")),
    request_body = StatedReason,
    responses((status = 200, description = "The key", body = KeyView), Conflict)
)]
pub async fn revoke(
    who: Operator<KeysManage>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<KeyView>, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    let (kid, now) = (path.into_inner(), app.clock.now());
    // Else none of ours, and perhaps no text that a database takes.
    if !kid.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Problem::not_found());
    }
    let wanted = kid.clone();
    let found = app.store.read(move |db| signing_keys::find(db, &wanted));
    let key = found.await?.ok_or_else(Problem::not_found)?;
    let fresh = fresh(&app, key.realm, key.alg, now).await?;
    let revoked = app
        .carry_out(who.actor, move |db, act| {
            keys::revoke(db, act, &kid, &reason, fresh)
        })
        .await?;
    refresh(&app).await?;
    Ok(web::Json(KeyView::at(revoked, now)))
}

/// Makes sure that a realm can sign with an algorithm, and that this process knows the key.
pub(super) async fn ensure(
    app: &web::Data<App>,
    realm: Realm,
    alg: Algorithm,
) -> Result<(), Problem> {
    let now = app.clock.now();
    if app.ring.signer(realm, alg, now).is_some() {
        return Ok(());
    }
    let fresh = fresh(app, realm, alg, now).await?;
    app.change(now, move |db| provision::introduce_first(db, fresh, now))
        .await?;
    refresh(app).await
}

/// Makes a key on a thread that may take its time.
async fn fresh(
    app: &web::Data<App>,
    realm: Realm,
    alg: Algorithm,
    now: Instant,
) -> Result<StoredKey, Problem> {
    let shared = app.clone();
    let made = web::block(move || provision::fresh(&shared.master, realm, alg, now)).await;
    Ok(made
        .map_err(|error| Problem::internal(&error))?
        .map_err(AdminError::from)?)
}

async fn refresh(app: &App) -> Result<(), Problem> {
    app.refresh_keys()
        .await
        .map_err(|error: StartError| Problem::internal(&error))
}
