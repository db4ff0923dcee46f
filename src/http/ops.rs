//! Health and readiness, on a listener of their own.

use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::app::App;

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<&'static str>,
}

/// `GET /healthz`: the process serves.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// `GET /readyz`: the process can do its work; 503 with the reasons where it cannot.
pub async fn readyz(app: web::Data<App>) -> HttpResponse {
    let mut reasons = Vec::new();
    if app.stopping.load(Ordering::Relaxed) {
        reasons.push("stopping");
    }
    if app.directory.is_fresh() {
        if let Err(error) = app.store.ping().await {
            log::warn!("not ready: {error}");
            reasons.push("database");
        }
    } else {
        log::warn!(
            "not ready: no news from the database for {:?}",
            app.directory.staleness()
        );
        reasons.push("stale");
    }
    if !app.tokens.is_running() {
        log::error!("not ready: the journal's writer has ended");
        reasons.push("journal");
    }
    if reasons.is_empty() {
        HttpResponse::Ok().json(Readiness {
            ready: true,
            reasons,
        })
    } else {
        HttpResponse::ServiceUnavailable().json(Readiness {
            ready: false,
            reasons,
        })
    }
}
