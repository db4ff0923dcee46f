//! Metadata and keys: `GET /.well-known/…` and `GET /{realm}/oauth2/jwks`.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::Algorithm;
use crate::domain::realm::Realm;
use crate::http::openapi::domain::SigningAlgorithm;
use crate::keys::ring::JWKS_MAX_AGE;
use crate::oauth::metadata::{self, ResourceMetadata, ServerMetadata};

/// Public keys.
#[derive(Debug, ToSchema)]
#[schema(as = JwkSet)]
pub struct JwkSetView {
    pub keys: Vec<JwkView>,
}

/// A public key (RFC 7517 §4); which other members it has depends on `kty`.
#[derive(Debug, ToSchema)]
#[schema(as = Jwk)]
pub struct JwkView {
    #[schema(example = "EC")]
    pub kty: String,
    /// What tokens' headers name it by.
    pub kid: String,
    #[schema(example = "sig")]
    pub r#use: String,
    #[schema(value_type = SigningAlgorithm)]
    pub alg: Algorithm,
    /// `EC`, `OKP`: the curve.
    #[schema(nullable = false)]
    pub crv: Option<String>,
    /// `EC`, `OKP`: a coordinate, or the key.
    #[schema(nullable = false)]
    pub x: Option<String>,
    /// `EC`: the other coordinate.
    #[schema(nullable = false)]
    pub y: Option<String>,
    /// `RSA`: the modulus.
    #[schema(nullable = false)]
    pub n: Option<String>,
    /// `RSA`: the exponent.
    #[schema(nullable = false)]
    pub e: Option<String>,
}

/// Describes the authorization server of a realm (RFC 8414).
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server/{realm}", operation_id = "authorization_server_metadata", tag = "discovery",
    responses((status = 200, description = "The metadata", body = ServerMetadata))
)]
pub async fn server(app: web::Data<App>, realm: web::ThinData<Realm>) -> HttpResponse {
    cached().json(metadata::server(&app.addresses, realm.0))
}

/// The same at the issuer's own path, where verifiers also look.
#[utoipa::path(
    get, path = "/{realm}/.well-known/oauth-authorization-server",
    operation_id = "issuer_metadata", tag = "discovery",
    responses((status = 200, description = "The metadata", body = ServerMetadata))
)]
pub async fn server_of_issuer(app: web::Data<App>, realm: web::ThinData<Realm>) -> HttpResponse {
    server(app, realm).await
}

/// The same at OpenID Connect's path, for verifiers that know no other.
///
/// With two members more, which strict parsers insist on. No OpenID Connect is served.
#[utoipa::path(
    get, path = "/{realm}/.well-known/openid-configuration", operation_id = "openid_configuration", tag = "discovery",
    responses((status = 200, description = "The metadata", body = ServerMetadata))
)]
pub async fn openid(app: web::Data<App>, realm: web::ThinData<Realm>) -> HttpResponse {
    let algorithms = app.ring.algorithms(realm.0, app.clock.now());
    cached().json(metadata::openid(&app.addresses, realm.0, &algorithms))
}

/// Describes the partner API as a protected resource (RFC 9728).
#[utoipa::path(
    get, path = "/.well-known/oauth-protected-resource/{env}/v1", operation_id = "protected_resource_metadata", tag = "discovery",
    responses((status = 200, description = "The metadata", body = ResourceMetadata))
)]
pub async fn partner_api(app: web::Data<App>, realm: web::ThinData<Realm>) -> HttpResponse {
    cached().json(metadata::partner_api(&app.addresses, realm.0))
}

/// A realm's public keys (RFC 7517 §5).
#[utoipa::path(
    get, path = "/{realm}/oauth2/jwks", operation_id = "jwks", tag = "discovery",
    responses((status = 200, description = "The keys", content_type = "application/jwk-set+json", body = JwkSetView))
)]
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
