//! Who decides, and what then.

use serde_json::{Value, json};

use super::{checks, passed, request, review, waived};
use crate::governance::{illegal, text, trail, who};
use crate::support::assert_snapshot;
use crate::support::governance::{ATTESTED, COMPUTED};
use crate::support::world::{Operator, worlds};

#[actix_web::test]
async fn a_launch_review_is_submitted_by_itself_and_decided_once() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let none = operator
            .get(&format!("/partners/{partner}/launch-review"))
            .await;
        assert_snapshot!(none.problem(), @"404 not_found: there is nothing at this path");
        for answer in [
            second.check(&partner, "support_path", waived()).await,
            second.decide_launch(&partner, "approve").await,
        ] {
            assert_eq!(answer.status, 404, "there is no review yet");
        }

        let asked = request(&operator, &partner).await.expect(201);
        let id = text(&asked, "id");
        assert!(id.starts_with("lnr_"));
        assert_eq!(asked["state"], "draft");
        let all: Vec<_> = COMPUTED.iter().chain(&ATTESTED).collect();
        let pending: Vec<_> = all.iter().map(|check| format!("{check} pending")).collect();
        assert_eq!(checks(&asked), pending);
        assert_eq!(review(&operator, &partner).await, asked);
        let another = request(&second, &partner).await;
        assert_eq!(
            (another.status, &another.json()["code"]),
            (409, &json!("launch_review_open"))
        );
        for decision in ["approve", "reject"] {
            let early = second.decide_launch(&partner, decision).await;
            assert_eq!(illegal(&early), r#""draft" to ["submitted"]"#);
        }

        for check in COMPUTED {
            second.check(&partner, check, waived()).await.expect(200);
        }
        let one = operator
            .check(&partner, "privacy_review", passed())
            .await
            .expect(200);
        assert_eq!(
            (&one["state"], &one["submitted_at"]),
            (&json!("draft"), &Value::Null)
        );
        let attested = &one["checks"][5];
        assert_eq!(
            (
                &attested["settled_by"],
                &attested["evidence"],
                &attested["computed"]
            ),
            (
                &json!(who(&operator)),
                &json!("filed as PR-7"),
                &json!(false)
            )
        );
        let last = second
            .check(&partner, "support_path", waived())
            .await
            .expect(200);
        assert_eq!(last["state"], "submitted");
        assert_ne!(last["submitted_at"], Value::Null);
        let waiver = &last["checks"][0];
        assert_eq!(
            (
                &waiver["settled_by"],
                &waiver["reason"],
                &waiver["computed"]
            ),
            (
                &json!(who(&second)),
                &json!("not in this version"),
                &json!(true)
            )
        );

        let approved = second.decide_launch(&partner, "approve").await.expect(200);
        assert_eq!(
            (
                &approved["state"],
                &approved["decided_by"],
                &approved["reason"]
            ),
            (&json!("approved"), &json!(who(&second)), &json!("seen"))
        );
        for decision in ["approve", "reject"] {
            let late = second.decide_launch(&partner, decision).await;
            assert_eq!(illegal(&late), r#""approved" to []"#);
        }
        for check in all {
            let late = second.check(&partner, check, waived()).await;
            assert!(illegal(&late).ends_with(" to []"));
        }
        let mut done: Vec<_> = trail(&world, &id)
            .iter()
            .map(|line| {
                line.split(" {")
                    .next()
                    .unwrap()
                    .replace(&who(&operator), "first")
                    .replace(&who(&second), "second")
            })
            .collect();
        // The last check and what follows from it are one change, in no order.
        let mut at_once: Vec<_> = done.drain(7..9).collect();
        at_once.sort();
        assert_eq!(
            at_once,
            [
                "launch_check.settled second",
                "launch_review.submitted policy"
            ]
        );
        assert_snapshot!(done.join("\n"), @"
        launch_review.requested first
        launch_check.settled second
        launch_check.settled second
        launch_check.settled second
        launch_check.settled second
        launch_check.settled second
        launch_check.settled first
        launch_review.approved second
        ");
    }
}

#[actix_web::test]
async fn a_review_with_a_failed_check_can_only_be_rejected_and_another_follows() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let first = request(&operator, &partner).await.expect(201);
        for check in COMPUTED {
            second.check(&partner, check, waived()).await.expect(200);
        }
        operator
            .check(&partner, "support_path", passed())
            .await
            .expect(200);
        let failed = json!({ "state": "failed", "reason": "nobody answers the phone" });
        let failed = operator
            .check(&partner, "privacy_review", failed)
            .await
            .expect(200);
        assert_eq!(failed["state"], "submitted", "nothing is pending any more");

        let refused = second.decide_launch(&partner, "approve").await;
        assert_snapshot!(refused.problem(), @r#"
        409 check_failed: failed: privacy_review; reject this review, and ask for another once that is mended
          state "submitted", allowed ["rejected"]
        "#);
        let rejected = second.decide_launch(&partner, "reject").await.expect(200);
        assert_eq!(rejected["state"], "rejected");
        assert_eq!(
            illegal(&second.decide_launch(&partner, "approve").await),
            r#""rejected" to []"#
        );

        operator.submitted_review(&second, &partner).await;
        let next = second.decide_launch(&partner, "approve").await.expect(200);
        assert_ne!(next["id"], first["id"]);
        assert_eq!(next["state"], "approved");
        let earlier = next["earlier"].as_array().unwrap();
        assert_eq!(earlier.len(), 1);
        assert_eq!(
            (&earlier[0]["id"], &earlier[0]["state"]),
            (&first["id"], &json!("rejected"))
        );
    }
}

#[actix_web::test]
async fn a_partner_that_is_not_approved_gets_no_launch_review() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator
            .post(
                &format!("/partners/{partner}/suspend"),
                json!({ "reason": "x" }),
            )
            .await
            .expect(200);
        let refused = request(&operator, &partner).await;
        assert_snapshot!(refused.problem(), @"409 partner_not_approved: the partner is suspended; it must be approved first");
        let nobody = request(&operator, "ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV").await;
        assert_eq!(nobody.status, 404);
    }
}

#[actix_web::test]
async fn who_asks_for_a_review_neither_waives_nor_decides_and_no_puppet_does() {
    for world in worlds().await {
        let (boss, second) = (world.operator().await, world.second_operator().await);
        let partner = boss.partner().await;
        let body = json!({ "name": "puppet", "scopes": ["grants:decide", "governance:write"] });
        let made = text(&boss.post("/operators", body).await.expect(201), "id");
        let puppet = second.issue(&made).await;
        let puppet = Operator {
            world: &world,
            token: world.token("admin", &puppet, &[]).await,
        };
        request(&boss, &partner).await.expect(201);
        // The one it was made by asked; the other gave it its secret.
        for (who, told) in [
            (&boss, "who asked does not decide"),
            (&puppet, "a third must decide"),
        ] {
            for check in ["sandbox_order", "privacy_review"] {
                let refused = who.check(&partner, check, waived()).await;
                let problem = refused.json();
                assert_eq!(
                    (refused.status, &problem["code"]),
                    (403, &json!("four_eyes"))
                );
                assert!(text(&problem, "detail").contains(told), "{problem}");
            }
        }
        assert!(
            checks(&review(&boss, &partner).await)
                .iter()
                .all(|check| check.ends_with(" pending"))
        );

        for check in COMPUTED {
            second.check(&partner, check, waived()).await.expect(200);
        }
        for check in ATTESTED {
            boss.check(&partner, check, passed()).await.expect(200);
        }
        for decision in ["approve", "reject"] {
            for who in [&boss, &puppet] {
                let refused = who.decide_launch(&partner, decision).await;
                assert_eq!(
                    (refused.status, &refused.json()["code"]),
                    (403, &json!("four_eyes"))
                );
            }
        }
        assert_eq!(review(&boss, &partner).await["state"], "submitted");
        second.decide_launch(&partner, "reject").await.expect(200);

        // The other way round: what the puppet asks for, neither its maker nor its issuer decides.
        request(&puppet, &partner).await.expect(201);
        for who in [&boss, &second] {
            assert_eq!(
                who.check(&partner, "sandbox_order", waived()).await.status,
                403
            );
        }
        let third = world.second_operator().await;
        third
            .check(&partner, "sandbox_order", waived())
            .await
            .expect(200);
    }
}

#[actix_web::test]
async fn the_database_refuses_what_the_code_refuses() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        operator.submitted_review(&second, &partner).await;
        let id = text(&review(&operator, &partner).await, "id");
        let (asker, other) = (who(&operator), who(&second));
        let of_review = |set: &str| format!("UPDATE launch_reviews SET {set} WHERE id = '{id}'");
        let of_check = |set: &str| {
            format!(
                "UPDATE launch_checks SET {set} WHERE review_id = '{id}' AND name = 'privacy_review'"
            )
        };
        for statement in [
            // Decided by who asked, by nobody, or while it says to be open.
            of_review(&format!("state = 'approved', decided_by = '{asker}'")),
            of_review("state = 'approved'"),
            of_review(&format!("decided_by = '{other}'")),
            of_review("state = 'draft'"),
            of_review("state = 'waived'"),
            // Waived by who asked, or without a reason, or by nobody.
            of_check(&format!("state = 'waived', reason = 'x', settled_by = '{asker}'")),
            of_check(&format!("state = 'waived', reason = NULL, settled_by = '{other}'")),
            of_check("settled_by = NULL"),
            of_check("state = 'pending'"),
            // A second open review.
            format!("INSERT INTO launch_reviews (id, partner_id, state, requested_by, requested_at)
                VALUES ('lnr_x', '{partner}', 'draft', 'x', '2026-01-01 00:00:00')"),
            // A notice in force beside another.
            format!("INSERT INTO privacy_notices (id, partner_id, requests, purpose, retention, how_to_revoke, support_contact, recorded_by, recorded_at)
                SELECT 'pvn_' || n, '{partner}', 'x', 'x', 'x', 'x', 'x', 'x', '2026-01-01 00:00:00' FROM (SELECT 1 AS n UNION SELECT 2) AS two"),
        ] {
            let told = world.refused_by_database(&statement).to_ascii_lowercase();
            assert!(told.contains("constraint"), "{statement}: {told}");
        }
        world.execute(&of_check(&format!(
            "state = 'waived', reason = 'x', settled_by = '{other}'"
        )));
        world.execute(&of_review(&format!(
            "state = 'approved', decided_by = '{other}'"
        )));
    }
}

#[actix_web::test]
async fn a_review_that_is_asked_for_anew_takes_nothing_away_until_it_is_rejected() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        operator.ready_for_live(&second, &partner).await;
        let asked = operator.request_grant(&partner, "live", "orders:read", None);
        let path = format!(
            "/scope-grants/{}/approve",
            text(&asked.await.expect(201), "id")
        );
        second
            .post(&path, json!({ "reason": "agreed" }))
            .await
            .expect(200);
        let client = json!({ "realm": "live", "name": "backend", "scopes": ["orders:read"] });
        let made = async || {
            let path = format!("/partners/{partner}/clients");
            operator.post(&path, client.clone()).await
        };
        made().await.expect(201);
        request(&operator, &partner).await.expect(201);
        made().await.expect(201);
        for check in COMPUTED {
            second.check(&partner, check, waived()).await.expect(200);
        }
        let failed = json!({ "state": "failed", "reason": "nobody answers the phone" });
        for check in ATTESTED {
            operator
                .check(&partner, check, failed.clone())
                .await
                .expect(200);
        }
        made().await.expect(201);
        second.decide_launch(&partner, "reject").await.expect(200);
        let refused = made().await.expect(409);
        assert_eq!(refused["code"], "not_ready_for_live");
    }
}
