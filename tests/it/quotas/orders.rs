//! Quotas of orders and of spend.

use serde_json::json;

use super::{STILL, left, of_orders, refusal, statuses, until_told};
use crate::support::shop::{fresh_key, order, package, package_with};
use crate::support::world::{at_once, worlds_with};

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
