//! Metadata and keys: `GET /.well-known/…` and `GET /{realm}/oauth2/jwks`.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};

use crate::app::App;
use crate::domain::realm::Realm;
use crate::keys::ring::JWKS_MAX_AGE;
use crate::oauth::metadata;

/// Authorization server metadata (RFC 8414 §3).
pub async fn server(app: web::Data<App>, realm: web::ThinData<Realm>) -> HttpResponse {
    cached().json(metadata::server(&app.addresses, realm.0))
}

/// The same at OpenID Connect's path, for verifiers that know no other.
pub async fn openid(app: web::Data<App>, realm: web::ThinData<Realm>) -> HttpResponse {
    let algorithms = app.ring.algorithms(realm.0, app.clock.now());
    cached().json(metadata::openid(&app.addresses, realm.0, &algorithms))
}

/// Protected resource metadata of the partner API (RFC 9728 §3).
pub async fn partner_api(app: web::Data<App>, realm: web::ThinData<Realm>) -> HttpResponse {
    cached().json(metadata::partner_api(&app.addresses, realm.0))
}

/// A realm's public keys (RFC 7517 §5).
pub async fn jwks(app: web::Data<App>, realm: web::ThinData<Realm>) -> HttpResponse {
    let keys = app.ring.jwks(realm.0, app.clock.now());
    match serde_json::to_string(&keys) {
        Ok(body) => cached().content_type("application/jwk-set+json").body(body),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

fn cached() -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((
        CACHE_CONTROL,
        format!("public, max-age={}", JWKS_MAX_AGE.as_secs()),
    ));
    answer
}
