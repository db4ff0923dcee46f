//! `/admin/v1/keys`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::admin::AdminError;
use crate::admin::keys;
use crate::app::{App, StartError};
use crate::domain::Algorithm;
use crate::domain::instant::Instant;
use crate::domain::page::Page;
use crate::domain::realm::Realm;
use crate::http::body::Members;
use crate::http::extract::{KeysManage, Operator};
use crate::http::list::ListView;
use crate::http::problem::Problem;
use crate::keys::provision;
use crate::store::signing_keys::{self, StoredKey};

#[derive(Debug, Serialize)]
pub struct KeyView {
    kid: String,
    realm: Realm,
    alg: Algorithm,
    origin: String,
    published_at: Instant,
    signs_from: Instant,
    signs_until: Option<Instant>,
    published_until: Option<Instant>,
}

impl From<StoredKey> for KeyView {
    fn from(key: StoredKey) -> Self {
        Self {
            kid: key.kid,
            realm: key.realm,
            alg: key.alg,
            origin: key.origin,
            published_at: key.published_at,
            signs_from: key.signs_from,
            signs_until: key.signs_until,
            published_until: key.published_until,
        }
    }
}

/// `GET /admin/v1/keys`: every key that is published now; few enough for one page.
pub async fn list(
    _: Operator<KeysManage>,
    app: web::Data<App>,
) -> Result<web::Json<ListView<KeyView>>, Problem> {
    let now = app.clock.now();
    let rows = app
        .store
        .read(move |db| signing_keys::published(db, now))
        .await?;
    Ok(ListView::of(Page { rows, next: None }, KeyView::from))
}

/// `POST /admin/v1/keys/rotate`: a successor, published now and signing later.
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
    Ok(HttpResponse::Created().json(KeyView::from(key)))
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
