//! What messages are signed with.

use reqwest::Method;
use serde_json::{Value, json};

use super::{SCOPES, outcome, text};
use crate::support::receiver::{LOOPBACK, Receiver};
use crate::support::world::{at_once, worlds_with};

#[actix_web::test]
async fn two_secrets_sign_while_one_takes_over_from_the_other() {
    for world in worlds_with(&[LOOPBACK]).await {
        for kind in ["v1", "v1a"] {
            let receiver = Receiver::start().await;
            let developer = world.developer().await;
            let body =
                json!({ "url": receiver.url("/in"), "event_types": ["*"], "signature": kind });
            let made = developer.send(Method::POST, "", body).await.expect(201);
            let key = |answer: &Value| match kind {
                "v1" => {
                    assert_eq!(answer["public_key"], Value::Null);
                    text(answer, "secret")
                }
                _ => {
                    assert_eq!(answer["secret"], Value::Null);
                    let public = text(answer, "public_key");
                    assert!(public.starts_with("whpk_"));
                    public
                }
            };
            let rotate = async |body: Value| {
                let path = format!("/{}/rotate-secret", text(&made, "id"));
                let answer = developer.send(Method::POST, &path, body).await;
                assert_eq!(answer.header("cache-control"), "no-store");
                answer.expect(201)
            };
            let send = async || {
                let before = receiver.deliveries().len();
                let sent = developer.act(&made, "test").await.expect(200);
                assert_eq!(outcome(&sent), "true - 200");
                receiver.wait_for(before + 1).await.pop().unwrap()
            };
            let first = key(&made);
            let second = rotate(json!({})).await;
            assert_eq!(second["id"], made["id"]);
            let second = key(&second);
            let message = send().await;
            let count = |signature: &str| signature.split(' ').count();
            assert_eq!(count(message.header("webhook-signature")), 2);
            assert_eq!(message.verify(&first), Ok(()));
            assert_eq!(message.verify(&second), Ok(()));
            let secrets = developer.shown(&made).await["secrets"].clone();
            let secrets = secrets.as_array().unwrap();
            assert_eq!(secrets.len(), 2);
            assert_eq!(secrets[0]["usable_until"], Value::Null);
            assert!(secrets[1]["usable_until"].is_string());

            // A third takes the first one's place, without waiting for its end: two at most.
            let third = key(&rotate(json!({ "overlap_seconds": 3600 })).await);
            let message = send().await;
            assert_eq!(count(message.header("webhook-signature")), 2);
            assert!(message.verify(&first).is_err());
            assert_eq!(message.verify(&second), Ok(()));
            assert_eq!(message.verify(&third), Ok(()));

            let last = key(&rotate(json!({ "overlap_seconds": 0 })).await);
            let message = send().await;
            assert_eq!(count(message.header("webhook-signature")), 1);
            assert!(message.verify(&third).is_err());
            assert_eq!(message.verify(&last), Ok(()));
            assert_eq!(message.kind(), "webhook_endpoint.test");
            assert_eq!(message.id(), message.json()["id"]);
        }
    }
}

#[actix_web::test]
async fn secrets_that_are_rotated_at_once_all_count_and_one_is_current() {
    for world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let made = developer.set_up(&receiver.url("/in")).await;
        let path = format!("/webhook-endpoints/{}/rotate-secret", text(&made, "id"));
        let rotate = || developer.request(Method::POST, &path).json(&json!({}));
        let rotated = at_once((0..8).map(|_| rotate())).await;
        let secrets: Vec<_> = rotated
            .iter()
            .map(|answer| text(&answer.expect(201), "secret"))
            .collect();
        developer.act(&made, "test").await.expect(200);
        let message = receiver.deliveries().pop().unwrap();
        let signs = |secret: &&String| message.verify(secret).is_ok();
        assert_eq!(secrets.iter().filter(signs).count(), 2);
        let shown = developer.shown(&made).await;
        assert_eq!(shown["secrets"].as_array().unwrap().len(), 2);
    }
}

#[actix_web::test]
async fn a_secret_that_signs_no_more_is_forgotten() {
    for mut world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let who = world.sandbox_client(&SCOPES).await;
        {
            let developer = world.shopper_as("sandbox", who).await;
            let made = developer.set_up(&receiver.url("/in")).await;
            let path = format!("/{}/rotate-secret", text(&made, "id"));
            let body = json!({ "overlap_seconds": 0 });
            developer.send(Method::POST, &path, body).await.expect(201);
        }
        let versions = "SELECT CAST(version AS TEXT) AS line FROM webhook_secrets ORDER BY version";
        assert_eq!(world.lines(versions), ["1", "2"]);
        // A worker looks when it starts.
        assert_eq!(world.terminate(), Some(0));
        world.start().await;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while world.lines(versions) != ["2"] {
            assert!(std::time::Instant::now() < deadline, "it is still there");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[actix_web::test]
async fn a_restore_enables_no_endpoint_and_brings_no_old_secret_back() {
    for mut world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let who = world.sandbox_client(&SCOPES).await;
        let (rotated, disabled, deleted, fresh) = {
            let developer = world.shopper_as("sandbox", who.clone()).await;
            let url = receiver.url("/in");
            let rotated = developer.set_up(&url).await;
            let disabled = developer.set_up(&url).await;
            let deleted = developer.set_up(&url).await;
            world.cli(&["backup", "onyx.backup"]);
            let path = format!("/{}/rotate-secret", text(&rotated, "id"));
            let body = json!({ "overlap_seconds": 0 });
            let fresh = developer.send(Method::POST, &path, body).await.expect(201);
            developer.act(&disabled, "disable").await.expect(200);
            let path = format!("/webhook-endpoints/{}", text(&deleted, "id"));
            let gone = developer.request(Method::DELETE, &path).send().await;
            assert_eq!(gone.unwrap().status(), 204);
            (rotated, disabled, deleted, text(&fresh, "secret"))
        };
        world.terminate();
        world.cli(&["restore", "--yes", "onyx.backup"]);
        world.start().await;

        let developer = world.shopper_as("sandbox", who).await;
        let shown = developer.shown(&disabled).await;
        assert_eq!(shown["state"], "disabled");
        assert_eq!(shown["disabled_reason"], "partner");
        let path = format!("/webhook-endpoints/{}", text(&deleted, "id"));
        developer.get(&path).await.expect(404);
        let secrets =
            "SELECT DISTINCT endpoint_id AS line FROM webhook_secrets ORDER BY endpoint_id";
        let kept = [text(&rotated, "id"), text(&disabled, "id")];
        assert_eq!(world.lines(secrets), kept);
        // The receiver holds the new one.
        let sent = developer.act(&rotated, "test").await.expect(200);
        assert_eq!(outcome(&sent), "true - 200");
        let message = receiver.wait_for(1).await.remove(0);
        assert_eq!(message.verify(&fresh), Ok(()));
        assert!(message.verify(&text(&rotated, "secret")).is_err());
    }
}
