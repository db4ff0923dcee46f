//! The documents as pages for people: Swagger UI, which comes with the program and loads nothing
//! from anywhere else.

use std::sync::Arc;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::Config;

use super::problem::Problem;

/// Scripts, pictures and calls of this origin alone; no page may frame it. The styles' exception
/// is for the ones that Swagger UI writes into its own elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Sends people to the partner API's documentation.
#[utoipa::path(
    get, path = "/docs", operation_id = "find_docs", tag = "discovery",
    responses((status = 308, description = "It is at `/docs/`"))
)]
pub async fn to_partner() -> HttpResponse {
    see("/docs/")
}

/// Sends people to the admin API's documentation.
#[utoipa::path(
    get, path = "/admin/docs", operation_id = "find_admin_docs", tag = "discovery",
    responses((status = 308, description = "It is at `/admin/docs/`"))
)]
pub async fn to_admin() -> HttpResponse {
    see("/admin/docs/")
}

/// Shows the partner API and the OAuth endpoints to people.
#[utoipa::path(
    get, path = "/docs/{file}", operation_id = "show_docs", tag = "discovery",
    params(("file" = String, Path, description = "Empty for the page itself; else one of its parts")),
    responses((status = 200, description = "The page, or a part of it", content_type = "text/html"))
)]
pub async fn partner(file: web::Path<String>) -> Result<HttpResponse, Problem> {
    serve(&file, "/openapi.json", "Onyx Auth: partner API")
}

/// Shows the admin API to people.
#[utoipa::path(
    get, path = "/admin/docs/{file}", operation_id = "show_admin_docs", tag = "discovery",
    params(("file" = String, Path, description = "Empty for the page itself; else one of its parts")),
    responses((status = 200, description = "The page, or a part of it", content_type = "text/html"))
)]
pub async fn admin(file: web::Path<String>) -> Result<HttpResponse, Problem> {
    serve(&file, "/admin/openapi.json", "Onyx Auth: admin API")
}

fn see(place: &'static str) -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((LOCATION, place))
        .finish()
}

fn serve(file: &str, document: &'static str, title: &str) -> Result<HttpResponse, Problem> {
    // No validator: it would send the document's address to somebody else's server.
    let config = Config::from(document)
        .validator_url("none")
        .display_request_duration(true)
        .filter(true);
    let found = utoipa_swagger_ui::serve(file, Arc::new(config))
        .map_err(|error| Problem::internal(&*error))?;
    let found = found.ok_or_else(Problem::not_found)?;
    let bytes = match file {
        "" | "/" | "index.html" => with_head(&found.bytes, title),
        _ => found.bytes.into_owned(),
    };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type(found.content_type)
        .body(bytes))
}

/// The page with a title that says which of the two it is, and fitted to a phone: the vendored
/// one is called after the program that shows it, and lacks a viewport.
fn with_head(page: &[u8], title: &str) -> Vec<u8> {
    let fit = r#"<meta name="viewport" content="width=device-width, initial-scale=1">"#;
    let head = format!("{fit}<title>{title}</title>");
    let page = String::from_utf8_lossy(page);
    page.replace("<title>Swagger UI</title>", &head)
        .into_bytes()
}
