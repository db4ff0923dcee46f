//! The page behind a link: one file, nothing loaded from elsewhere, and nothing that could carry
//! the secret away.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::admin::delivery::Notice;

const PAGE: &str = include_str!("page.html");
const MISSING: &str = include_str!("missing.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page may do: run this script, look like this, and talk to where it came from.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

/// The page of a delivery. It is the same whatever has become of it: only a proof is told.
pub(super) fn explaining(notice: &Notice) -> HttpResponse {
    // Words, ids and times: none has a character that HTML would take amiss.
    let page = PAGE
        .replace("{{environment}}", notice.realm.as_str())
        .replace("{{credential_id}}", notice.credential_id.as_str())
        .replace(
            "{{expires_at}}",
            &notice.expires_at.to_whole_seconds().to_string(),
        );
    answer(HttpResponse::Ok(), &page)
}

/// The page where there is no delivery.
pub(super) fn missing() -> HttpResponse {
    answer(HttpResponse::build(StatusCode::NOT_FOUND), MISSING)
}

fn answer(mut builder: HttpResponseBuilder, page: &str) -> HttpResponse {
    builder
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
        .insert_header(("Cross-Origin-Resource-Policy", "same-origin"))
        .insert_header((
            "Permissions-Policy",
            "clipboard-write=(self), clipboard-read=()",
        ))
        .insert_header(("X-Robots-Tag", "noindex, nofollow"))
        .body(
            page.replace("{{style}}", STYLE)
                .replace("{{script}}", SCRIPT),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_and_runs_only_what_its_policy_knows() {
        let pages = [PAGE, MISSING];
        for page in pages {
            for word in [
                "src=",
                "@import",
                "url(",
                " style=",
                " onclick",
                "javascript:",
            ] {
                assert!(!page.contains(word), "{word}");
            }
            assert_eq!(
                page.matches("<script").count(),
                page.matches("<script>{{script}}</script>").count()
            );
            assert_eq!(page.matches("<style>{{style}}</style>").count(), 1);
        }
        for word in ["url(", "@import"] {
            assert!(!STYLE.contains(word), "{word}");
        }
        for word in [
            "innerHTML",
            "eval",
            "localStorage",
            "sessionStorage",
            "cookie",
            "console",
            "http",
        ] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
        // What closes a script must not stand in it.
        assert!(!SCRIPT.contains("</") && !STYLE.contains("</"));
    }
}
