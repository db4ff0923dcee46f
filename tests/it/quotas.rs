//! Quotas: how much a partner may use on a day and in a month, counted durably and never exceeded.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::shop::{fresh_key, order, package, package_with};
use crate::support::world::{Answer, World, at_once, worlds, worlds_with};

/// No simulator: orders of the sandbox stay where they are put.
const STILL: [(&str, &str); 1] = [("ONYX_ROLES", "auth,admin,api")];
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// A refusal for a quota: its code, and that it says when to come again.
fn refusal(answer: &Answer) -> String {
    assert_eq!(answer.status, 429, "{}", answer.text);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=31 * 86_400).contains(&wait), "{wait}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    assert_eq!(body["type"], QUOTA_EXCEEDED);
    body["code"].as_str().unwrap().to_owned()
}

/// What `/me` says is left of a limit.
fn left(me: &Value, limit: &str) -> Option<(u64, u64)> {
    let left = me["limits"]["left"].as_array().unwrap();
    let of = left.iter().find(|one| one["limit"] == limit)?;
    Some((
        of["remaining"].as_u64().unwrap(),
        of["quota"].as_u64().unwrap(),
    ))
}

/// The counters that orders have moved.
fn of_orders(world: &World, partner: &str) -> Vec<String> {
    let mut counters = world.counters(partner);
    counters.retain(|line| line.starts_with("orders") || line.starts_with("spend"));
    counters
}

fn statuses(answers: &[Answer], status: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

#[actix_web::test]
async fn a_quota_of_requests_is_told_counted_and_kept() {
    for world in worlds().await {
        let operator = world.operator().await;
        let (one, other) = (world.shopper().await, world.shopper().await);
        let partner = &one.who.partner_id;
        let quotas = json!({ "requests_per_day": 5, "requests_per_month": 1000 });
        operator.allow(partner, "enforce", quotas).await;
        for used in 1..=5 {
            let answer = one.get("/me").await;
            let me = answer.expect(200);
            assert_eq!(left(&me, "requests_per_day"), Some((5 - used, 5)));
            assert_eq!(left(&me, "requests_per_month"), Some((1000 - used, 1000)));
            assert_eq!(left(&me, "orders_per_day"), None);
            assert!(
                answer
                    .header("ratelimit-policy")
                    .contains("\"requests_per_day\";q=5;w=86400")
            );
            let told = format!("\"requests_per_day\";r={};t=", 5 - used);
            assert!(
                answer.header("ratelimit").starts_with(&told),
                "{:?}",
                answer.headers
            );
        }
        for _ in 0..3 {
            let refused = one.get("/me").await;
            assert_eq!(refusal(&refused), "requests_per_day_exceeded");
            assert_eq!(
                refused.json()["violated-policies"],
                json!(["requests_per_day"])
            );
            assert!(
                refused
                    .header("ratelimit")
                    .starts_with("\"requests_per_day\";r=0;t=")
            );
        }
        // Neither another partner is concerned, nor the partner's tokens.
        other.get("/me").await.expect(200);
        world.token("sandbox", &one.who, &[]).await;
        // What was refused is not counted.
        world
            .wait_for_counters(partner, &["requests_per_day 5", "requests_per_month 5"])
            .await;
        // All clients of a partner share what it has.
        let second = operator.client(partner, "sandbox", &["orders:read"]).await;
        let token = world.token("sandbox", &second, &[]).await;
        let refused = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(refusal(&refused), "requests_per_day_exceeded");
        operator
            .allow(partner, "enforce", json!({ "requests_per_day": 6 }))
            .await;
        one.get("/me").await.expect(200);
        assert_eq!(refusal(&one.get("/me").await), "requests_per_day_exceeded");
    }
}

#[actix_web::test]
async fn a_quota_of_tokens_is_told_in_oauths_own_words_and_bars_no_clean_up() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let quotas = json!({ "tokens_per_month": 3 });
        operator.allow(&who.partner_id, "enforce", quotas).await;
        for _ in 0..2 {
            world.token("sandbox", &who, &[]).await;
        }
        let token = world.token("sandbox", &who, &[]).await;
        let refused = world.token_answer("sandbox", &who, &[]).await;
        let body = refused.expect(429);
        assert_eq!(body["error"], "temporarily_unavailable");
        assert_eq!(body["code"], "tokens_per_month_exceeded");
        assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
        assert!(
            refused
                .header("ratelimit")
                .starts_with("\"tokens_per_month\";r=0;t=")
        );
        // The wrong secret costs nothing, and is told nothing.
        let mut wrong = who.clone();
        wrong.secret.replace_range(20..24, "0000");
        assert_eq!(world.token_answer("sandbox", &wrong, &[]).await.status, 401);
        // A token that leaked can be revoked on any day of the month.
        let request = world.request(Method::POST, "/sandbox/oauth2/revoke");
        let request = request.basic_auth(&who.client_id, Some(&who.secret));
        let revoked = request.form(&[("token", &token)]).send().await.unwrap();
        assert_eq!(revoked.status().as_u16(), 200);
        world
            .wait_for_counters(&who.partner_id, &["tokens_per_day 3", "tokens_per_month 3"])
            .await;
    }
}

#[actix_web::test]
async fn a_restart_forgets_nothing_that_was_written_and_an_end_writes_all() {
    for mut world in worlds().await {
        let (partner, token) = {
            let shopper = world.shopper().await;
            let operator = world.operator().await;
            let quotas = json!({ "requests_per_day": 6 });
            operator
                .allow(&shopper.who.partner_id, "enforce", quotas)
                .await;
            (shopper.who.partner_id.clone(), shopper.token.clone())
        };
        for _ in 0..2 {
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        world
            .wait_for_counters(&partner, &["requests_per_day 2"])
            .await;
        world.kill();
        world.start().await;
        for _ in 0..2 {
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        // Within the second that a kill would lose.
        assert_eq!(world.terminate(), Some(0));
        assert!(
            world
                .counters(&partner)
                .contains(&"requests_per_day 4".to_owned())
        );
        world.start().await;
        for _ in 0..2 {
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        let refused = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(refusal(&refused), "requests_per_day_exceeded");
    }
}

#[actix_web::test]
async fn no_race_gets_past_a_quota_of_orders_and_a_repeated_key_costs_nothing() {
    for world in worlds_with(&STILL).await {
        let other = world.neighbour_with(&STILL).await;
        let operator = world.operator().await;
        let (shopper, package) = (world.shopper().await, operator.published(package()).await);
        let partner = shopper.who.partner_id.clone();
        let over_there = other.shopper_as("sandbox", shopper.who.clone()).await;
        let quotas = json!({ "orders_per_day": 7, "orders_per_month": 9 });
        operator.allow(&partner, "enforce", quotas).await;
        until_told(&other, &over_there.token, "orders_per_day", 7).await;

        let keys: Vec<String> = (0..24).map(|_| fresh_key()).collect();
        let orders = keys.iter().enumerate().map(|(nth, key)| {
            let node = if nth % 2 == 0 { &shopper } else { &over_there };
            node.ordering(key, &order(&package, 1, &format!("PO-{nth}")))
        });
        let answers = at_once(orders).await;
        assert_eq!(statuses(&answers, 201), 7);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!(refusal(answer), "orders_per_day_exceeded");
        }
        let placed = world.lines(&format!(
            "SELECT id AS line FROM orders WHERE partner_id = '{partner}'"
        ));
        assert_eq!(placed.len(), 7);
        assert_eq!(
            of_orders(&world, &partner),
            [
                "orders_per_day 7",
                "orders_per_month 7",
                "spend_per_month 13300"
            ]
        );
        // Asked for again, all at once: what was placed is shown, and costs nothing.
        let again = keys.iter().enumerate().zip(&answers);
        let again = again.filter(|(_, answer)| answer.status == 201);
        let again = again.map(|((nth, key), _)| {
            shopper.ordering(key, &order(&package, 1, &format!("PO-{nth}")))
        });
        let replayed = at_once(again).await;
        assert_eq!((replayed.len(), statuses(&replayed, 201)), (7, 7));
        assert!(
            world
                .counters(&partner)
                .contains(&"orders_per_day 7".to_owned())
        );

        // What was refused goes under the same key once there is room: in the month, for two.
        operator
            .allow(&partner, "enforce", json!({ "orders_per_month": 9 }))
            .await;
        let refused = keys.iter().enumerate().zip(&answers);
        let refused = refused.filter(|(_, answer)| answer.status == 429);
        let refused = refused.map(|((nth, key), _)| {
            shopper.ordering(key, &order(&package, 1, &format!("PO-{nth}")))
        });
        let answers = at_once(refused).await;
        assert_eq!((answers.len(), statuses(&answers, 201)), (17, 2));
        let answer = answers.iter().find(|answer| answer.status != 201).unwrap();
        assert_eq!(refusal(answer), "orders_per_month_exceeded");
        let me = shopper.get("/me").await.expect(200);
        assert_eq!(left(&me, "orders_per_month"), Some((0, 9)));
    }
}

/// Waits until a node has heard of a limit.
async fn until_told(world: &World, token: &str, limit: &str, quota: u64) {
    for _ in 0..200 {
        let me = world.get("/sandbox/v1/me", Some(token)).await.expect(200);
        if left(&me, limit).is_some_and(|(_, of)| of == quota) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{limit} is not {quota}");
}

#[actix_web::test]
async fn what_orders_cost_stays_below_the_ceiling_and_what_is_given_back_is_room_again() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let (shopper, cheap) = (world.shopper().await, operator.published(package()).await);
        let partner = shopper.who.partner_id.clone();
        let dollars = package_with(json!({ "price": { "amount": 1, "currency": "USD" } }));
        let dollars = operator.published(dollars).await;
        let ceiling = json!({ "spend_per_month": { "amount": 6000, "currency": "EUR" } });
        operator.allow(&partner, "enforce", ceiling).await;

        let orders = (0..8)
            .map(|nth| shopper.ordering(&fresh_key(), &order(&cheap, 1, &format!("PO-{nth}"))));
        let answers = at_once(orders).await;
        assert_eq!(statuses(&answers, 201), 3);
        let refused = answers.iter().find(|answer| answer.status != 201).unwrap();
        assert_eq!(refusal(refused), "spend_per_month_exceeded");
        let me = shopper.get("/me").await.expect(200);
        assert_eq!(left(&me, "spend_per_month"), Some((300, 6000)));
        // Euros and dollars cannot be added up: there is no room for the latter.
        let refused = shopper.order(&dollars, 1, "in-dollars").await;
        assert_eq!(refusal(&refused), "spend_per_month_exceeded");

        let placed = answers
            .iter()
            .find(|answer| answer.status == 201)
            .unwrap()
            .json();
        let cancelled = placed["id"].as_str().unwrap();
        let path = format!("/orders/{cancelled}/cancel");
        operator.post(&path, json!({})).await.expect(200);
        shopper.order(&cheap, 1, "instead").await.expect(201);
        assert_eq!(
            refusal(&shopper.order(&cheap, 1, "more").await),
            "spend_per_month_exceeded"
        );

        // A part of it given back by an operator: then two parts.
        let last = shopper
            .get("/orders/by-reference/instead")
            .await
            .expect(200);
        for (amount, fits) in [(1599, false), (1, true)] {
            let refund = json!({ "order_id": last["id"], "amount": amount, "reference": format!("r{amount}"), "reason": "late" });
            operator.post("/ledger/refunds", refund).await.expect(201);
            let answer = shopper.order(&cheap, 1, &format!("after {amount}")).await;
            assert_eq!(answer.status == 201, fits, "{}", answer.text);
        }
        assert!(
            world
                .counters(&partner)
                .contains(&"spend_per_month 6000".to_owned())
        );
        // Cancelled orders count among orders: what they bound is work.
        assert!(
            world
                .counters(&partner)
                .contains(&"orders_per_month 5".to_owned())
        );
        // The counter is what the ledger says.
        let ledger = world.lines(&format!(
            "SELECT CAST(SUM(CASE WHEN debit_account = 'partner' THEN amount ELSE -amount END) AS BIGINT) AS line \
             FROM ledger_entries WHERE partner_id = '{partner}'"
        ));
        assert_eq!(ledger, ["6000"]);
    }
}

#[actix_web::test]
async fn a_counter_that_was_not_kept_begins_with_what_is_on_record() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let (shopper, package) = (world.shopper().await, operator.published(package()).await);
        let partner = shopper.who.partner_id.clone();
        let first = shopper.order(&package, 2, "PO-1").await.expect(201);
        shopper.order(&package, 1, "PO-2").await.expect(201);
        let path = format!("/orders/{}/cancel", first["id"].as_str().unwrap());
        operator.post(&path, json!({})).await.expect(200);
        // As it was before counters were kept.
        world.execute(&format!(
            "DELETE FROM usage_counters WHERE partner_id = '{partner}'"
        ));
        let quotas = json!({ "orders_per_day": 4, "spend_per_month": { "amount": 5700, "currency": "EUR" } });
        operator.allow(&partner, "enforce", quotas).await;
        shopper.order(&package, 1, "PO-3").await.expect(201);
        assert_eq!(
            of_orders(&world, &partner),
            [
                "orders_per_day 3",
                "orders_per_month 3",
                "spend_per_month 3800"
            ]
        );
        assert_eq!(
            refusal(&shopper.order(&package, 2, "PO-4").await),
            "spend_per_month_exceeded"
        );
        shopper.order(&package, 1, "PO-5").await.expect(201);
        assert_eq!(
            refusal(&shopper.order(&package, 1, "PO-6").await),
            "orders_per_day_exceeded"
        );
    }
}

#[actix_web::test]
async fn a_partner_is_warned_once_at_four_fifths_and_once_at_the_end() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let (shopper, package) = (world.shopper().await, operator.published(package()).await);
        let partner = shopper.who.partner_id.clone();
        operator
            .allow(&partner, "enforce", json!({ "orders_per_day": 5 }))
            .await;
        for nth in 1..=3 {
            shopper
                .order(&package, 1, &format!("PO-{nth}"))
                .await
                .expect(201);
        }
        assert_eq!(world.warnings(&partner), [] as [&str; 0]);
        shopper.order(&package, 1, "PO-4").await.expect(201);
        assert_eq!(world.warnings(&partner), ["orders_per_day 80 of 5"]);
        let key = fresh_key();
        for _ in 0..2 {
            shopper
                .order_under(&key, &order(&package, 1, "PO-5"))
                .await
                .expect(201);
        }
        assert_eq!(
            refusal(&shopper.order(&package, 1, "PO-6").await),
            "orders_per_day_exceeded"
        );
        let of_orders = ["orders_per_day 80 of 5", "orders_per_day 100 of 5"];
        assert_eq!(world.warnings(&partner), of_orders);
        // More room, and a second end: of this day it was told already.
        operator
            .allow(&partner, "enforce", json!({ "orders_per_day": 6 }))
            .await;
        shopper.order(&package, 1, "PO-6").await.expect(201);
        assert_eq!(world.warnings(&partner), of_orders);

        // Requests are warned of where they are written down. Twelve were counted, of fourteen.
        operator
            .allow(&partner, "enforce", json!({ "requests_per_month": 10 }))
            .await;
        let who = world.shopper().await;
        operator
            .allow(
                &who.who.partner_id,
                "enforce",
                json!({ "requests_per_month": 10 }),
            )
            .await;
        for _ in 0..8 {
            who.get("/me").await.expect(200);
        }
        world
            .wait_for_counters(&who.who.partner_id, &["requests_per_month 8"])
            .await;
        assert_eq!(
            world.warnings(&who.who.partner_id),
            ["requests_per_month 80 of 10"]
        );
        for _ in 0..2 {
            who.get("/me").await.expect(200);
        }
        world
            .wait_for_counters(&who.who.partner_id, &["requests_per_month 10"])
            .await;
        assert_eq!(
            world.warnings(&who.who.partner_id),
            [
                "requests_per_month 80 of 10",
                "requests_per_month 100 of 10"
            ]
        );
    }
}

#[actix_web::test]
async fn in_shadow_quotas_are_counted_and_told_and_nobody_is_refused() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let (shopper, package) = (world.shopper().await, operator.published(package()).await);
        let partner = shopper.who.partner_id.clone();
        let quotas = json!({ "requests_per_day": 4, "tokens_per_day": 1, "orders_per_day": 2 });
        operator.allow(&partner, "shadow", quotas.clone()).await;
        let mut told = Vec::new();
        for nth in 1..=4 {
            let answer = shopper.order(&package, 1, &format!("PO-{nth}")).await;
            answer.expect(201);
            told.push(answer.header("onyx-shadow-limit").to_owned());
        }
        assert_eq!(
            told,
            ["", "", "orders_per_day_exceeded", "orders_per_day_exceeded"]
        );
        let answer = shopper.get("/me").await;
        let me = answer.expect(200);
        assert_eq!(
            answer.header("onyx-shadow-limit"),
            "requests_per_day_exceeded"
        );
        assert!(
            answer
                .header("ratelimit")
                .starts_with("\"requests_per_day\";r=0;t=")
        );
        assert_eq!(me["limits"]["mode"], "shadow");
        assert_eq!(left(&me, "orders_per_day"), Some((0, 2)));
        let told = world.token_answer("sandbox", &shopper.who, &[]).await;
        told.expect(200);
        assert_eq!(told.header("onyx-shadow-limit"), "tokens_per_day_exceeded");
        for (limit, count) in [
            ("orders_per_day", 2.0),
            ("requests_per_day", 1.0),
            ("tokens_per_day", 1.0),
        ] {
            let series =
                format!("onyx_limit_decisions_total{{limit=\"{limit}\",outcome=\"shadowed\"}}");
            assert_eq!(world.sample(&series).await, Some(count), "{limit}");
        }
        world
            .wait_for_counters(
                &partner,
                &["orders_per_day 4", "requests_per_day 5", "tokens_per_day 2"],
            )
            .await;
        // What was counted in the shadow counts when the limit bites.
        operator.allow(&partner, "enforce", quotas).await;
        assert_eq!(
            refusal(&shopper.get("/me").await),
            "requests_per_day_exceeded"
        );
    }
}

#[actix_web::test]
async fn what_one_node_counts_all_know_within_a_second() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let partner = shopper.who.partner_id.clone();
        operator
            .allow(&partner, "enforce", json!({ "tokens_per_day": 10 }))
            .await;
        // One token was asked for before, and is counted.
        for _ in 0..5 {
            world.token("sandbox", &shopper.who, &[]).await;
        }
        world
            .wait_for_counters(&partner, &["tokens_per_day 6"])
            .await;
        // Asked for the first time, the other reads what is on record.
        let mut given = 0;
        while other
            .token_answer("sandbox", &shopper.who, &[])
            .await
            .status
            == 200
        {
            given += 1;
        }
        // Before it has heard of the limit it counts, too.
        assert!((4..=9).contains(&given), "{given}");
        let total = format!("tokens_per_day {}", 6 + given);
        world.wait_for_counters(&partner, &[&total]).await;
        // The first knows no later than it has written down one more of its own.
        let mut late = 0;
        while world
            .token_answer("sandbox", &shopper.who, &[])
            .await
            .status
            == 200
        {
            late += 1;
            world
                .wait_for_counters(&partner, &[&format!("tokens_per_day {}", 6 + given + late)])
                .await;
        }
        assert!(late <= 2, "{late}");
    }
}

#[actix_web::test]
async fn nodes_know_of_each_other_and_one_that_ends_goes_at_once() {
    for world in worlds().await {
        let live = |world: &World| {
            world
                .lines("SELECT id AS line FROM nodes WHERE serves ORDER BY id")
                .len()
        };
        world.wait_for_sample("onyx_nodes", 1.0).await;
        let mut other = world.neighbour().await;
        let worker = world.neighbour_with(&[("ONYX_ROLES", "worker")]).await;
        world.wait_for_sample("onyx_nodes", 2.0).await;
        other.wait_for_sample("onyx_nodes", 2.0).await;
        worker.wait_for_sample("onyx_nodes", 2.0).await;
        assert_eq!(live(&world), 2);
        assert_eq!(world.lines("SELECT id AS line FROM nodes").len(), 3);
        assert_eq!(other.terminate(), Some(0));
        assert_eq!(live(&world), 1);
        world.wait_for_sample("onyx_nodes", 1.0).await;
        // One that is killed counts until it was silent for ten seconds.
        let mut third = world.neighbour().await;
        world.wait_for_sample("onyx_nodes", 2.0).await;
        third.kill();
        assert_eq!(live(&world), 2);
        world.wait_for_sample("onyx_nodes", 1.0).await;
        assert_eq!(live(&world), 2);
    }
}
