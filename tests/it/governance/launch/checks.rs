//! What a review looks at.

use serde_json::json;

use super::{checks, passed, request, review, waived};
use crate::governance::text;
use crate::support::assert_snapshot;
use crate::support::governance::COMPUTED;
use crate::support::shop::{order, package};
use crate::support::world::worlds;

#[actix_web::test]
async fn what_the_sandbox_must_show_cannot_be_passed_by_hand() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        request(&operator, &partner).await.expect(201);
        for check in COMPUTED {
            for state in ["passed", "failed"] {
                for who in [&operator, &second] {
                    let body = json!({ "state": state, "evidence": "trust me" });
                    let refused = who.check(&partner, check, body).await;
                    let problem = refused.json();
                    assert_eq!(
                        (refused.status, &problem["code"]),
                        (409, &json!("check_is_computed"))
                    );
                }
            }
        }
        let refused = second.check(&partner, "sandbox_order", passed()).await;
        assert_snapshot!(refused.problem(), @r#"
        409 check_is_computed: sandbox_order is computed from what the partner does in the sandbox; by hand it can only be waived
          state "pending", allowed ["waived"]
        "#);
        let after = review(&operator, &partner).await;
        assert!(
            checks(&after)
                .iter()
                .all(|check| check.ends_with(" pending"))
        );
    }
}

#[actix_web::test]
async fn what_a_partner_orders_in_the_sandbox_passes_checks() {
    for world in worlds().await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let partner = &shopper.who.partner_id;
        let package = operator.published(package()).await;
        request(&operator, partner).await.expect(201);
        let body = order(&package, 1, "sim-fail-1");
        let failed = shopper.order_under("k", &body).await.expect(201);
        shopper.order_under("k", &body).await.expect(201);
        let failed = text(&failed, "id");
        shopper.wait_for(&failed, "failed").await;
        let so_far = checks(&review(&operator, partner).await);
        assert_eq!(
            so_far[..2],
            ["sandbox_order pending", "idempotent_retry passed"]
        );

        let good = shopper.order(&package, 1, "PO-1").await.expect(201);
        let good = text(&good, "id");
        shopper.wait_for(&good, "fulfilled").await;
        let after = review(&operator, partner).await;
        assert_eq!(
            checks(&after),
            [
                "sandbox_order passed",
                "idempotent_retry passed",
                "webhook_verified pending",
                "billing_reconciled pending",
                "failure_recovery passed",
                "privacy_review pending",
                "support_path pending",
            ]
        );
        let evidence = |nth: usize| {
            after["checks"][nth]["evidence"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert!(evidence(0).starts_with(&format!("{good} was fulfilled at ")));
        assert!(evidence(1).starts_with(&format!("{failed} was asked for again")));
        assert!(evidence(4).starts_with(&format!("{failed} failed, and {good} was fulfilled")));
    }
}

#[actix_web::test]
async fn a_check_takes_a_known_name_a_finding_and_for_a_waiver_a_reason() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        request(&operator, &partner).await.expect(201);
        assert_eq!(
            second.check(&partner, "good_looks", waived()).await.status,
            404
        );
        let bare = second
            .check(&partner, "sandbox_order", json!({ "state": "waived" }))
            .await;
        assert_snapshot!(bare.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason invalid: a waiver must say why
        ");
        let bad = second
            .check(
                &partner,
                "support_path",
                json!({ "state": "pending", "note": "x" }),
            )
            .await;
        assert_snapshot!(bad.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /state invalid: must be one of passed, failed, waived
          /note unknown: is not a member of this request
        ");
        let path = format!("/partners/{partner}/launch-review/decide");
        let bad = second.post(&path, json!({ "decision": "maybe" })).await;
        assert_snapshot!(bad.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /decision invalid: must be one of approve, reject
          /reason missing: must be there
        ");
        let after = review(&operator, &partner).await;
        assert!(
            checks(&after)
                .iter()
                .all(|check| check.ends_with(" pending"))
        );
    }
}
