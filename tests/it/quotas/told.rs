//! Who is warned, and of what.

use serde_json::json;

use super::{STILL, left, refusal};
use crate::support::shop::{fresh_key, order, package};
use crate::support::world::worlds_with;

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
