//! A resource service on axum: partners read and place orders.
//!
//! ```sh
//! ORDERS_ISSUER=http://127.0.0.1:8080/sandbox ORDERS_AUDIENCE=https://orders.example \
//! ORDERS_CLIENT_ID=cl_sbx_… ORDERS_CLIENT_SECRET=onyx_sbx_sk_… \
//! cargo run -p onyx-verifier --features axum --example axum_service
//! ```
//!
//! The credential is that of the audience's own client (`onyx-auth resource-server create`, then
//! `credential issue`). `ORDERS_LISTEN` says where it listens (127.0.0.1:8090), `ORDERS_STALENESS`
//! what counts while there is no news of revocations: `strict` (default), `introspect`, `lenient`.

use std::{env, error::Error};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use onyx_verifier::{Caller, Rejection, Staleness, Verifier, tower::RequireTokenLayer};

/// `GET /orders`: the layer has seen to the scope.
async fn list(caller: Caller) -> String {
    format!("orders of {}\n", caller.partner_id().unwrap_or("nobody"))
}

/// `POST /orders`: needs a scope of its own.
async fn create(caller: Caller) -> Result<(StatusCode, String), Rejection> {
    caller.require_scope("orders:create")?;
    let partner = caller.partner_id().unwrap_or("nobody");
    Ok((StatusCode::CREATED, format!("an order of {partner}\n")))
}

/// `GET /metrics`: what to watch. In production on a listener that callers do not reach.
async fn metrics(State(verifier): State<Verifier>) -> String {
    let age = verifier.news_age().unwrap_or_default();
    format!(
        "orders_revocation_news_age_seconds {}\norders_accepted_while_stale_total {}\n",
        age.as_secs_f64(),
        verifier.accepted_while_stale()
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let verifier = Verifier::builder(setting("ORDERS_ISSUER")?, setting("ORDERS_AUDIENCE")?)
        .follow(
            setting("ORDERS_CLIENT_ID")?,
            setting("ORDERS_CLIENT_SECRET")?,
        )
        .staleness(staleness()?)
        .connect()
        .await?;
    let app = Router::new()
        .route("/orders", get(list).post(create))
        // Around the routes so far; those that follow are open.
        .layer(RequireTokenLayer::new(verifier.clone()).scope("orders:read"))
        .route("/metrics", get(metrics))
        .with_state(verifier);
    let listen = env::var("ORDERS_LISTEN").unwrap_or_else(|_| "127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, app).await?;
    Ok(())
}

fn setting(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("set {name}: see the head of this example"))
}

fn staleness() -> Result<Staleness, String> {
    match env::var("ORDERS_STALENESS").as_deref() {
        Err(_) | Ok("strict") => Ok(Staleness::Strict),
        Ok("introspect") => Ok(Staleness::Introspect),
        Ok("lenient") => Ok(Staleness::Lenient),
        Ok(other) => Err(format!(
            "ORDERS_STALENESS is strict, introspect or lenient, not {other:?}"
        )),
    }
}
