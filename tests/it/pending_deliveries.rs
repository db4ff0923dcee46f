//! What was not tried yet is told apart from what was, also while a receiver holds one message up.

use serde_json::{Value, json};

use crate::support::receiver::{Behaviour, LOOPBACK};
use crate::support::subscriber::Subscriber;
use crate::support::world::{World, worlds_with};

fn seqs(rows: &[Value]) -> Vec<i64> {
    rows.iter()
        .map(|row| row["seq"].as_i64().unwrap())
        .collect()
}

async fn in_state(one: &Subscriber, world: &World, state: &str) -> Vec<i64> {
    let rows = one.deliveries(world, &format!("&state={state}")).await;
    assert!(rows.iter().all(|row| row["state"] == state), "{rows:#?}");
    seqs(&rows)
}

/// The pages of a list, as many rows on each as may be.
async fn pages(one: &Subscriber, world: &World, query: &str) -> Vec<Vec<i64>> {
    let list = format!(
        "/sandbox/v1/webhook-endpoints/{}/deliveries?{query}",
        one.id
    );
    let (mut pages, mut path) = (Vec::new(), list.clone());
    loop {
        let page = world.get(&path, Some(&one.token)).await.expect(200);
        pages.push(seqs(page["data"].as_array().unwrap()));
        let Some(next) = page["next_cursor"].as_str() else {
            return pages;
        };
        path = format!("{list}&cursor={next}");
    }
}

#[actix_web::test]
async fn what_is_pending_was_not_tried_whatever_stands_above_it() {
    for mut world in worlds_with(&[LOOPBACK]).await {
        let one = world.subscriber_to(&["order.accepted"]).await;
        one.receiver.behave(Behaviour::Hang);
        world.tell(&one.who.partner_id, 1);
        one.wait_for([1]).await;
        // Those behind it are on record before it is.
        one.receiver.behave(Behaviour::Good);
        world.tell(&one.who.partner_id, 5);
        for seq in 2..=6 {
            one.wait_for_state(&world, seq, "succeeded", 1).await;
        }
        // From here on nothing is sent, and nobody waits for the first one any more.
        let disable = format!("/webhook-endpoints/{}/disable", one.id);
        one.post(&world, &disable, json!({})).await.expect(200);
        world.kill();
        let later: Vec<i64> = world.tell(&one.who.partner_id, 4).rev().collect();
        world.start().await;

        let untried = [&later[..], &[1]].concat();
        let succeeded: [i64; 5] = [6, 5, 4, 3, 2];
        assert_eq!(in_state(&one, &world, "pending").await, untried);
        assert_eq!(in_state(&one, &world, "succeeded").await, succeeded);
        for none in ["retrying", "exhausted", "cancelled"] {
            assert_eq!(in_state(&one, &world, none).await, [] as [i64; 0], "{none}");
        }
        let all = [&later[..], &succeeded, &[1]].concat();
        assert_eq!(seqs(&one.deliveries(&world, "").await), all);

        // A page is full where there are rows for it, whatever lies between them.
        for limit in 1..=5 {
            for (query, rows) in [("state=pending&", &untried), ("", &all)] {
                let by: Vec<Vec<i64>> = rows.chunks(limit).map(<[i64]>::to_vec).collect();
                let query = format!("{query}limit={limit}");
                assert_eq!(pages(&one, &world, &query).await, by, "{query}");
            }
        }
        // Of one event alone.
        for (seq, pending) in [(1, vec![1]), (4, vec![])] {
            let id = world.lines(&format!(
                "SELECT id AS line FROM events WHERE partner_id = '{}' AND seq = {seq}",
                one.who.partner_id
            ));
            let of_one = one
                .deliveries(&world, &format!("&state=pending&event_id={}", id[0]))
                .await;
            assert_eq!(seqs(&of_one), pending);
        }
    }
}
