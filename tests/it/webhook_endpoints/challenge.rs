//! An endpoint answers a challenge before anything is sent to it.

use reqwest::Method;
use serde_json::{Value, json};

use super::{outcome, text};
use crate::support::assert_snapshot;
use crate::support::receiver::{Behaviour, LOOPBACK, Receiver};
use crate::support::shop::column;
use crate::support::world::{free_address, worlds_with};

#[actix_web::test]
async fn an_endpoint_that_answers_its_challenge_is_active() {
    for world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let body = json!({
            "url": receiver.url("/in?account=1"), "event_types": ["order.failed", "order.accepted", "order.failed"],
        });
        let answer = developer.send(Method::POST, "", body).await;
        let made = answer.expect(201);
        let id = text(&made, "id");
        assert_eq!(
            answer.header("location"),
            format!("/sandbox/v1/webhook-endpoints/{id}")
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        // As it was made, and as it is from then on.
        assert_eq!(made["state"], "pending");
        assert_eq!(developer.shown(&made).await["state"], "active");
        assert_eq!(made["signature"], "v1");
        assert_eq!(
            made["event_types"],
            json!(["order.accepted", "order.failed"])
        );
        assert_eq!(made["url"], receiver.url("/in?account=1"));
        assert_eq!(outcome(&made["challenge"]), "true - 200");

        let came = receiver.received();
        assert_eq!(came.len(), 1);
        assert_eq!(came[0].path, "/in?account=1");
        assert_eq!(came[0].header("content-type"), "application/json");
        assert!(came[0].header("user-agent").starts_with("onyx-auth/"));
        assert_eq!(came[0].kind(), "webhook_endpoint.challenge");
        let secret = text(&made, "secret");
        assert!(secret.starts_with("whsec_"));
        assert_eq!(came[0].verify(&secret), Ok(()));

        // The secret is shown this once.
        let shown = developer.shown(&made).await;
        assert!(shown["verified_at"].is_string() && made["verified_at"].is_null());
        assert_eq!(shown["secrets"].as_array().unwrap().len(), 1);
        let list = developer.get("/webhook-endpoints").await;
        assert_eq!(column(&list.expect(200), "id"), [id.as_str()]);
        for told in [shown.to_string(), list.text] {
            assert!(!told.contains("whsec_"), "{told}");
        }
        let pending = developer.get("/webhook-endpoints?state=pending").await;
        assert_eq!(pending.expect(200)["data"], json!([]));

        let audit = developer.get("/audit/events").await.expect(200);
        let actions = column(&audit, "action");
        assert!(
            actions.ends_with(&[
                "webhook_endpoint.created".to_owned(),
                "webhook_endpoint.verified".to_owned(),
            ]),
            "{actions:?}"
        );
        assert!(!audit.to_string().contains("account=1"), "{audit}");
    }
}

#[actix_web::test]
async fn an_endpoint_that_does_not_answer_is_pending_until_it_does() {
    for world in worlds_with(&[LOOPBACK]).await {
        let (receiver, other) = (Receiver::start().await, Receiver::start().await);
        let developer = world.developer().await;
        let mut told = String::new();
        for behaviour in [
            Behaviour::Status(404),
            Behaviour::Status(500),
            Behaviour::Redirect(other.url("/in")),
            Behaviour::Says("thank you".to_owned()),
            Behaviour::Says(r#"{"challenge": "another"}"#.to_owned()),
        ] {
            receiver.meet_challenges(behaviour);
            let made = developer.set_up(&receiver.url("/in")).await;
            let (state, verified) = (text(&made, "state"), &made["verified_at"]);
            told += &format!("{state} {verified}, {}\n", outcome(&made["challenge"]));
        }
        let nobody = format!("http://{}/in", free_address());
        let made = developer.set_up(&nobody).await;
        told += &format!("{}, {}\n", made["state"], outcome(&made["challenge"]));
        assert_snapshot!(told, @r#"
        pending null, false status 404
        pending null, false status 500
        pending null, false status 307
        pending null, false - 200
        pending null, false - 200
        "pending", false connect null
        "#);
        assert!(other.received().is_empty(), "a redirect was followed");

        // Nothing is sent there but challenges.
        let refused = developer.act(&made, "test").await;
        assert_snapshot!(refused.problem(), @"409 webhook_not_verified: the endpoint has not answered its challenge at this URL yet: ask it again under …/verify");
        let made = developer.set_up(&receiver.url("/in")).await;
        let again = developer.act(&made, "verify").await.expect(200);
        assert_eq!(again["state"], "pending");
        receiver.meet_challenges(Behaviour::Good);
        let again = developer.act(&made, "verify").await.expect(200);
        assert_eq!(again["state"], "active");
        assert_eq!(outcome(&again["challenge"]), "true - 200");
        // One that is active stays it, whatever it answers when it is asked again.
        receiver.meet_challenges(Behaviour::Status(503));
        let again = developer.act(&made, "verify").await.expect(200);
        assert_eq!(again["state"], "active");
        assert_eq!(outcome(&again["challenge"]), "false status 503");
    }
}

#[actix_web::test]
async fn at_another_url_the_challenge_must_be_answered_again() {
    for world in worlds_with(&[LOOPBACK]).await {
        let (receiver, next) = (Receiver::start().await, Receiver::start().await);
        let developer = world.developer().await;
        let made = developer.set_up(&receiver.url("/in")).await;
        let types = json!({ "event_types": ["invoice.paid"], "url": receiver.url("/in") });
        let changed = developer.change(&made, types).await.expect(200);
        assert_eq!(changed["event_types"], json!(["invoice.paid"]));
        // It stands where it stood.
        assert_eq!(changed["challenge"], Value::Null);
        assert_eq!(receiver.received().len(), 1);

        next.meet_challenges(Behaviour::Status(500));
        let moved = json!({ "url": next.url("/in") });
        let changed = developer.change(&made, moved).await.expect(200);
        assert_eq!(
            (&changed["state"], &changed["verified_at"]),
            (&json!("pending"), &Value::Null)
        );
        assert_eq!(outcome(&changed["challenge"]), "false status 500");
        let refused = developer.act(&made, "test").await;
        assert_eq!(refused.expect(409)["code"], "webhook_not_verified");
        next.meet_challenges(Behaviour::Good);
        let verified = developer.act(&made, "verify").await.expect(200);
        assert_eq!(verified["state"], "active");
        assert_eq!(next.received()[1].verify(&text(&made, "secret")), Ok(()));

        // A disabled one stays disabled, and is asked when it is enabled.
        developer.act(&made, "disable").await.expect(200);
        let back = json!({ "url": receiver.url("/back") });
        let changed = developer.change(&made, back).await.expect(200);
        assert_eq!(
            (&changed["state"], &changed["challenge"]),
            (&json!("disabled"), &Value::Null)
        );
        receiver.meet_challenges(Behaviour::Status(500));
        let refused = developer.act(&made, "enable").await;
        assert_snapshot!(refused.problem(), @"409 webhook_not_verified: the endpoint did not answer its challenge, and stays disabled");
        assert_eq!(developer.shown(&made).await["state"], "disabled");
        receiver.meet_challenges(Behaviour::Good);
        let enabled = developer.act(&made, "enable").await.expect(200);
        assert_eq!(enabled["state"], "active");
        assert_eq!(outcome(&enabled["challenge"]), "true - 200");
    }
}

#[actix_web::test]
async fn an_endpoint_of_the_sandbox_that_answered_passes_the_launch_check() {
    for world in worlds_with(&[LOOPBACK]).await {
        let operator = world.operator().await;
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let path = format!("/partners/{}/launch-review", developer.who.partner_id);
        operator.post(&path, json!({})).await.expect(201);
        let check = async || {
            let review = operator.get(&path).await.expect(200);
            let checks = review["checks"].as_array().unwrap();
            let found = checks.iter().find(|c| c["check"] == "webhook_verified");
            found.unwrap().clone()
        };
        receiver.meet_challenges(Behaviour::Status(500));
        let made = developer.set_up(&receiver.url("/in")).await;
        assert_eq!(check().await["state"], "pending");
        receiver.meet_challenges(Behaviour::Good);
        developer.act(&made, "verify").await.expect(200);
        let passed = check().await;
        assert_eq!(passed["state"], "passed");
        let evidence = text(&passed, "evidence");
        let wanted = format!("{} answered its challenge at ", text(&made, "id"));
        assert!(evidence.starts_with(&wanted), "{evidence}");
    }
}
