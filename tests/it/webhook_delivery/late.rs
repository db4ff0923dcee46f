//! Messages that arrive after they were called off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use crate::support::receiver::LOOPBACK;
use crate::support::world::worlds_with;

/// Answers a challenge, refuses the first message, and takes its time over the next.
async fn receive(body: web::Bytes, came: web::Data<AtomicUsize>) -> HttpResponse {
    let message: Value = serde_json::from_slice(&body).unwrap();
    if message["type"] == "webhook_endpoint.challenge" {
        return HttpResponse::Ok().json(json!({ "challenge": message["challenge"] }));
    }
    if came.fetch_add(1, Ordering::SeqCst) == 0 {
        return HttpResponse::InternalServerError().finish();
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    HttpResponse::Ok().finish()
}

#[actix_web::test]
async fn what_arrives_after_it_was_cancelled_has_arrived() {
    for world in worlds_with(&[LOOPBACK]).await {
        let came = Arc::new(AtomicUsize::new(0));
        let data = web::Data::from(Arc::clone(&came));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .default_service(web::to(receive))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(0);
        let server = server.bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);

        let one = world.subscriber().await;
        let made = world.endpoint("sandbox", &one.token, &url, &["*"]).await;
        let id = made["id"].as_str().unwrap();
        world.tell(&one.who.partner_id, 1);
        let state =
            format!("SELECT state AS line FROM webhook_deliveries WHERE endpoint_id = '{id}'");
        world.wait_until(&state, "retrying").await;
        world.let_retries_come(id);
        while came.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // As `disable` does.
        world.execute(&format!(
            "UPDATE webhook_deliveries SET state = 'cancelled', next_attempt_at = NULL \
             WHERE endpoint_id = '{id}'"
        ));
        world.wait_until(&state, "succeeded").await;
        let attempts = format!(
            "SELECT CAST(number AS TEXT) AS line FROM webhook_attempts \
             WHERE endpoint_id = '{id}' ORDER BY number"
        );
        assert_eq!(world.lines(&attempts), ["1", "2"]);
        handle.stop(false).await;
    }
}
