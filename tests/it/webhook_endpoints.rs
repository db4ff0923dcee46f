//! Webhook endpoints: set up, verified, changed, given new secrets, switched off and on; all at a real receiver.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::receiver::{Behaviour, LOOPBACK, Receiver};
use crate::support::shop::{Shopper, bare, column};
use crate::support::world::{Answer, World, at_once, free_address, worlds, worlds_with};

const SCOPES: [&str; 1] = ["webhooks:manage"];

impl World {
    /// A partner's client that sets webhooks up.
    async fn developer(&self) -> Shopper<'_> {
        let who = self.sandbox_client(&SCOPES).await;
        self.shopper_as("sandbox", who).await
    }
}

impl Shopper<'_> {
    async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, &format!("/webhook-endpoints{path}"));
        Answer::of(request.json(&body).send().await.unwrap()).await
    }

    /// Sets an endpoint up for all events, whatever comes of its challenge.
    async fn set_up(&self, url: &str) -> Value {
        let body = json!({ "url": url, "event_types": ["*"] });
        self.send(Method::POST, "", body).await.expect(201)
    }

    /// Does something with an endpoint.
    async fn act(&self, endpoint: &Value, verb: &str) -> Answer {
        let path = format!("/{}/{verb}", text(endpoint, "id"));
        self.send(Method::POST, &path, json!({})).await
    }

    async fn change(&self, endpoint: &Value, change: Value) -> Answer {
        let path = format!("/{}", text(endpoint, "id"));
        self.send(Method::PATCH, &path, change).await
    }

    async fn shown(&self, endpoint: &Value) -> Value {
        let path = format!("/webhook-endpoints/{}", text(endpoint, "id"));
        self.get(&path).await.expect(200)
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

/// What came of a message, without how long it took.
fn outcome(attempt: &Value) -> String {
    assert!(attempt["milliseconds"].is_u64(), "{attempt}");
    let class = attempt["class"].as_str().unwrap_or("-");
    let members = attempt.as_object().unwrap();
    assert_eq!(members.len(), 4, "{attempt}");
    format!("{} {class} {}", attempt["succeeded"], attempt["status"])
}

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
        assert_eq!(made["state"], "active");
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
        assert_eq!(shown["verified_at"].as_str(), made["verified_at"].as_str());
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
async fn what_leads_into_the_house_is_refused_and_not_asked() {
    for world in worlds().await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let port = receiver.port();
        let mut told = String::new();
        for url in [
            "http://hooks.example.com/in".to_owned(),
            "https://user:word@hooks.example.com/in".to_owned(),
            "https://@hooks.example.com/in".to_owned(),
            "https://hooks.example.com/in#part".to_owned(),
            "hooks.example.com".to_owned(),
            format!("http://127.0.0.1:{port}/in"),
            format!("https://127.0.0.1:{port}/in"),
            format!("https://127.1:{port}/in"),
            format!("https://2130706433:{port}/in"),
            format!("https://0x7f.0.0.1:{port}/in"),
            format!("https://0177.0.0.1:{port}/in"),
            format!("https://127.0.0.1.:{port}/in"),
            format!("https://localhost:{port}/in"),
            format!("https://a.localhost.:{port}/in"),
            format!("https://[::1]:{port}/in"),
            format!("https://[::ffff:127.0.0.1]:{port}/in"),
            format!("https://[64:ff9b::7f00:1]:{port}/in"),
            format!("https://[2002:7f00:1::1]:{port}/in"),
            "https://169.254.169.254/latest/meta-data".to_owned(),
            "https://10.0.0.1/in".to_owned(),
        ] {
            let body = json!({ "url": url, "event_types": ["*"] });
            let refused = developer.send(Method::POST, "", body).await.expect(422);
            let fault = &refused["errors"][0];
            assert_eq!(fault["pointer"], "/url", "{url}");
            told += &format!(
                "{}: {} {}\n",
                url.replace(&port.to_string(), "PORT"),
                fault["code"].as_str().unwrap(),
                fault["detail"].as_str().unwrap()
            );
        }
        assert_snapshot!(told, @r"
        http://hooks.example.com/in: invalid must be an https URL
        https://user:word@hooks.example.com/in: invalid must not hold a name or a password
        https://@hooks.example.com/in: invalid must not hold a name or a password
        https://hooks.example.com/in#part: invalid must not hold a fragment
        hooks.example.com: invalid must be an absolute URL of at most 2048 characters
        http://127.0.0.1:PORT/in: invalid must be an https URL
        https://127.0.0.1:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://127.1:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://2130706433:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://0x7f.0.0.1:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://0177.0.0.1:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://127.0.0.1.:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://localhost:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://a.localhost.:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://[::1]:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://[::ffff:127.0.0.1]:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://[64:ff9b::7f00:1]:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://[2002:7f00:1::1]:PORT/in: webhook_url_blocked leads to an address that webhooks are not sent to
        https://169.254.169.254/latest/meta-data: webhook_url_blocked leads to an address that webhooks are not sent to
        https://10.0.0.1/in: webhook_url_blocked leads to an address that webhooks are not sent to
        ");
        assert!(receiver.received().is_empty());
        let list = developer.get("/webhook-endpoints").await.expect(200);
        assert_eq!(list["data"], json!([]));
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
async fn proxies_of_the_environment_are_ignored() {
    let proxy = Receiver::start().await;
    let through = proxy.url("");
    let settings = [
        LOOPBACK,
        ("HTTP_PROXY", through.as_str()),
        ("http_proxy", &through),
        ("HTTPS_PROXY", &through),
        ("ALL_PROXY", &through),
    ];
    for world in worlds_with(&settings).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let made = developer.set_up(&receiver.url("/in")).await;
        assert_eq!(made["state"], "active");
        assert_eq!(receiver.received().len(), 1);
    }
    assert!(proxy.received().is_empty());
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
async fn what_is_asked_again_under_its_key_is_done_once() {
    for world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let made = developer.set_up(&receiver.url("/in")).await;
        let other = developer.set_up(&receiver.url("/other")).await;
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
        // A refusal is not kept.
        let refused = under("k", &made, "enable").await.expect(409);
        assert_eq!(refused["code"], "illegal_transition");
        developer.act(&made, "disable").await.expect(200);
        under("k", &made, "enable").await.expect(200);
    }
}

/// Has something sent until it is refused for this limit; answers how often it was not.
async fn until_over(code: &str, mut send: impl AsyncFnMut() -> Answer) -> usize {
    for sent in 0..1000 {
        let answer = send().await;
        if answer.status != 429 {
            continue;
        }
        assert_eq!(answer.json()["code"], code);
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=10).contains(&wait), "{wait}");
        assert!(answer.header("ratelimit-policy").contains("messages"));
        assert_eq!(answer.header("onyx-shadow-limit"), "");
        return sent;
    }
    panic!("nothing is refused");
}

#[actix_web::test]
async fn nobody_has_a_url_called_without_end() {
    // No setting and no mode of a partner's limits lets more through: URLs lead to others.
    for world in worlds_with(&[LOOPBACK, ("ONYX_RATE_LIMITS", "false")]).await {
        let receiver = Receiver::start().await;
        let developer = world.developer().await;
        let operator = world.operator().await;
        let partner = &developer.who.partner_id;
        operator.allow(partner, "shadow", json!({})).await;
        let one = developer.set_up(&receiver.url("/one")).await;
        let other = developer.set_up(&receiver.url("/other")).await;
        let path = format!("/webhook-endpoints/{}/test", text(&one, "id"));
        let keyed = async || {
            let request = developer.request(Method::POST, &path);
            let request = request.header("idempotency-key", "k").json(&json!({}));
            Answer::of(request.send().await.unwrap()).await
        };
        keyed().await.expect(200);

        let mut verbs = ["verify", "test"].into_iter().cycle();
        let of_one = "endpoint_messages_limit_exceeded";
        let sent = until_over(of_one, async || {
            developer.act(&one, verbs.next().unwrap()).await
        })
        .await;
        // Twenty at once, of which the first was sent when it was set up, and one under a key.
        assert!(sent >= 18, "{sent}");
        let came = |path: &str| {
            let received = receiver.received();
            received.iter().filter(|one| one.path == path).count()
        };
        assert_eq!(came("/one"), sent + 2);
        // What sends nothing is bounded by nothing of this; another endpoint has its own.
        assert_eq!(keyed().await.header("idempotent-replayed"), "true");
        developer.act(&one, "disable").await.expect(200);
        developer.act(&one, "enable").await.expect(200);
        let types = json!({ "event_types": ["order.failed"] });
        developer.change(&one, types).await.expect(200);
        developer.act(&other, "verify").await.expect(200);

        // Neither does another URL, or another endpoint, help.
        let change = json!({ "url": receiver.url("/elsewhere") });
        let refused = developer.change(&one, change).await.expect(429);
        assert_eq!(refused["code"], of_one);
        assert_eq!(developer.shown(&one).await["url"], receiver.url("/one"));
        let mut made = Vec::new();
        until_over("webhook_messages_limit_exceeded", async || {
            let body = json!({ "url": receiver.url("/more"), "event_types": ["*"] });
            let answer = developer.send(Method::POST, "", body).await;
            if answer.status == 201 {
                let endpoint = answer.json();
                made.push(text(&endpoint, "id"));
                let path = format!("/{}", text(&endpoint, "id"));
                developer.send(Method::DELETE, &path, json!({})).await;
            }
            answer
        })
        .await;
        assert_eq!(came("/more"), made.len());
        assert!(came("/one") + came("/other") + made.len() >= 60);
        let left = developer.get("/webhook-endpoints").await.expect(200);
        assert_eq!(left["data"].as_array().unwrap().len(), 2);

        // Other partners have theirs.
        let neighbour = world.developer().await;
        neighbour.set_up(&receiver.url("/neighbour")).await;
    }
}

/// A certificate for `localhost`, and its key, in a folder.
fn certificate(folder: &std::path::Path, name: &str) -> (Vec<u8>, Vec<u8>) {
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.crt"),
        ])
        .current_dir(folder)
        .output()
        .expect("openssl: install the package openssl");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let read = |end: &str| std::fs::read(folder.join(format!("{name}.{end}"))).unwrap();
    (read("crt"), read("key"))
}

#[actix_web::test]
async fn a_certificate_must_be_good_and_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let (good, key) = certificate(folder.path(), "good");
    let good = Receiver::start_secure(&good, &key).await;
    let (strange, key) = certificate(folder.path(), "strange");
    let strange = Receiver::start_secure(&strange, &key).await;
    let trusted = folder.path().join("good.crt");
    let settings = [LOOPBACK, ("SSL_CERT_FILE", trusted.to_str().unwrap())];
    for world in worlds_with(&settings).await {
        let developer = world.developer().await;
        let mut told = String::new();
        for (host, receiver) in [
            ("localhost", &good),
            ("localhost", &strange),
            ("127.0.0.1", &good),
        ] {
            let before = receiver.received().len();
            let url = format!("https://{host}:{}/in", receiver.port());
            let made = developer.set_up(&url).await;
            let came = receiver.received().len() - before;
            told += &format!("{}, {came} came\n", outcome(&made["challenge"]));
        }
        assert_snapshot!(told, @r"
        true - 200, 1 came
        false tls null, 0 came
        false tls null, 0 came
        ");
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
