//! Links to partners' and resource servers' secrets.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{DisownedView, Gone, LinkProof, OpenedView, Realms};
use crate::app::App;
use crate::domain::realm::Realm;
use crate::http::problem::Problem;

const REALMS: Realms = &[Realm::Sandbox, Realm::Live];

/// Shows what a link is for.
///
/// A page for people, which opens the link where they are. Asking for it consumes nothing.
#[utoipa::path(
    get, path = "/deliveries/{id}", operation_id = "show_delivery", tag = "deliveries",
    params(("id" = String, Path, description = "Stands in the link")),
    responses((status = 200, description = "The page", content_type = "text/html", body = String))
)]
pub async fn show(
    path: web::Path<String>,
    request: HttpRequest,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    super::show(path, request, app, REALMS).await
}

/// Opens a link to a secret, once.
///
/// The sealed secret is handed over and deleted. A wrong proof is answered as an unknown link.
#[utoipa::path(
    post, path = "/deliveries/{id}", operation_id = "open_delivery", tag = "deliveries",
    params(("id" = String, Path, description = "Stands in the link")),
    request_body = LinkProof,
    responses((status = 200, description = "The sealed secret, this once", body = OpenedView), Gone)
)]
pub async fn open(
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    super::open(path, request, payload, app, REALMS).await
}

/// Revokes the credential of a link, on the word of who holds it.
///
/// For who finds that somebody else has opened it, or never got the secret. Twice is once.
#[utoipa::path(
    post, path = "/deliveries/{id}/revoke", operation_id = "disown_delivery", tag = "deliveries",
    params(("id" = String, Path, description = "Stands in the link")),
    request_body = LinkProof,
    responses((status = 200, description = "The credential is revoked", body = DisownedView))
)]
pub async fn disown(
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    super::disown(path, request, payload, app, REALMS).await
}
