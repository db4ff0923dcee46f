//! The cases that operators see.

use serde_json::json;

use super::{actions, all_done, lines, report, reports, reviews};
use crate::support::assert_snapshot;
use crate::support::world::worlds;

#[actix_web::test]
async fn a_secret_that_is_reported_again_opens_no_second_case_until_the_first_is_closed() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        for _ in 0..2 {
            report(&world, &[&who.secret]).await;
            all_done(&operator).await;
        }
        let taken: Vec<_> = reports(&operator)
            .await
            .iter()
            .map(|r| r["matches"][0]["action"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(taken, ["revoked", "already_revoked"]);
        let of_partner = format!("partner_id={}&kind=leak", who.partner_id);
        let open = reviews(&operator, &of_partner).await;
        assert_eq!(open.len(), 1);
        assert_eq!(open[0]["pointer"], *who.credential_id);

        let close = format!("/reviews/{}/close", open[0]["id"].as_str().unwrap());
        let refused = operator.post(&close, json!({})).await;
        assert_snapshot!(refused.problem(), @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason missing: must be there
        ");
        let closed = operator
            .post(
                &close,
                json!({ "reason": "rotated, the repository is gone" }),
            )
            .await
            .expect(200);
        assert_eq!(
            [
                &closed["state"],
                &closed["closed_reason"],
                &closed["closed_by"]
            ],
            [
                "closed",
                "rotated, the repository is gone",
                &world.operator_credential().client_id
            ]
        );
        let refused = operator.post(&close, json!({ "reason": "again" })).await;
        assert_snapshot!(refused.problem(), @r#"
        409 illegal_transition: the review is closed; from there: nothing
          state "closed", allowed []
        "#);
        let unknown = "/reviews/rvw_01ARZ3NDEKTSV4RRFFQ69G5FAV/close";
        assert_eq!(
            operator
                .post(unknown, json!({ "reason": "x" }))
                .await
                .status,
            404
        );
        assert_eq!(
            actions(&world, open[0]["id"].as_str().unwrap()),
            ["review.closed", "review.opened"]
        );

        report(&world, &[&who.secret]).await;
        all_done(&operator).await;
        let all = reviews(&operator, &of_partner).await;
        assert_eq!(
            all.iter()
                .map(|r| r["state"].as_str().unwrap())
                .collect::<Vec<_>>(),
            ["closed", "open"]
        );
        assert_eq!(reviews(&operator, "state=open").await.len(), 1);
        assert_eq!(reviews(&operator, "kind=related_partner").await.len(), 0);
        assert_eq!(operator.get("/reviews?state=odd").await.status, 400);
        // Revoked by one, told as leaked by the report after: the partner hears of each case once.
        let told = lines(&world, "events", "kind", "ORDER BY seq");
        assert_eq!(told, ["credential.revoked", "credential.revoked"]);
    }
}

#[actix_web::test]
async fn a_secret_that_was_revoked_before_is_a_case_all_the_same() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let unused = json!({ "reason": "unused" });
        operator
            .post(
                &format!("/credentials/{}/revoke", who.credential_id),
                unused,
            )
            .await
            .expect(200);
        report(&world, &[&who.secret]).await;
        all_done(&operator).await;
        assert_eq!(
            reports(&operator).await[0]["matches"][0]["action"],
            "already_revoked"
        );
        assert_eq!(reviews(&operator, "state=open&kind=leak").await.len(), 1);
        let kept = lines(
            &world,
            "credentials",
            "revoked_reason",
            &format!("WHERE id = '{}'", who.credential_id),
        );
        assert_eq!(kept, ["unused"]);
    }
}

#[actix_web::test]
async fn only_operators_for_security_see_reviews_and_reports() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "name": "clerk", "scopes": ["partners:read"] });
        let clerk = operator.post("/operators", body).await.expect(201);
        let clerk = operator.issue(clerk["id"].as_str().unwrap()).await;
        let token = world.token("admin", &clerk, &[]).await;
        for path in ["/reviews", "/leak-reports"] {
            let path = format!("/admin/v1{path}");
            assert_eq!(world.get(&path, Some(&token)).await.status, 403);
            assert_eq!(world.get(&path, None).await.status, 401);
        }
    }
}
