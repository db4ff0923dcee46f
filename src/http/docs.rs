//! The documents as pages for people: Swagger UI, which comes with the program and loads nothing
//! from anywhere else.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use futures_util::{Stream, stream};
use utoipa_swagger_ui::Config;

use super::problem::Problem;

/// Scripts, pictures and calls of this origin alone; no page may frame it. The styles' exception
/// is for the ones that Swagger UI writes into its own elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How much of an answer is written at once.
const PIECE: usize = 16 * 1024;

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
        "" | "/" | "index.html" => with_head(&found.bytes, title).into(),
        _ => match found.bytes {
            // Most of it is part of the program, and need not be copied for each who asks.
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        },
    };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type(found.content_type)
        .body(in_pieces(bytes)))
}

/// A body that is written piece by piece, as its reader takes it.
///
/// actix copies a body that it has as a whole into the connection's buffer as a whole: of a megabyte, one for each
/// connection that asks and does not read.
pub(super) fn in_pieces(
    mut rest: Bytes,
) -> SizedStream<impl Stream<Item = Result<Bytes, Infallible>>> {
    let size = rest.len() as u64;
    let pieces = std::iter::from_fn(move || {
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then_some(Ok::<_, Infallible>(piece))
    });
    SizedStream::new(size, stream::iter(pieces))
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

#[cfg(test)]
mod tests {
    use actix_web::body::{BodySize, MessageBody, to_bytes};

    use super::*;

    #[actix_web::test]
    async fn pieces_are_the_whole() {
        for length in [0, 1, PIECE, PIECE + 1, 5 * PIECE - 1] {
            let whole: Bytes = (0..=u8::MAX).cycle().take(length).collect();
            let body = in_pieces(whole.clone());
            assert_eq!(body.size(), BodySize::Sized(length as u64));
            assert_eq!(to_bytes(body).await.unwrap(), whole);
        }
    }

    async fn first_piece() -> Bytes {
        let answer = serve("swagger-ui-bundle.js", "/openapi.json", "").unwrap();
        let mut body = Box::pin(answer.into_body());
        let piece = std::future::poll_fn(|context| body.as_mut().poll_next(context)).await;
        piece.unwrap().unwrap()
    }

    #[actix_web::test]
    async fn the_largest_part_is_neither_copied_nor_written_at_once() {
        let (one, other) = (first_piece().await, first_piece().await);
        assert_eq!(one.len(), PIECE);
        assert_eq!(one.as_ptr(), other.as_ptr());
    }
}
