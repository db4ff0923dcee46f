//! Events reach endpoints: signed, in order, again where they failed, and never where they must not.

mod late;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::receiver::{Behaviour, LOOPBACK};
use crate::support::shop::{order, package};
use crate::support::subscriber::{SCOPES, seq_of};
use crate::support::world::{World, worlds_with};

fn moment(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// Which nodes deliver to endpoints.
fn holders(world: &World) -> BTreeSet<String> {
    let query =
        "SELECT COALESCE(lease_owner, '-') AS line FROM webhook_endpoints WHERE state = 'active'";
    world.lines(query).into_iter().collect()
}

#[actix_web::test]
async fn what_happens_reaches_who_asked_for_it_signed_and_on_record() {
    for world in worlds_with(&[LOOPBACK]).await {
        let operator = world.operator().await;
        let mut scopes = SCOPES.to_vec();
        scopes.extend(["orders:create", "orders:read"]);
        let who = world.sandbox_client(&scopes).await;
        let shopper = world.shopper_as("sandbox", who.clone()).await;
        let all = world
            .subscriber_as(who.clone(), shopper.token.clone(), &["*"])
            .await;
        let some = world
            .subscriber_as(who, shopper.token.clone(), &["order.fulfilled"])
            .await;
        let package = operator.published(package()).await;
        let placed = shopper
            .order_under("\"k\"", &order(&package, 1, "PO-1"))
            .await
            .expect(201);
        let fulfilled = shopper
            .wait_for(placed["id"].as_str().unwrap(), "fulfilled")
            .await;

        let received = all.wait_for(1..=3).await;
        let kinds: Vec<_> = received.iter().map(|one| one.kind()).collect();
        assert_eq!(
            kinds,
            ["order.accepted", "order.preparing", "order.fulfilled"]
        );
        for (nth, message) in received.iter().enumerate() {
            assert_eq!(message.verify(&all.secret), Ok(()));
            let body = message.json();
            assert_eq!(
                (&body["id"], &body["seq"], &body["env"]),
                (&json!(message.id()), &json!(nth + 1), &json!("sandbox"))
            );
            assert_eq!(body["data"]["order_id"], fulfilled["id"]);
            assert_eq!(body.get("replay"), None);
        }
        let received = some.wait_for([3]).await;
        assert_eq!(some.came(), [3]);
        assert_eq!(received[0].verify(&some.secret), Ok(()));
        assert!(received[0].verify(&all.secret).is_err());

        let listed = all.wait_for_state(&world, 3, "succeeded", 1).await;
        let attempt = &listed["attempts"][0];
        assert_eq!(
            (&attempt["class"], &attempt["status"], &attempt["address"]),
            (&Value::Null, &json!(200), &json!("127.0.0.1"))
        );
        assert_eq!(listed["event_id"], received[0].id());
        some.wait_for_state(&world, 3, "succeeded", 1).await;
        assert_eq!(some.deliveries(&world, "").await.len(), 1);
        // A page at a time.
        let mut seqs = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!(
                "/sandbox/v1/webhook-endpoints/{}/deliveries?limit=1{cursor}",
                all.id
            );
            let page = world.get(&path, Some(&all.token)).await.expect(200);
            seqs.push(page["data"][0]["seq"].as_i64().unwrap());
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seqs, [3, 2, 1]);
        assert_eq!(
            all.deliveries(&world, "&state=exhausted").await,
            [] as [Value; 0]
        );
    }
}

#[actix_web::test]
async fn what_fails_is_tried_eight_times_and_holds_nothing_up() {
    const WAITS: [f64; 7] = [5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0];
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        one.receiver.behave(Behaviour::Status(500));
        world.tell(&one.who.partner_id, 1);
        let mut ids = BTreeSet::new();
        for (nth, wait) in WAITS.iter().enumerate() {
            let failed = one.wait_for_state(&world, 1, "retrying", nth + 1).await;
            let attempt = &failed["attempts"][nth];
            assert_eq!(
                (&attempt["class"], &attempt["status"]),
                (&json!("status"), &json!(500))
            );
            let next = moment(&failed["next_attempt_at"]) - moment(&attempt["at"]);
            let share = next.as_seconds_f64() / wait;
            assert!((0.79..1.25).contains(&share), "{nth}: {failed}");
            if nth == 2 {
                // What comes behind does not wait for it.
                one.receiver.behave(Behaviour::Good);
                world.tell(&one.who.partner_id, 1);
                one.wait_for([2]).await;
                one.wait_for_state(&world, 2, "succeeded", 1).await;
                assert_eq!(one.endpoint(&world).await["failing_since"], Value::Null);
                one.receiver.behave(Behaviour::Status(500));
            }
            world.let_retries_come(&one.id);
        }
        let last = one.wait_for_state(&world, 1, "exhausted", 8).await;
        assert_eq!(last["next_attempt_at"], Value::Null);
        let received = one.receiver.deliveries();
        let first: Vec<_> = received.iter().filter(|one| seq_of(one) == 1).collect();
        assert_eq!(first.len(), 8);
        for message in &first {
            ids.insert((message.id().to_owned(), message.body.clone()));
            assert_eq!(message.verify(&one.secret), Ok(()));
        }
        // The id and the text stay; each attempt is signed at its own time.
        assert_eq!(ids.len(), 1);
        // It was the only thing that failed, and is not tried any more.
        world.let_retries_come(&one.id);
        one.receiver.behave(Behaviour::Good);
        world.tell(&one.who.partner_id, 1);
        one.wait_for([3]).await;
        assert_eq!(one.receiver.deliveries().len(), 10);
    }
}

#[actix_web::test]
async fn a_receiver_may_ask_to_be_left_alone() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        one.receiver.behave(Behaviour::Busy(503, 3600));
        world.tell(&one.who.partner_id, 1);
        let failed = one.wait_for_state(&world, 1, "retrying", 1).await;
        let wait = moment(&failed["next_attempt_at"]) - moment(&failed["attempts"][0]["at"]);
        assert!((3590..3700).contains(&wait.num_seconds()), "{failed}");
    }
}

#[actix_web::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    for world in worlds_with(&[LOOPBACK]).await {
        let (one, other) = (world.subscriber().await, world.subscriber().await);
        one.receiver
            .behave(Behaviour::Redirect(other.receiver.url("/caught")));
        world.tell(&one.who.partner_id, 1);
        let failed = one.wait_for_state(&world, 1, "retrying", 1).await;
        assert_eq!(failed["attempts"][0]["status"], 307);
        assert_eq!(other.came(), [] as [i64; 0]);
    }
}

#[actix_web::test]
async fn one_that_is_gone_is_disabled_at_once_and_the_partner_is_told() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        let other = world
            .subscriber_as(
                one.who.clone(),
                one.token.clone(),
                &["webhook_endpoint.disabled"],
            )
            .await;
        one.receiver.behave(Behaviour::Status(500));
        world.tell(&one.who.partner_id, 1);
        one.wait_for_state(&world, 1, "retrying", 1).await;
        one.receiver.behave(Behaviour::Status(410));
        world.tell(&one.who.partner_id, 1);
        let told = other.wait_for([3]).await;
        assert_eq!(told[0].kind(), "webhook_endpoint.disabled");
        let data = &told[0].json()["data"];
        assert_eq!(data["reason"], "gone", "{data}");
        let endpoint = one.endpoint(&world).await;
        assert_eq!(
            (&endpoint["state"], &endpoint["disabled_reason"]),
            (&json!("disabled"), &json!("gone"))
        );
        // Nothing is tried there any more.
        for seq in [1, 2] {
            one.wait_for_state(&world, seq, "cancelled", 1).await;
        }
        let audited = world.lines(&format!(
            "SELECT actor || ' ' || details AS line FROM audit_events \
             WHERE action = 'webhook_endpoint.disabled' AND target = '{}'",
            one.id
        ));
        assert_eq!(audited, [r#"policy {"reason":"gone"}"#]);
        // What happens meanwhile is kept, and follows once it is enabled.
        one.receiver.behave(Behaviour::Good);
        one.post(
            &world,
            &format!("/webhook-endpoints/{}/enable", one.id),
            json!({}),
        )
        .await
        .expect(200);
        one.wait_for([3]).await;
        assert_eq!(other.came(), [3]);
    }
}

#[actix_web::test]
async fn after_five_days_of_failure_and_three_warnings_an_endpoint_is_disabled() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        one.receiver.behave(Behaviour::Status(500));
        let percents = || {
            world.lines(&format!(
                "SELECT details AS line FROM audit_events WHERE action = 'webhook_endpoint.failing' \
                 AND target = '{}' ORDER BY at",
                one.id
            ))
        };
        world.tell(&one.who.partner_id, 1);
        one.wait_for_state(&world, 1, "retrying", 1).await;
        assert_ne!(one.endpoint(&world).await["failing_since"], Value::Null);
        let failing_for = |hours: i64| {
            let since = Utc::now() - chrono::TimeDelta::hours(hours);
            let since = since.format("%Y-%m-%d %H:%M:%S");
            world.execute(&format!(
                "UPDATE webhook_endpoints SET failing_since = '{since}' WHERE id = '{}'",
                one.id
            ));
            world.let_retries_come(&one.id);
        };
        let mut attempts = 1;
        for (hours, warned) in [(59, 0), (61, 1), (70, 1), (85, 2), (109, 3)] {
            failing_for(hours);
            attempts += 1;
            one.wait_for_state(&world, 1, "retrying", attempts).await;
            assert_eq!(percents().len(), warned, "after {hours} hours");
        }
        assert_eq!(
            percents(),
            [
                r#"{"percent":50}"#,
                r#"{"percent":70}"#,
                r#"{"percent":90}"#
            ]
        );
        failing_for(121);
        one.wait_for_state(&world, 1, "cancelled", attempts + 1)
            .await;
        let endpoint = one.endpoint(&world).await;
        assert_eq!(
            (&endpoint["state"], &endpoint["disabled_reason"]),
            (&json!("disabled"), &json!("failing"))
        );
        // Enabled, it begins with a clean record, and gets back what it missed by asking for it.
        one.receiver.behave(Behaviour::Good);
        one.post(
            &world,
            &format!("/webhook-endpoints/{}/enable", one.id),
            json!({}),
        )
        .await
        .expect(200);
        assert_eq!(one.endpoint(&world).await["failing_since"], Value::Null);
        let replay = one
            .replay(&world, json!({ "only": "failed" }))
            .await
            .expect(201);
        assert_eq!(replay["count"], 1);
        let done = one
            .wait_for_replay(&world, replay["id"].as_str().unwrap(), "completed")
            .await;
        assert_eq!(done["succeeded"], 1);
    }
}

#[actix_web::test]
async fn nothing_is_sent_for_a_partner_that_is_suspended() {
    for world in worlds_with(&[LOOPBACK]).await {
        let (one, other) = (world.subscriber().await, world.subscriber().await);
        let operator = world.operator().await;
        let suspended = format!("/partners/{}/suspend", one.who.partner_id);
        operator
            .post(&suspended, json!({ "reason": "x" }))
            .await
            .expect(200);
        let before = one.receiver.deliveries().len();
        world.tell(&one.who.partner_id, 3);
        // Whoever looks for what the other is told would have found this, too.
        for _ in 0..5 {
            let told = world.tell(&other.who.partner_id, 1);
            other.wait_for(told).await;
        }
        assert_eq!(one.receiver.deliveries().len(), before);
        let resumed = format!("/partners/{}/resume", one.who.partner_id);
        operator
            .post(&resumed, json!({ "reason": "x" }))
            .await
            .expect(200);
        one.wait_for(1..=3).await;
    }
}

#[actix_web::test]
async fn what_is_disabled_or_deleted_by_the_partner_is_sent_nothing() {
    for world in worlds_with(&[LOOPBACK]).await {
        let (one, gone, other) = (
            world.subscriber().await,
            world.subscriber().await,
            world.subscriber().await,
        );
        one.post(
            &world,
            &format!("/webhook-endpoints/{}/disable", one.id),
            json!({}),
        )
        .await
        .expect(200);
        let path = format!("/sandbox/v1/webhook-endpoints/{}", gone.id);
        let deleted = world
            .request(Method::DELETE, &path)
            .bearer_auth(&gone.token);
        assert_eq!(deleted.send().await.unwrap().status(), 204);
        // The partner was told of the first; of more than that, nothing is sent.
        world.tell(&one.who.partner_id, 3);
        world.tell(&gone.who.partner_id, 3);
        for _ in 0..5 {
            let told = world.tell(&other.who.partner_id, 1);
            other.wait_for(told).await;
        }
        assert_eq!((one.came(), gone.came()), (vec![], vec![]));
        let path = format!("{path}/deliveries");
        assert_eq!(world.get(&path, Some(&gone.token)).await.status, 404);
    }
}

#[actix_web::test]
async fn one_that_hangs_gets_its_share_in_order_and_delays_nobody() {
    for world in worlds_with(&[LOOPBACK]).await {
        let hanging = world.subscriber().await;
        hanging.receiver.behave(Behaviour::Hang);
        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(world.subscriber().await);
        }
        world.tell(&hanging.who.partner_id, 200);
        hanging.wait_for(1..=8).await;
        for one in &others {
            world.tell(&one.who.partner_id, 100);
        }
        for one in &others {
            one.wait_for(1..=100).await;
        }
        // In the order of their numbers, as many as may be on their way at once.
        let came: BTreeSet<i64> = hanging.came().into_iter().take(8).collect();
        assert!(came.iter().copied().eq(1..=8), "{came:?}");
        // They time out and are tried again; what is behind them goes on.
        let failed = hanging.wait_for_state(&world, 1, "retrying", 1).await;
        assert_eq!(failed["attempts"][0]["class"], "timeout");
        assert_eq!(failed["attempts"][0]["status"], Value::Null);
        hanging.receiver.behave(Behaviour::Good);
        let left = format!(
            "SELECT CAST(200 - COUNT(*) AS TEXT) AS line FROM webhook_deliveries \
             WHERE endpoint_id = '{}' AND state = 'succeeded'",
            hanging.id
        );
        let deadline = std::time::Instant::now() + Duration::from_secs(120);
        while world.lines(&left) != ["0"] {
            assert!(
                std::time::Instant::now() < deadline,
                "{:?} are left",
                world.lines(&left)
            );
            world.let_retries_come(&hanging.id);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        hanging.wait_for(1..=200).await;
    }
}

#[actix_web::test]
async fn more_endpoints_are_served_than_would_fill_a_node_if_each_took_its_share() {
    const EACH: usize = 20;
    for world in worlds_with(&[LOOPBACK]).await {
        let mut partners = Vec::new();
        for _ in 0..3 {
            let one = world.subscriber().await;
            // All that a partner may have.
            for nth in 1..EACH {
                let url = one.receiver.url(&format!("/{nth}"));
                world.endpoint("sandbox", &one.token, &url, &["*"]).await;
            }
            partners.push(one);
        }
        for one in &partners {
            world.tell(&one.who.partner_id, 2);
        }
        for one in &partners {
            let came = one.receiver.wait_for(2 * EACH).await;
            let paths: BTreeSet<_> = came.iter().map(|message| message.path.clone()).collect();
            assert_eq!(paths.len(), EACH);
        }
    }
}

#[actix_web::test]
async fn two_nodes_share_the_endpoints_and_either_takes_over() {
    for mut world in worlds_with(&[LOOPBACK]).await {
        let mut other = world.neighbour_with(&[LOOPBACK]).await;
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(world.subscriber().await);
        }
        // Both deliver: each has its share.
        let shared =
            "SELECT CAST(COUNT(DISTINCT lease_owner) AS TEXT) AS line FROM webhook_endpoints";
        world.wait_until(shared, "2").await;
        for one in &all {
            world.tell(&one.who.partner_id, 50);
        }
        for one in &all {
            one.wait_for(1..=50).await;
            let came = one.came();
            assert_eq!(came.len(), 50, "{}: something came twice", one.id);
        }
        assert!(!holders(&world).contains("-"));
        // The killed node's endpoints are taken over once its claims have ended.
        other.kill();
        for one in &all {
            world.tell(&one.who.partner_id, 50);
        }
        for one in &all {
            one.wait_for(51..=100).await;
        }
        assert_eq!(holders(&world).len(), 1);
        // One that is asked to end gives its endpoints back.
        other.start().await;
        world.wait_until(shared, "2").await;
        assert_eq!(world.terminate(), Some(0));
        for one in &all {
            world.tell(&one.who.partner_id, 10);
        }
        for one in &all {
            one.wait_for(101..=110).await;
        }
    }
}

#[actix_web::test]
async fn one_that_is_asked_to_end_gives_back_what_a_receiver_holds_up() {
    for mut world in worlds_with(&[LOOPBACK, ("ONYX_DRAIN_DELAY", "0")]).await {
        let one = world.subscriber().await;
        one.receiver.behave(Behaviour::Hang);
        world.tell(&one.who.partner_id, 1);
        one.receiver.wait_for(1).await;
        assert_eq!(world.terminate(), Some(0));
        let held = "SELECT COALESCE(lease_owner, '-') AS line FROM webhook_endpoints";
        assert_eq!(world.lines(held), ["-"]);
        assert_eq!(
            world.lines("SELECT node AS line FROM webhook_workers"),
            [""; 0]
        );
    }
}

#[actix_web::test]
async fn a_secret_that_takes_over_signs_beside_the_one_before_it() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        let path = format!("/webhook-endpoints/{}/rotate-secret", one.id);
        let rotated = one.post(&world, &path, json!({})).await.expect(201);
        // What was signed a moment ago was signed with the old one alone.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            let told = world.tell(&one.who.partner_id, 1);
            let received = one.wait_for(told).await;
            let last = received.last().unwrap();
            assert_eq!(last.verify(&one.secret), Ok(()));
            if last.verify(rotated["secret"].as_str().unwrap()).is_ok() {
                break;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "never signed with the new one"
            );
        }
    }
}

#[actix_web::test]
async fn a_claim_that_a_clock_left_in_the_future_holds_nothing_up() {
    for mut world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        world.tell(&one.who.partner_id, 1);
        one.wait_for([1]).await;
        world.kill();
        // As a process leaves it that was killed while its clock was years ahead.
        let later = crate::support::world::days_away(1000);
        world.execute(&format!(
            "UPDATE webhook_endpoints SET lease_owner = 'ghost', lease_until = '{later}'"
        ));
        world.execute("DELETE FROM webhook_workers");
        world.execute(&format!(
            "INSERT INTO webhook_workers (node, alive_until) VALUES ('ghost', '{later}')"
        ));
        world.execute(&format!("UPDATE nodes SET heartbeat_at = '{later}'"));
        world.tell(&one.who.partner_id, 1);
        world.start().await;
        one.wait_for([2]).await;
        world.wait_for_sample("onyx_nodes", 1.0).await;
    }
}
