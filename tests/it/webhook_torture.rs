//! The node that delivers is killed, again and again: no event is lost, and whoever drops doubles does
//! each thing once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::receiver::LOOPBACK;
use crate::support::subscriber::{Subscriber, seq_of};
use crate::support::world::worlds_with;

/// How many nodes are killed, and how many events there are meanwhile: 10,000 where `ONYX_TORTURE` says
/// how often.
fn torture() -> (usize, usize) {
    match std::env::var("ONYX_TORTURE") {
        Ok(rounds) => (rounds.parse().unwrap(), 10_000),
        Err(_) => (6, 1_500),
    }
}

const PARTNERS: usize = 5;

/// A receiver that does what a message says once an id.
fn done(one: &Subscriber) -> (BTreeMap<String, i64>, usize) {
    let received = one.receiver.deliveries();
    let mut done = BTreeMap::new();
    for message in &received {
        assert_eq!(message.verify(&one.secret), Ok(()));
        let before = done.insert(message.id().to_owned(), seq_of(message));
        // The same id is the same event.
        assert!(before.is_none_or(|seq| seq == seq_of(message)));
    }
    (done, received.len())
}

#[actix_web::test]
async fn sigkill_loses_no_event_and_doubles_are_known_by_their_ids() {
    let (rounds, events) = torture();
    for mut world in worlds_with(&[LOOPBACK]).await {
        let mut all = Vec::new();
        for _ in 0..PARTNERS {
            all.push(world.subscriber().await);
        }
        let each = events / PARTNERS / rounds;
        for round in 0..rounds {
            for one in &all {
                world.tell(&one.who.partner_id, each);
            }
            // At another moment each time: while it reads, while it sends, while it writes down.
            tokio::time::sleep(Duration::from_millis(20 + (round as u64 * 37) % 400)).await;
            world.kill();
            world.let_claims_end();
            world.start().await;
        }
        let last = i64::try_from(each * rounds).unwrap();
        for one in &all {
            one.wait_for(1..=last).await;
        }
        for one in &all {
            world
                .wait_until(
                    &format!(
                        "SELECT CAST(cursor AS TEXT) AS line FROM webhook_endpoints WHERE id = '{}'",
                        one.id
                    ),
                    &last.to_string(),
                )
                .await;
            let (done, came) = done(one);
            let seqs: BTreeSet<i64> = done.values().copied().collect();
            assert!(seqs.iter().copied().eq(1..=last), "something is lost");
            assert_eq!(done.len(), seqs.len(), "an event under two ids");
            // As many twice as were begun and on no record, at each kill.
            assert!(came - done.len() <= rounds * 64, "{came} for {last}");
            let rows = world.lines(&format!(
                "SELECT state || ' ' || CAST(COUNT(*) AS TEXT) AS line FROM webhook_deliveries \
                 WHERE endpoint_id = '{}' GROUP BY state",
                one.id
            ));
            assert_eq!(rows, [format!("succeeded {last}")]);
        }
    }
}
