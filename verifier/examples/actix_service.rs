//! A resource service on actix-web: partners read and place orders.
//!
//! ```sh
//! ORDERS_ISSUER=http://127.0.0.1:8080/sandbox ORDERS_AUDIENCE=https://orders.example \
//! ORDERS_CLIENT_ID=cl_sbx_… ORDERS_CLIENT_SECRET=onyx_sbx_sk_… \
//! cargo run -p onyx-verifier --features actix --example actix_service
//! ```
//!
//! The credential is that of the audience's own client (`onyx-auth resource-server create`, then
//! `credential issue`). `ORDERS_LISTEN` says where it listens (127.0.0.1:8090), `ORDERS_STALENESS`
//! what counts while there is no news of revocations: `strict` (default), `introspect`, `lenient`.

use std::{env, error::Error};

use actix_web::{App, HttpResponse, HttpServer, web};
use onyx_verifier::{
    Caller, Staleness, Verifier,
    actix::{Authenticated, Denied, RequireToken},
};

/// `GET /orders`: the middleware has seen to the scope.
async fn list(caller: web::ReqData<Caller>) -> String {
    format!("orders of {}\n", caller.partner_id().unwrap_or("nobody"))
}

/// `POST /orders`: needs a scope of its own.
async fn create(Authenticated(caller): Authenticated) -> Result<HttpResponse, Denied> {
    caller.require_scope("orders:create")?;
    let partner = caller.partner_id().unwrap_or("nobody");
    Ok(HttpResponse::Created().body(format!("an order of {partner}\n")))
}

/// `GET /metrics`: what to watch. In production on a listener that callers do not reach.
async fn metrics(verifier: web::Data<Verifier>) -> String {
    let age = verifier.news_age().unwrap_or_default();
    format!(
        "orders_revocation_news_age_seconds {}\norders_accepted_while_stale_total {}\n",
        age.as_secs_f64(),
        verifier.accepted_while_stale()
    )
}

#[actix_web::main]
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
    let listen = env::var("ORDERS_LISTEN").unwrap_or_else(|_| "127.0.0.1:8090".to_owned());
    HttpServer::new(move || {
        let guard = RequireToken::new(verifier.clone()).scope("orders:read");
        App::new()
            .app_data(web::Data::new(verifier.clone()))
            .route("/metrics", web::get().to(metrics))
            .service(
                web::scope("/orders")
                    .wrap(guard)
                    .route("", web::get().to(list))
                    .route("", web::post().to(create)),
            )
    })
    .workers(2)
    .bind(listen)?
    .run()
    .await?;
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
