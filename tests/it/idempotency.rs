//! A request that is sent again is executed once.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::shop::{Shopper, fresh_key, order, package};
use crate::support::world::{Answer, Engine, World, at_once, worlds, worlds_with};

/// No simulator, and no sweep.
const STILL: [(&str, &str); 1] = [("ONYX_ROLES", "auth,admin,api")];

/// What a retry must see again, byte for byte.
fn kept(answer: &Answer) -> (u16, String, String, String) {
    let header = |name: &str| answer.header(name).to_owned();
    (
        answer.status,
        answer.text.clone(),
        header("content-type"),
        header("location"),
    )
}

fn count(world: &World, table: &str) -> usize {
    world
        .lines(&format!("SELECT '' AS line FROM {table}"))
        .len()
}

async fn keyless(shopper: &Shopper<'_>, keys: &[&str], body: &Value) -> Answer {
    let mut request = shopper.request(Method::POST, "/orders").json(body);
    for key in keys {
        request = request.header("idempotency-key", *key);
    }
    Answer::of(request.send().await.unwrap()).await
}

#[actix_web::test]
async fn the_same_request_is_the_same_answer_and_one_order() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let body = order(&package, 2, "PO-1");
        let first = shopper.order_under("\"k-1\"", &body).await;
        assert_eq!(first.status, 201);
        assert_eq!(first.header("idempotent-replayed"), "");
        let again = shopper.order_under("\"k-1\"", &body).await;
        assert_eq!(kept(&again), kept(&first));
        assert_eq!(again.header("idempotent-replayed"), "true");

        // Without quotes, with other white space and another order of members: the same still.
        let text = format!(
            "\n{{ \"partner_order_ref\": \"PO\\u002d1\", \"quantity\": 2,\t\"package_id\": \"{package}\" }} "
        );
        let request = shopper
            .request(Method::POST, "/orders")
            .header("idempotency-key", "k-1");
        let request = request
            .header("content-type", "application/json; charset=utf-8")
            .body(text);
        let again = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(kept(&again), kept(&first));

        let other = shopper
            .order_under("k-1", &order(&package, 3, "PO-1"))
            .await;
        assert_snapshot!(other.problem(), @"422 idempotency_key_reused: this Idempotency-Key was used for another request; a new request needs a new key");
        for table in [
            "orders",
            "order_events",
            "ledger_entries",
            "idempotency_keys",
        ] {
            assert_eq!(count(&world, table), 1, "{table}");
        }
        assert_eq!(count(&world, "events"), 1);
        // Even once the package is gone and the order has moved on.
        operator
            .post(&format!("/packages/{package}/withdraw"), json!({}))
            .await
            .expect(200);
        let id = first.json()["id"].as_str().unwrap().to_owned();
        operator
            .post(&format!("/orders/{id}/cancel"), json!({}))
            .await
            .expect(200);
        assert_eq!(kept(&shopper.order_under("k-1", &body).await), kept(&first));
    }
}

#[actix_web::test]
async fn a_key_is_the_partner_s_whatever_its_credential_and_whichever_node() {
    for mut world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let package = operator.published(package()).await;
        let body = order(&package, 1, "PO-1");
        let (first, who) = {
            let shopper = world.shopper().await;
            (shopper.order_under("k", &body).await, shopper.who.clone())
        };
        assert_eq!(first.status, 201);

        // Another token, another secret, another client of the partner's.
        let rotated = operator
            .post(
                &format!("/credentials/{}/rotate", who.credential_id),
                json!({ "overlap_seconds": 0 }),
            )
            .await
            .expect(201);
        let mut with_new = who.clone();
        with_new.secret = rotated["secret"].as_str().unwrap().to_owned();
        let second = operator
            .client(&who.partner_id, "sandbox", &["orders:create"])
            .await;
        for who in [&with_new, &second] {
            let shopper = world.shopper_as("sandbox", who.clone()).await;
            let again = shopper.order_under("k", &body).await;
            assert_eq!(
                (kept(&again), again.header("idempotent-replayed")),
                (kept(&first), "true")
            );
        }
        // Another node, and another life.
        let neighbour = world.neighbour().await;
        let there = neighbour.shopper_as("sandbox", with_new.clone()).await;
        assert_eq!(kept(&there.order_under("k", &body).await), kept(&first));
        world.kill();
        world.start().await;
        let shopper = world.shopper_as("sandbox", with_new).await;
        assert_eq!(kept(&shopper.order_under("k", &body).await), kept(&first));

        // Of another partner, it is another key; so it is in live.
        let other = world.shopper().await;
        let theirs = other.order_under("k", &body).await.expect(201);
        assert_ne!(theirs["id"], first.json()["id"]);
        let live = world.live_shopper().await;
        assert_ne!(
            live.order_under("k", &body).await.expect(201)["id"],
            first.json()["id"]
        );
        assert_eq!(count(&world, "orders"), 3);
    }
}

#[actix_web::test]
async fn scope_and_revocation_come_before_a_stored_answer() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let body = order(&package, 1, "PO-1");
        shopper.order_under("k", &body).await.expect(201);
        let narrow = operator
            .client(&shopper.who.partner_id, "sandbox", &["orders:read"])
            .await;
        let narrow = world.shopper_as("sandbox", narrow).await;
        assert_eq!(narrow.order_under("k", &body).await.status, 403);
        operator
            .revoke(&shopper.who.credential_id)
            .await
            .expect(200);
        assert_eq!(shopper.order_under("k", &body).await.status, 401);
    }
}

#[actix_web::test]
async fn refusals_are_not_kept() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        for bad in [
            order(&package, 0, "PO-1"),
            order("pkg_01ARZ3NDEKTSV4RRFFQ69G5FAV", 1, "PO-1"),
        ] {
            assert_eq!(shopper.order_under("k", &bad).await.status, 422);
        }
        assert_eq!(count(&world, "idempotency_keys"), 0);
        shopper
            .order_under("k", &order(&package, 1, "PO-1"))
            .await
            .expect(201);
        assert_eq!(
            shopper
                .order_under("other", &order(&package, 1, "PO-1"))
                .await
                .status,
            409
        );
        assert_eq!(count(&world, "idempotency_keys"), 1);
    }
}

#[actix_web::test]
async fn a_key_is_one_text_of_up_to_255_characters() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let body = order(&package, 1, "PO-1");
        let refused = keyless(&shopper, &[], &body).await;
        assert_snapshot!(refused.problem(), @"400 idempotency_key_missing: send an Idempotency-Key of your own making, such as a UUID, and the same one when you ask again");
        let long = "k".repeat(256);
        for keys in [
            vec![""],
            vec!["\"\""],
            vec![&long],
            vec!["\"open"],
            vec!["a b"],
            vec!["a", "a"],
            vec!["a, b"],
            vec!["\u{e4}"],
        ] {
            let answer = keyless(&shopper, &keys, &body).await;
            assert_snapshot!(answer.problem(), @"400 idempotency_key_invalid: Idempotency-Key must be one text of 1 to 255 characters in double quotes, or one such word without");
        }
        assert_eq!(count(&world, "orders"), 0);
        let longest = format!("\"{}\"", "k".repeat(255));
        keyless(&shopper, &[&longest], &body).await.expect(201);
        keyless(&shopper, &[&longest[1..256]], &body)
            .await
            .expect(201);
        assert_eq!(count(&world, "orders"), 1);
    }
}

#[actix_web::test]
async fn a_crowd_under_one_key_makes_one_order() {
    for world in worlds_with(&STILL).await {
        let neighbour = world.neighbour().await;
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let there = neighbour.shopper_as("sandbox", shopper.who.clone()).await;
        let package = operator.published(package()).await;
        for round in 0..5 {
            let (key, body) = (fresh_key(), order(&package, 1, &format!("PO-{round}")));
            let requests: Vec<_> = (0..16)
                .map(|nth| if nth % 2 == 0 { &shopper } else { &there }.ordering(&key, &body))
                .collect();
            let answers = at_once(requests).await;
            let first = answers
                .iter()
                .find(|answer| answer.status == 201)
                .expect("one is answered");
            for answer in &answers {
                match answer.status {
                    201 => assert_eq!(kept(answer), kept(first)),
                    _ => {
                        assert_eq!(answer.header("retry-after"), "1");
                        assert_snapshot!(answer.problem(), @"409 idempotency_in_progress: a request with this Idempotency-Key is still running; ask again");
                    }
                }
            }
            let executed = answers
                .iter()
                .filter(|a| a.status == 201 && a.header("idempotent-replayed").is_empty());
            assert_eq!(executed.count(), 1);
            assert_eq!(count(&world, "orders"), round + 1);
        }
    }
}

#[actix_web::test]
async fn a_request_that_runs_elsewhere_is_said_to_run() {
    for world in worlds_with(&STILL).await {
        if world.engine != Engine::Postgres {
            // SQLite has one writer at a time: whoever comes second waits, and finds the answer.
            continue;
        }
        let neighbour = world.neighbour().await;
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let body = order(&package, 1, "PO-1");
        // The first cannot go on while somebody holds the table of orders.
        let schema = world.lines("SELECT current_schema() AS line")[0].clone();
        let holder = std::thread::spawn({
            let url = world.database_url();
            move || {
                let hold = format!(
                    "BEGIN; LOCK TABLE {schema}.orders IN EXCLUSIVE MODE; SELECT pg_sleep(2.5); COMMIT;"
                );
                let held = std::process::Command::new("psql")
                    .args(["-q", "-d", &url, "-c", &hold])
                    .output();
                assert!(held.unwrap().status.success());
            }
        });
        let waiting =
            "SELECT COUNT(*) AS line FROM pg_locks WHERE locktype = 'advisory' AND granted";
        let locks = "SELECT COUNT(*) AS line FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
            WHERE c.relname = 'orders' AND l.mode = 'ExclusiveLock' AND l.granted";
        while world.lines(locks) == ["0"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before: usize = world.lines(waiting)[0].parse().unwrap();
        let sent = shopper.ordering("k", &body).send();
        let first = actix_web::rt::spawn(async { Answer::of(sent.await.unwrap()).await });
        let deadline = std::time::Instant::now() + Duration::from_secs(2);
        while world.lines(waiting)[0].parse::<usize>().unwrap() <= before
            && std::time::Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let there = neighbour.shopper_as("sandbox", shopper.who.clone()).await;
        let second = there.order_under("k", &body).await;
        assert_eq!(second.status, 409, "{}", second.text);
        let first = first.await.unwrap();
        assert_eq!(first.status, 201);
        holder.join().unwrap();
        assert_eq!(kept(&there.order_under("k", &body).await), kept(&first));
    }
}

#[actix_web::test]
async fn an_answer_is_kept_for_a_day_and_the_reference_for_ever() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let package = operator.published(package()).await;
        let shopper = world.live_shopper().await;
        let body = order(&package, 1, "PO-1");
        let first = shopper.order_under("k", &body).await.expect(201);
        let who = shopper.who.clone();
        let aged = |hours: i64| {
            let then = chrono::Utc::now() - chrono::TimeDelta::hours(hours);
            then.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
        };
        world.execute(&format!(
            "UPDATE idempotency_keys SET created_at = '{}'",
            aged(23)
        ));
        assert_eq!(
            shopper
                .order_under("k", &body)
                .await
                .header("idempotent-replayed"),
            "true"
        );
        world.execute(&format!(
            "UPDATE idempotency_keys SET created_at = '{}'",
            aged(25)
        ));
        let late = shopper.order_under("k", &body).await;
        assert_eq!(
            (late.status, &late.json()["existing_order_id"]),
            (409, &first["id"])
        );
        // The key is free for another order by then, and the old answer is swept away at the latest by a start.
        world.kill();
        world.start().await;
        for _ in 0..100 {
            if count(&world, "idempotency_keys") == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(count(&world, "idempotency_keys"), 0);
        let shopper = world.shopper_as("live", who).await;
        shopper
            .order_under("k", &order(&package, 1, "PO-2"))
            .await
            .expect(201);
    }
}

#[actix_web::test]
async fn nothing_that_is_kept_is_a_secret() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        shopper
            .order_under("a-telling-key", &order(&package, 1, "PO-1"))
            .await
            .expect(201);
        let rows = world.lines("SELECT operation || key_hash || fingerprint || headers || body AS line FROM idempotency_keys");
        let kept = rows.join("\n");
        for secret in [&shopper.token, &shopper.who.secret, "a-telling-key"] {
            assert!(!kept.contains(secret), "{kept}");
        }
        assert!(kept.contains("location") && kept.contains("PO-1"));
    }
}

#[actix_web::test]
async fn the_request_log_says_what_became_of_a_key() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let body = order(&package, 1, "PO-1");
        let placed = shopper.order_under("k", &body).await.expect(201);
        shopper.order_under("k", &body).await.expect(201);
        let other = shopper.order_under("k", &order(&package, 2, "PO-1")).await;
        assert_eq!(other.status, 422);
        let path = format!("/requests?partner_id={}", shopper.who.partner_id);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let rows = loop {
            let list = operator.get(&path).await.expect(200);
            let rows = list["data"].as_array().unwrap().clone();
            if rows.len() >= 3 {
                break rows;
            }
            assert!(std::time::Instant::now() < deadline, "{list}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let mut said: Vec<_> = rows
            .iter()
            .map(|row| (row["idempotency"].clone(), row["order_id"].clone()))
            .collect();
        said.sort_by_key(|(outcome, _)| outcome.to_string());
        let id = &placed["id"];
        assert_eq!(
            said,
            [
                (json!("executed"), id.clone()),
                (json!("mismatch"), Value::Null),
                (json!("replayed"), id.clone()),
            ]
        );
    }
}
