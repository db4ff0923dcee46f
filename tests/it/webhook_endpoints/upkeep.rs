//! Endpoints are set up, tried, switched off and on, and deleted.

use reqwest::Method;
use serde_json::{Value, json};

use super::{outcome, text};
use crate::support::assert_snapshot;
use crate::support::receiver::{Behaviour, LOOPBACK, Receiver};
use crate::support::shop::{bare, column};
use crate::support::world::{Answer, at_once, worlds_with};

#[actix_web::test]
async fn a_test_tells_what_came_of_it_and_changes_nothing() {
    for world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let made = developer.set_up(&receiver.url("/in")).await;
        let before = developer.shown(&made).await;
        receiver.behave(Behaviour::Status(410));
        let sent = developer.act(&made, "test").await;
        assert_eq!(outcome(&sent.expect(200)), "false status 410");
        assert!(!sent.text.contains("not shown"), "{}", sent.text);
        receiver.behave(Behaviour::Redirect(receiver.url("/elsewhere")));
        let sent = developer.act(&made, "test").await.expect(200);
        assert_eq!(outcome(&sent), "false status 307");
        assert_eq!(receiver.deliveries().len(), 2);
        assert_eq!(developer.shown(&made).await, before);
        // It is no event.
        assert_eq!(world.lines("SELECT id AS line FROM events"), [""; 0]);
    }
}

#[actix_web::test]
async fn an_endpoint_is_disabled_enabled_and_deleted() {
    for world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let made = developer.set_up(&receiver.url("/in")).await;
        let refused = developer.act(&made, "enable").await;
        assert_snapshot!(refused.problem(), @r#"
        409 illegal_transition: the endpoint is active; from there: pending, disabled, deleted
          state "active", allowed ["pending","disabled","deleted"]
        "#);
        let disabled = developer.act(&made, "disable").await.expect(200);
        assert_eq!(
            (&disabled["state"], &disabled["disabled_reason"]),
            (&json!("disabled"), &json!("partner"))
        );
        let id = text(&made, "id");
        let told = world.lines("SELECT kind || ' ' || data AS line FROM events");
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("webhook_endpoint.disabled "),
            "{told:?}"
        );
        for wanted in [id.as_str(), r#""reason":"partner""#] {
            assert!(told[0].contains(wanted), "{told:?}");
        }
        for verb in ["disable", "verify"] {
            let refused = developer.act(&made, verb).await;
            assert_eq!(refused.expect(409)["code"], "illegal_transition", "{verb}");
        }
        // One can still see whether it is mended.
        let sent = developer.act(&made, "test").await.expect(200);
        assert_eq!(outcome(&sent), "true - 200");
        let enabled = developer.act(&made, "enable").await.expect(200);
        assert_eq!(
            (&enabled["state"], &enabled["disabled_reason"]),
            (&json!("active"), &Value::Null)
        );
        assert_eq!(enabled["challenge"], Value::Null);

        let path = format!("/webhook-endpoints/{id}");
        let bound = developer.request(Method::DELETE, &path);
        let bound = bound.header("if-match", "\"x\"").send().await.unwrap();
        assert_eq!(bound.status(), 412);
        let deleted = developer.request(Method::DELETE, &path).send().await;
        assert_eq!(deleted.unwrap().status(), 204);
        let again = developer.request(Method::DELETE, &path).send().await;
        assert_eq!(again.unwrap().status(), 404);
        developer.get(&path).await.expect(404);
        for verb in ["verify", "rotate-secret", "test", "enable", "disable"] {
            developer.act(&made, verb).await.expect(404);
        }
        let list = developer.get("/webhook-endpoints").await.expect(200);
        assert_eq!(list["data"], json!([]));
        let secrets = "SELECT endpoint_id AS line FROM webhook_secrets";
        assert_eq!(world.lines(secrets), [""; 0]);
        let audit = developer.get(&format!("/audit/events?target={id}")).await;
        assert_eq!(
            column(&audit.expect(200), "action"),
            [
                "webhook_endpoint.created",
                "webhook_endpoint.verified",
                "webhook_endpoint.disabled",
                "webhook_endpoint.enabled",
                "webhook_endpoint.deleted",
            ]
        );
    }
}

#[actix_web::test]
async fn a_partner_has_twenty_endpoints_at_most_in_each_environment() {
    for world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let body = json!({ "url": receiver.url("/in"), "event_types": ["*"] });
        let create = || {
            let request = developer.request(Method::POST, "/webhook-endpoints");
            request.json(&body)
        };
        let answers = at_once((0..24).map(|_| create())).await;
        let made: Vec<_> = answers.iter().filter(|a| a.status == 201).collect();
        assert_eq!(made.len(), 20);
        let refused = answers.iter().find(|a| a.status != 201).unwrap();
        assert_snapshot!(refused.problem(), @"409 webhook_endpoint_limit: you have 20 endpoints, which is the most: delete one first");
        let path = format!("/webhook-endpoints/{}", text(&made[0].json(), "id"));
        let deleted = developer.request(Method::DELETE, &path).send().await;
        assert_eq!(deleted.unwrap().status(), 204);
        developer.set_up(&receiver.url("/in")).await;
        // Another partner has its own count.
        world.developer().await.set_up(&receiver.url("/in")).await;
    }
}

#[actix_web::test]
async fn all_that_is_wrong_with_an_endpoint_is_told_at_once() {
    for world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let body =
            json!({ "event_types": ["order.accepted", "order.lost"], "signature": "v2", "x": 1 });
        let refused = developer.send(Method::POST, "", body).await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /url missing: must be there
          /event_types/1 invalid: must be *, or one of the types in the catalogue of events
          /signature invalid: must be one of v1, v1a
          /x unknown: is not a member of this request
        ");
        let made = developer.set_up(&receiver.url("/in")).await;
        let refused = developer
            .change(
                &made,
                json!({ "event_types": [], "url": null, "signature": "v1a" }),
            )
            .await;
        assert_snapshot!(refused.problem(), @r#"
        422 invalid_body: the request body has members that must be mended; see errors
          /url type: must not be null: leave it out to keep it as it is
          /event_types invalid: must name at least one type, or be ["*"]
          /signature unknown: is not a member of this request
        "#);
        let path = format!("/{}/rotate-secret", text(&made, "id"));
        let refused = developer
            .send(Method::POST, &path, json!({ "overlap_seconds": 604_801 }))
            .await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /overlap_seconds invalid: must be a whole number from 0 to 604800
        ");
    }
}

#[actix_web::test]
async fn anothers_endpoint_can_be_neither_changed_nor_used() {
    for world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let (owner, stranger) = (world.developer().await, world.developer().await);
        let made = owner.set_up(&receiver.url("/in")).await;
        let before = owner.shown(&made).await;
        let none = json!({ "id": "whe_01K2ZJ6V9D3M5K7N2R4T6W8Y0A" });
        for verb in ["verify", "rotate-secret", "test", "enable", "disable"] {
            let theirs = stranger.act(&made, verb).await;
            let unknown = stranger.act(&none, verb).await;
            assert_eq!(theirs.status, 404, "{verb}");
            assert_eq!(bare(&theirs), bare(&unknown), "{verb}");
        }
        let change = json!({ "event_types": ["order.failed"], "url": receiver.url("/theirs") });
        let theirs = stranger.change(&made, change.clone()).await;
        let unknown = stranger.change(&none, change).await;
        assert_eq!((theirs.status, bare(&theirs)), (404, bare(&unknown)));
        let delete = async |endpoint: &Value| {
            let path = format!("/webhook-endpoints/{}", text(endpoint, "id"));
            let sent = stranger.request(Method::DELETE, &path).send().await;
            Answer::of(sent.unwrap()).await
        };
        let (theirs, unknown) = (delete(&made).await, delete(&none).await);
        assert_eq!((theirs.status, bare(&theirs)), (404, bare(&unknown)));
        assert_eq!(owner.shown(&made).await, before);
        assert_eq!(receiver.received().len(), 1);
    }
}

#[actix_web::test]
async fn whoever_lacks_the_scope_sets_nothing_up() {
    for world in worlds_with(&[LOOPBACK]).await {
        let reader = world.sandbox_client(&["orders:read"]).await;
        let reader = world.shopper_as("sandbox", reader).await;
        let refused = reader.get("/webhook-endpoints").await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope webhooks:manage");
    }
}

#[actix_web::test]
async fn a_partner_that_is_let_go_keeps_no_endpoint() {
    for world in worlds_with(&[LOOPBACK]).await {
        let operator = world.operator().await;
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let made = developer.set_up(&receiver.url("/in?key=theirs")).await;
        let path = format!("/partners/{}", developer.who.partner_id);
        for verb in ["suspend", "offboard"] {
            let body = json!({ "reason": "they left" });
            let path = format!("{path}/{verb}");
            operator.post(&path, body).await.expect(200);
        }
        let left = "SELECT state || ' ' || url AS line FROM webhook_endpoints";
        assert_eq!(world.lines(left), ["deleted removed"]);
        let secrets = "SELECT endpoint_id AS line FROM webhook_secrets";
        assert_eq!(world.lines(secrets), [""; 0]);
        let query = format!("/audit/events?target={}", text(&made, "id"));
        let audit = operator.get(&query).await.expect(200);
        let last = column(&audit, "action").pop();
        assert_eq!(last.as_deref(), Some("webhook_endpoint.deleted"));
    }
}

#[actix_web::test]
async fn what_is_asked_again_under_its_key_is_done_once() {
    for world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        // For events that do not come: what comes is asked for here.
        let set_up = async |path: &str| {
            let body = json!({ "url": receiver.url(path), "event_types": ["order.failed"] });
            developer.send(Method::POST, "", body).await.expect(201)
        };
        let (made, other) = (set_up("/in").await, set_up("/other").await);
        let under = async |key: &str, endpoint: &Value, verb: &str| {
            let path = format!("/webhook-endpoints/{}/{verb}", text(endpoint, "id"));
            let request = developer.request(Method::POST, &path);
            let request = request.header("idempotency-key", key).json(&json!({}));
            Answer::of(request.send().await.unwrap()).await
        };
        for verb in ["test", "verify", "disable", "enable"] {
            let first = under(verb, &made, verb).await;
            let came = receiver.received().len();
            first.expect(200);
            assert_eq!(first.header("idempotent-replayed"), "", "{verb}");
            let again = under(verb, &made, verb).await;
            assert_eq!((again.status, &again.text), (200, &first.text), "{verb}");
            assert_eq!(again.header("idempotent-replayed"), "true", "{verb}");
            assert_eq!(receiver.received().len(), came, "{verb}");
            // Another endpoint is another request.
            let refused = under(verb, &other, verb).await.expect(422);
            assert_eq!(refused["code"], "idempotency_key_reused", "{verb}");
        }
        let refused = under("\"", &made, "test").await.expect(400);
        assert_eq!(refused["code"], "idempotency_key_invalid");
        // Of those that come at once under one key, one has a message sent.
        let came = receiver.received().len();
        let path = format!("/webhook-endpoints/{}/test", text(&made, "id"));
        let request = developer.request(Method::POST, &path);
        let request = request
            .header("idempotency-key", "at-once")
            .json(&json!({}));
        let answers = at_once((0..6).map(|_| request.try_clone().unwrap())).await;
        assert_eq!(receiver.received().len(), came + 1, "{answers:?}");
        for answer in &answers {
            let is_in_progress =
                answer.status == 409 && answer.json()["code"] == "idempotency_in_progress";
            assert!(answer.status == 200 || is_in_progress, "{answer:?}");
        }
        // A refusal is not kept.
        let refused = under("k", &made, "enable").await.expect(409);
        assert_eq!(refused["code"], "illegal_transition");
        developer.act(&made, "disable").await.expect(200);
        under("k", &made, "enable").await.expect(200);
    }
}
