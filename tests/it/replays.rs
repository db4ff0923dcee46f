//! Replays: events are sent to an endpoint again, and change nothing else.

mod turns;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::receiver::{Behaviour, LOOPBACK};
use crate::support::shop::bare;
use crate::support::subscriber::{SCOPES, seq_of};
use crate::support::world::{Answer, worlds_with};

#[actix_web::test]
async fn events_are_sent_again_under_their_ids_with_a_marker() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        world.tell(&one.who.partner_id, 5);
        let first = one.wait_for(1..=5).await;
        one.wait_for_state(&world, 5, "succeeded", 1).await;
        let path = format!("/webhook-endpoints/{}/rotate-secret", one.id);
        let rotated = one
            .post(&world, &path, json!({ "overlap_seconds": 0 }))
            .await
            .expect(201);

        let previewed = one.replay(&world, json!({ "dry_run": true })).await;
        let location = previewed.header("location").to_owned();
        let previewed = previewed.expect(201);
        let id = previewed["id"].as_str().unwrap().to_owned();
        assert!(id.starts_with("rpl_") && location.ends_with(&id));
        assert_eq!(
            (&previewed["state"], &previewed["count"]),
            (&json!("previewed"), &json!(5))
        );
        assert_eq!(one.receiver.deliveries().len(), 5);
        // Under a key it is asked for once.
        let ask = async || {
            let body = json!({ "endpoint_id": one.id, "only": "all", "dry_run": true });
            let request = world.request(reqwest::Method::POST, "/sandbox/v1/replays");
            let request = request
                .bearer_auth(&one.token)
                .header("idempotency-key", "again");
            Answer::of(request.json(&body).send().await.unwrap()).await
        };
        let (kept, again) = (ask().await, ask().await);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(kept.expect(201), again.expect(201));

        let running = one
            .post(&world, &format!("/replays/{id}/run"), json!({}))
            .await
            .expect(200);
        assert_eq!(running["state"], "running");
        let done = one.wait_for_replay(&world, &id, "completed").await;
        assert_eq!(
            (&done["succeeded"], &done["failed"], &done["retrying"]),
            (&json!(5), &json!(0), &json!(0))
        );
        let all = one.receiver.deliveries();
        assert_eq!(all.len(), 10);
        let again: Vec<_> = all[5..].iter().collect();
        let ids = |messages: &[&crate::support::receiver::Received]| -> BTreeSet<(i64, String)> {
            messages
                .iter()
                .map(|one| (seq_of(one), one.id().to_owned()))
                .collect()
        };
        assert_eq!(ids(&again), ids(&first.iter().collect::<Vec<_>>()));
        for message in &again {
            let mut body = message.json();
            assert_eq!(body["replay"], json!({ "id": id }));
            // Under the current secret, and under that alone.
            assert_eq!(message.verify(rotated["secret"].as_str().unwrap()), Ok(()));
            assert!(message.verify(&one.secret).is_err());
            // But for the marker it is the same.
            let before = first.iter().find(|one| one.id() == message.id()).unwrap();
            body.as_object_mut().unwrap().remove("replay");
            assert_eq!(body, before.json());
        }
        // It is over.
        for step in ["run", "cancel"] {
            let refused = one
                .post(&world, &format!("/replays/{id}/{step}"), json!({}))
                .await;
            assert_eq!(refused.status, 409);
            assert!(
                refused
                    .problem()
                    .ends_with("state \"completed\", allowed []"),
                "{}",
                refused.problem()
            );
        }
        let listed = one.deliveries(&world, "").await;
        assert_eq!(listed.len(), 10);
        assert_eq!(
            listed
                .iter()
                .filter(|one| one["replay_id"] == id.as_str())
                .count(),
            5
        );
        let audited = world.lines(&format!(
            "SELECT action AS line FROM audit_events WHERE target = '{id}' ORDER BY at"
        ));
        assert_eq!(audited, ["replay.started", "replay.completed"]);
    }
}

#[actix_web::test]
async fn a_replay_means_what_failed_what_is_missing_or_all_of_some_time_and_types() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber_to(&["invoice.paid"]).await;
        // Never asked for.
        world.tell(&one.who.partner_id, 3);
        let passed = "SELECT CAST(cursor AS TEXT) AS line FROM webhook_endpoints";
        world.wait_until(passed, "3").await;
        let path = format!("/sandbox/v1/webhook-endpoints/{}", one.id);
        let all = json!({ "event_types": ["*"] });
        let changed = world
            .request(reqwest::Method::PATCH, &path)
            .bearer_auth(&one.token)
            .json(&all);
        assert_eq!(changed.send().await.unwrap().status(), 200);
        // What fails, and what arrives.
        one.receiver.behave(Behaviour::Status(500));
        world.tell(&one.who.partner_id, 2);
        for seq in [4, 5] {
            one.wait_for_state(&world, seq, "retrying", 1).await;
        }
        one.receiver.behave(Behaviour::Good);
        world.tell(&one.who.partner_id, 4);
        one.wait_for_state(&world, 9, "succeeded", 1).await;

        let count = async |members: Value| {
            let mut body = members;
            body["dry_run"] = true.into();
            one.replay(&world, body).await.expect(201)["count"].clone()
        };
        assert_eq!(count(json!({ "only": "missing" })).await, 3);
        assert_eq!(count(json!({ "only": "failed" })).await, 2);
        assert_eq!(count(json!({})).await, 9);
        assert_eq!(count(json!({ "event_types": ["order.accepted"] })).await, 9);
        assert_eq!(count(json!({ "event_types": ["invoice.paid"] })).await, 0);
        assert_eq!(count(json!({ "to": "2026-01-01T00:00:00Z" })).await, 0);
        assert_eq!(count(json!({ "from": "2026-01-01T00:00:00Z" })).await, 9);

        let missing = one
            .replay(&world, json!({ "only": "missing" }))
            .await
            .expect(201);
        one.wait_for_replay(&world, missing["id"].as_str().unwrap(), "completed")
            .await;
        one.wait_for(1..=3).await;
        let failed = one
            .replay(&world, json!({ "only": "failed" }))
            .await
            .expect(201);
        one.wait_for_replay(&world, failed["id"].as_str().unwrap(), "completed")
            .await;
        one.wait_for(4..=5).await;
        // What a replay has brought is neither missing nor failed.
        assert_eq!(count(json!({ "only": "missing" })).await, 0);
        assert_eq!(count(json!({ "only": "failed" })).await, 0);
    }
}

#[actix_web::test]
async fn a_replay_that_is_called_off_sends_nothing_more_and_harms_no_endpoint() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        world.tell(&one.who.partner_id, 300);
        one.wait_for(1..=300).await;
        one.wait_for_state(&world, 300, "succeeded", 1).await;
        world
            .wait_until(
                "SELECT CAST(cursor AS TEXT) AS line FROM webhook_endpoints",
                "300",
            )
            .await;
        one.receiver.behave(Behaviour::Status(500));
        let replay = one.replay(&world, json!({})).await.expect(201);
        let id = replay["id"].as_str().unwrap();
        assert_eq!(
            (&replay["state"], &replay["count"]),
            (&json!("running"), &json!(300))
        );
        let rows = format!(
            "SELECT CASE WHEN COUNT(*) > 0 THEN 'some' ELSE 'none' END AS line FROM webhook_deliveries \
             WHERE replay_id = '{id}' AND state = 'retrying'"
        );
        world.wait_until(&rows, "some").await;
        // Whatever it meets, the endpoint is as well as before.
        assert_eq!(one.endpoint(&world).await["failing_since"], Value::Null);
        let cancelled = one
            .post(&world, &format!("/replays/{id}/cancel"), json!({}))
            .await
            .expect(200);
        assert_eq!(
            (&cancelled["state"], &cancelled["retrying"]),
            (&json!("cancelled"), &json!(0))
        );
        // What is new arrives, and of the replay at most what was on its way.
        one.receiver.behave(Behaviour::Good);
        let came = one.receiver.deliveries().len();
        let told = world.tell(&one.who.partner_id, 20);
        one.wait_for(told).await;
        world.let_retries_come(&one.id);
        let told = world.tell(&one.who.partner_id, 20);
        one.wait_for(told).await;
        let more = one.receiver.deliveries().len() - came;
        assert!((40..=44).contains(&more), "{more}");
        assert_eq!(one.endpoint(&world).await["state"], "active");
    }
}

#[actix_web::test]
async fn a_replay_goes_on_where_a_killed_node_left_it() {
    for mut world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        world.tell(&one.who.partner_id, 60);
        one.wait_for(1..=60).await;
        world
            .wait_until(
                "SELECT CAST(cursor AS TEXT) AS line FROM webhook_endpoints",
                "60",
            )
            .await;
        let replay = one.replay(&world, json!({})).await.expect(201);
        let id = replay["id"].as_str().unwrap();
        one.receiver.wait_for(75).await;
        world.kill();
        world.let_claims_end();
        world.start().await;
        one.wait_for_replay(&world, id, "completed").await;
        let replayed: Vec<_> = one
            .receiver
            .deliveries()
            .into_iter()
            .filter(|message| message.json()["replay"]["id"] == id)
            .collect();
        let seqs: BTreeSet<i64> = replayed.iter().map(seq_of).collect();
        assert!(seqs.iter().copied().eq(1..=60), "{seqs:?}");
        // It did not begin anew.
        assert!(replayed.len() < 75, "{}", replayed.len());
    }
}

#[actix_web::test]
async fn replays_are_of_ones_own_endpoints_and_of_active_ones() {
    for world in worlds_with(&[LOOPBACK]).await {
        let (one, other) = (world.subscriber().await, world.subscriber().await);
        let unknown = "whe_01K2ZJ6V9D3M5K7N2R4T6W8Y0A";
        let ask = async |endpoint: &str| {
            let body = json!({ "endpoint_id": endpoint, "only": "all", "dry_run": true });
            one.post(&world, "/replays", body).await
        };
        let theirs = ask(&other.id).await;
        assert_eq!(theirs.status, 422);
        assert_eq!(bare(&theirs), bare(&ask(unknown).await));
        let replay = other
            .replay(&world, json!({ "dry_run": true }))
            .await
            .expect(201);
        let id = replay["id"].as_str().unwrap();
        let none = "rpl_01K2ZJ6V9D3M5K7N2R4T6W8Y0A";
        for step in ["", "/run", "/cancel"] {
            let get = async |id: &str| {
                let path = format!("/replays/{id}{step}");
                if step.is_empty() {
                    world
                        .get(&format!("/sandbox/v1{path}"), Some(&one.token))
                        .await
                } else {
                    one.post(&world, &path, json!({})).await
                }
            };
            let theirs = get(id).await;
            assert_eq!(theirs.status, 404, "{step}");
            assert_eq!(bare(&theirs), bare(&get(none).await), "{step}");
        }
        one.post(
            &world,
            &format!("/webhook-endpoints/{}/disable", one.id),
            json!({}),
        )
        .await
        .expect(200);
        // It may be counted, and not be run.
        let counted = one
            .replay(&world, json!({ "dry_run": true }))
            .await
            .expect(201);
        let run = format!("/replays/{}/run", counted["id"].as_str().unwrap());
        for refused in [
            one.replay(&world, json!({})).await,
            one.post(&world, &run, json!({})).await,
        ] {
            let problem = refused.problem();
            assert!(
                problem.starts_with("409 webhook_endpoint_not_active"),
                "{problem}"
            );
        }
        let wrong = json!({
            "endpoint_id": "x", "only": "some", "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z",
            "event_types": ["order.lost"], "dry_run": 1,
        });
        let problem = one.post(&world, "/replays", wrong).await.problem();
        for pointer in ["/endpoint_id", "/only", "/to", "/event_types/0", "/dry_run"] {
            assert!(problem.contains(&format!("\n  {pointer} ")), "{problem}");
        }
        // Who may set endpoints up may not therefore have events sent again.
        let manager = world.sandbox_client(&SCOPES[1..]).await;
        let token = world.token("sandbox", &manager, &[]).await;
        let path = format!("/sandbox/v1/replays/{id}");
        assert_eq!(world.get(&path, Some(&token)).await.status, 403);
    }
}

#[actix_web::test]
async fn a_replay_ends_with_its_endpoint() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        world.tell(&one.who.partner_id, 3);
        one.wait_for(1..=3).await;
        one.receiver.behave(Behaviour::Status(500));
        let replay = one.replay(&world, json!({})).await.expect(201);
        let token = world.token("sandbox", &one.who, &[]).await;
        let path = format!("/sandbox/v1/webhook-endpoints/{}", one.id);
        let gone = world.request(Method::DELETE, &path).bearer_auth(token);
        assert_eq!(gone.send().await.unwrap().status(), 204);
        let id = replay["id"].as_str().unwrap();
        one.wait_for_replay(&world, id, "cancelled").await;
    }
}
