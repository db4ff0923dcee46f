//! Orders are moved on.

use serde_json::json;

use super::{NOBODY, STILL, entries, id_of, told};
use crate::support::assert_snapshot;
use crate::support::shop::package;
use crate::support::world::{at_once, worlds, worlds_with};

#[actix_web::test]
async fn a_live_order_is_moved_on_by_who_fulfils_it() {
    for world in worlds().await {
        let operator = world.operator().await;
        let shopper = world.live_shopper().await;
        let package = operator.published(package()).await;
        let service = operator.puppet(&["orders:fulfil"]).await;
        let fulfilled = id_of(&shopper.order(&package, 1, "PO-1").await.expect(201));
        let step = |id: &str, verb: &str| format!("/orders/{id}/{verb}");
        assert_eq!(
            operator
                .puppet(&["partners:read"])
                .await
                .post(&step(&fulfilled, "prepare"), json!({}))
                .await
                .status,
            403
        );

        let early = service.post(&step(&fulfilled, "fulfil"), json!({})).await;
        assert_snapshot!(early.problem(), @r#"
        409 illegal_transition: the order is accepted; from there: preparing, cancelled, failed
          state "accepted", allowed ["preparing","cancelled","failed"]
        "#);
        service
            .post(&step(&fulfilled, "prepare"), json!({}))
            .await
            .expect(200);
        let done = service
            .post(
                &step(&fulfilled, "fulfil"),
                json!({ "reason": "sent by mail" }),
            )
            .await
            .expect(200);
        assert_eq!(
            (&done["state"], &done["partner_id"], &done["realm"]),
            (
                &json!("fulfilled"),
                &json!(shopper.who.partner_id),
                &json!("live")
            )
        );
        let refused = service.post(&step(&fulfilled, "cancel"), json!({})).await;
        assert_snapshot!(refused.problem(), @r#"
        409 illegal_transition: the order is fulfilled; from there: nothing
          state "fulfilled", allowed []
        "#);
        let shown = shopper
            .get(&format!("/orders/{fulfilled}"))
            .await
            .expect(200);
        let reached: Vec<_> = shown["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["state"].clone())
            .collect();
        assert_eq!(reached, ["accepted", "preparing", "fulfilled"]);
        assert_eq!(
            told(&world, &fulfilled),
            ["order.accepted", "order.preparing", "order.fulfilled"]
        );
        assert_eq!(
            entries(&world, &fulfilled),
            ["order partner sales 1900 EUR"]
        );

        for (nth, verb, state) in [(2, "cancel", "cancelled"), (3, "fail", "failed")] {
            let id = id_of(
                &shopper
                    .order(&package, 2, &format!("PO-{nth}"))
                    .await
                    .expect(201),
            );
            service
                .post(&step(&id, verb), json!({ "reason": "sold out" }))
                .await
                .expect(200);
            let shown = shopper.get(&format!("/orders/{id}")).await.expect(200);
            assert_eq!(
                (&shown["state"], &shown["reason"]),
                (&json!(state), &json!("sold out"))
            );
            assert_eq!(
                entries(&world, &id),
                [
                    "order partner sales 3800 EUR",
                    "refund sales partner 3800 EUR"
                ]
            );
            let corrected = world.lines(&format!(
                "SELECT c.kind AS line FROM ledger_entries e JOIN ledger_entries c ON c.id = e.corrects WHERE e.order_id = '{id}'"
            ));
            assert_eq!(corrected, ["order"]);
            assert_eq!(
                told(&world, &id),
                ["order.accepted".to_owned(), format!("order.{state}")]
            );
        }
        for verb in ["prepare", "fulfil", "fail", "cancel"] {
            assert_eq!(
                service.post(&step(NOBODY, verb), json!({})).await.status,
                404
            );
            assert_eq!(
                service
                    .post(&step(&fulfilled, verb), json!({ "reason": 7 }))
                    .await
                    .status,
                422
            );
        }
    }
}

#[actix_web::test]
async fn two_who_move_an_order_on_at_once_do_so_once() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        for round in 0..5 {
            let id = id_of(
                &shopper
                    .order(&package, 1, &format!("PO-{round}"))
                    .await
                    .expect(201),
            );
            let verbs = ["cancel", "fail", "cancel", "fail", "cancel", "fail"];
            let requests =
                verbs.map(|verb| operator.posting(&format!("/orders/{id}/{verb}"), &json!({})));
            let answers = at_once(requests).await;
            let done = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!(done, 1);
            assert!(
                answers
                    .iter()
                    .all(|answer| matches!(answer.status, 200 | 409))
            );
            assert_eq!(entries(&world, &id).len(), 2);
            assert_eq!(told(&world, &id).len(), 2);
        }
    }
}

#[actix_web::test]
async fn the_sandbox_plays_what_the_reference_asks_for() {
    for world in worlds().await {
        let neighbour = world.neighbour().await;
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let place =
            async |reference: &str| id_of(&shopper.order(&package, 1, reference).await.expect(201));
        let (usual, fails) = (place("PO-1").await, place("SIM-fail-1").await);
        let (cancels, delayed) = (place("sim-cancel").await, place("sim-delay").await);
        let failed = shopper.wait_for(&fails, "failed").await;
        assert_eq!(failed["reason"], "simulated failure");
        shopper.wait_for(&usual, "fulfilled").await;
        shopper.wait_for(&cancels, "cancelled").await;
        assert_eq!(
            told(&world, &usual),
            ["order.accepted", "order.preparing", "order.fulfilled"]
        );
        assert_eq!(
            told(&world, &fails),
            ["order.accepted", "order.preparing", "order.failed"]
        );
        assert_eq!(entries(&world, &cancels).len(), 2);
        let waits = world.lines(&format!(
            "SELECT state AS line FROM orders WHERE id = '{delayed}' AND simulate_at > created_at"
        ));
        assert_eq!(waits, ["accepted"]);
        // Its minute is over sooner where the clock is told so.
        world.execute(&format!(
            "UPDATE orders SET simulate_at = created_at WHERE id = '{delayed}'"
        ));
        shopper.wait_for(&delayed, "fulfilled").await;
        drop(neighbour);
    }
}

#[actix_web::test]
async fn operators_deal_with_orders_from_the_command_line() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let one = id_of(&shopper.order(&package, 1, "PO-1").await.expect(201));
        let other = id_of(&shopper.order(&package, 2, "PO-2").await.expect(201));
        assert_eq!(
            world.cli(&["order", "prepare", &one, "--field", "state"]),
            "preparing"
        );
        assert_eq!(
            world.cli(&["order", "fulfil", &one, "--field", "state"]),
            "fulfilled"
        );
        assert_eq!(
            world.run(&["order", "cancel", &other]).status.code(),
            Some(2),
            "wants --yes"
        );
        assert_eq!(
            world.cli(&[
                "order", "cancel", &other, "--reason", "sold out", "--yes", "--field", "reason"
            ]),
            "sold out"
        );
        let refused = world.run(&["order", "fail", &one, "--yes"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("illegal_transition"));
        assert!(world.cli(&["order", "show", &one]).contains("PO-1"));
        assert!(world.cli(&["order", "list"]).contains("3800 EUR"));
        let cancelled = [
            "order",
            "list",
            "--state",
            "cancelled",
            "--realm",
            "sandbox",
            "--partner",
            &shopper.who.partner_id,
            "--field",
            "id",
        ];
        assert_eq!(world.cli(&cancelled), other);
    }
}
