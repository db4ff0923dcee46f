//! What a replay means while others are on their way, whose turn it is, and how it ends with its partner.

use serde_json::json;

use crate::support::receiver::{Behaviour, LOOPBACK};
use crate::support::world::worlds_with;

const CURSOR: &str = "SELECT CAST(cursor AS TEXT) AS line FROM webhook_endpoints";

#[actix_web::test]
async fn what_failed_above_one_that_is_on_its_way_is_meant() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        one.receiver.behave(Behaviour::Hang);
        world.tell(&one.who.partner_id, 1);
        one.receiver.wait_for(1).await;
        one.receiver.behave(Behaviour::Status(500));
        world.tell(&one.who.partner_id, 2);
        for seq in [2, 3] {
            one.wait_for_state(&world, seq, "retrying", 1).await;
        }
        // The first one holds the cursor.
        assert_eq!(world.lines(CURSOR), ["0"]);
        for (only, count) in [("failed", 2), ("all", 2), ("missing", 0)] {
            let body = json!({ "only": only, "dry_run": true });
            let counted = one.replay(&world, body).await.expect(201);
            assert_eq!(counted["count"], count, "{only}");
        }
    }
}

#[actix_web::test]
async fn a_replay_that_runs_goes_on_before_one_that_was_counted_earlier() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        world.tell(&one.who.partner_id, 40);
        one.wait_for(1..=40).await;
        world.wait_until(CURSOR, "40").await;
        let counted = one.replay(&world, json!({ "dry_run": true })).await;
        let counted = counted.expect(201)["id"].as_str().unwrap().to_owned();
        let running = one.replay(&world, json!({})).await.expect(201);
        let running = running["id"].as_str().unwrap();
        one.receiver.wait_for(44).await;
        let run = format!("/replays/{counted}/run");
        one.post(&world, &run, json!({})).await.expect(200);
        for id in [running, counted.as_str()] {
            one.wait_for_replay(&world, id, "completed").await;
        }
        let came: Vec<_> = one.receiver.deliveries()[40..]
            .iter()
            .map(|message| message.json()["replay"]["id"].clone())
            .collect();
        // One after the other, and nothing twice.
        assert_eq!(came.len(), 80);
        assert!(came[..40].iter().all(|id| id == running), "{came:?}");
        assert!(came[40..].iter().all(|id| *id == counted), "{came:?}");
    }
}

#[actix_web::test]
async fn a_partner_that_is_let_go_leaves_no_replay_behind() {
    for world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber().await;
        world.tell(&one.who.partner_id, 200);
        one.wait_for(1..=200).await;
        world.wait_until(CURSOR, "200").await;
        for dry_run in [true, false] {
            let body = json!({ "dry_run": dry_run });
            one.replay(&world, body).await.expect(201);
        }
        let operator = world.operator().await;
        for verb in ["suspend", "offboard"] {
            let path = format!("/partners/{}/{verb}", one.who.partner_id);
            let reason = json!({ "reason": "they asked for it" });
            operator.post(&path, reason).await.expect(200);
        }
        let states = "SELECT state AS line FROM webhook_replays";
        assert_eq!(world.lines(states), ["cancelled", "cancelled"]);
        let audited = "SELECT action AS line FROM audit_events WHERE action = 'replay.cancelled'";
        assert_eq!(world.lines(audited).len(), 2);
    }
}
