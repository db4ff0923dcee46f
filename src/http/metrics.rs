//! `GET /metrics`, for Prometheus, on the listener of operations.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};

use super::problem::Problem;
use crate::app::App;
use crate::telemetry::{self, telemetry};

/// What was measured, and what can only be told at this moment.
pub async fn show(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    look(&app);
    let text = telemetry()
        .text()
        .map_err(|error| Problem::internal(&error))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, telemetry::TEXT))
        .body(text))
}

fn look(app: &App) {
    let told = telemetry();
    told.staleness.set(app.directory.staleness().as_secs_f64());
    told.staleness_limit
        .set(f64::from(app.settings.max_staleness));
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    for (kind, held) in app.directory.held() {
        told.lookups
            .held
            .with_label_values(&[kind])
            .set(count(held));
    }
    told.lookups
        .clients_limit
        .set(count(app.settings.client_cache));
    told.limits.partners.set(count(app.buckets.live()));
    told.feed_listeners.set(count(app.feed.listeners()));
    told.feed_listeners_limit
        .set(count(app.settings.feed_listeners));
    told.feed_head.set(app.feed.applied());
    app.tokens.tell();
    if let Some(requests) = &app.requests {
        requests.tell();
    }
    app.store.tell();
    let now = app.clock.now();
    // A key that has gone leaves no age behind.
    told.key_age.reset();
    for (realm, alg, since) in app.ring.signing(now) {
        let age = now.epoch_micros().saturating_sub(since.epoch_micros());
        told.key_age
            .with_label_values(&[realm.as_str(), alg.as_str()])
            .set(age as f64 / 1e6);
    }
}
