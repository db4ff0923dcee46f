//! Scopes that nobody uses.

use serde_json::{Value, json};

use super::{age_client, apply, count, list, recorded, scopes};
use crate::support::assert_snapshot;
use crate::support::world::{claims, days_away, worlds};

#[actix_web::test]
async fn an_unused_scope_is_recommended_for_removal_and_removed() {
    for world in worlds().await {
        let operator = world.operator().await;
        let held = ["orders:create", "orders:read", "usage:read"];
        let who = world.sandbox_client(&held).await;
        let query = format!("kind=unused_scope&partner_id={}", who.partner_id);
        // It is new: nobody can say yet what it needs.
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
        age_client(&world, &who.client_id, 100);
        count(&world, &who.client_id, 95, "orders:create", (9, 9));
        count(&world, &who.client_id, 90, "orders:read", (9, 9));
        count(&world, &who.client_id, 1, "usage:read", (9, 0));

        let found = list(&operator, &query).await;
        assert_eq!(scopes(&found), ["orders:create", "usage:read"]);
        let (first, second) = (&found[0], &found[1]);
        assert_eq!(first["kind"], "unused_scope");
        assert_eq!(first["apply"], "narrow_client");
        assert_eq!(first["client_id"], who.client_id);
        assert_eq!(first["realm"], "sandbox");
        let (day, made) = (&days_away(-95)[..10], &days_away(-100)[..10]);
        assert_eq!(
            first["reason"],
            format!("the client holds orders:create and has not used it since {day}")
        );
        assert_eq!(
            second["reason"],
            format!("the client has held usage:read since {made} and has never used it")
        );
        assert_eq!(
            list(&operator, &query).await,
            found,
            "an id is the same each time"
        );

        let token = world.token("sandbox", &who, &[]).await;
        assert_eq!(
            claims(&token)["scope"],
            "orders:create orders:read usage:read"
        );
        let applied = apply(&operator, first).await.expect(200);
        assert_eq!(applied["id"], first["id"]);
        let dead = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(dead.expect(401)["code"], "invalid_token");
        assert!(applied["applied_at"].is_string());
        let token = world.token("sandbox", &who, &[]).await;
        assert_eq!(claims(&token)["scope"], "orders:read usage:read");
        let refused = world
            .token_answer("sandbox", &who, &[("scope", "orders:create")])
            .await;
        assert_eq!(refused.expect(400)["error"], "invalid_scope");
        let client = operator
            .get(&format!("/clients/{}", who.client_id))
            .await
            .expect(200);
        assert_eq!(client["scopes"], json!(["orders:read", "usage:read"]));

        // Every token from before is refused, and it is on record who did what.
        let revoked = world.lines(&format!(
            "SELECT kind || ' ' || realm AS line FROM revocations WHERE id = '{}'",
            who.client_id
        ));
        assert_eq!(revoked, ["client sandbox"]);
        assert_eq!(recorded(&world, "recommendation.applied", &first["id"]), 1);
        assert_eq!(recorded(&world, "client.changed", &first["client_id"]), 1);

        let again = apply(&operator, first).await;
        assert_snapshot!(again.problem(), @"409 no_longer_applies: this no longer applies: it was used meanwhile, or is gone already");
        // Used meanwhile, it stays.
        count(&world, &who.client_id, 2, "usage:read", (0, 1));
        let overtaken = apply(&operator, second).await;
        assert_eq!(overtaken.expect(409)["code"], "no_longer_applies");
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
        assert_eq!(recorded(&world, "recommendation.applied", &second["id"]), 0);
    }
}

#[actix_web::test]
async fn a_default_scope_that_goes_leaves_the_others_and_never_widens() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        for scope in ["orders:create", "orders:read"] {
            operator.sandbox_grant(&partner, scope, None).await;
        }
        let who = operator
            .client_with(
                &partner,
                json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:create", "orders:read"],
                        "default_scopes": ["orders:create"] }),
            )
            .await;
        age_client(&world, &who.client_id, 100);
        count(&world, &who.client_id, 1, "orders:read", (1, 1));
        let found = list(
            &operator,
            &format!("kind=unused_scope&partner_id={partner}"),
        )
        .await;
        assert_eq!(scopes(&found), ["orders:create"]);
        apply(&operator, &found[0]).await.expect(200);
        let by_default = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(by_default.expect(400)["error"], "invalid_scope");
        let token = world
            .token("sandbox", &who, &[("scope", "orders:read")])
            .await;
        assert_eq!(claims(&token)["scope"], "orders:read");
    }
}

#[actix_web::test]
async fn what_is_used_at_another_service_counts_by_what_is_asked_for() {
    for world in worlds().await {
        let operator = world.operator().await;
        let service = "https://stock.example";
        operator
            .resource_server("sandbox", service, &["stock:read", "stock:write"], "ES256")
            .await;
        let partner = operator.partner().await;
        for scope in ["stock:read", "stock:write"] {
            operator.sandbox_grant(&partner, scope, Some(service)).await;
        }
        let who = operator
            .client(&partner, "sandbox", &["stock:read", "stock:write"])
            .await;
        age_client(&world, &who.client_id, 100);
        count(&world, &who.client_id, 1, "stock:read", (1, 0));
        let found = list(
            &operator,
            &format!("kind=unused_scope&partner_id={partner}"),
        )
        .await;
        assert_eq!(scopes(&found), ["stock:write"]);
        assert!(
            found[0]["reason"]
                .as_str()
                .unwrap()
                .ends_with("has never asked for it")
        );
        // A scope that the client was given lately, by a grant of long ago, has its time too.
        let path = format!("/clients/{}", who.client_id);
        for scopes in [json!(["stock:read"]), json!(["stock:read", "stock:write"])] {
            let changed = operator.patch(&path, json!({ "scopes": scopes })).await;
            changed.expect(200);
        }
        let query = format!("kind=unused_scope&partner_id={partner}");
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
        assert_eq!(
            apply(&operator, &found[0]).await.expect(409)["code"],
            "no_longer_applies"
        );
        world.take_down_the_audit_fence();
        world.execute(&format!(
            "UPDATE audit_events SET at = '{}'",
            days_away(-95)
        ));
        assert_eq!(scopes(&list(&operator, &query).await), ["stock:write"]);

        // A grant that was given lately speaks for its scope.
        world.execute(&format!(
            "UPDATE scope_grants SET decided_at = '{}' WHERE scope = 'stock:write'",
            days_away(-5)
        ));
        let found = list(
            &operator,
            &format!("kind=unused_scope&partner_id={partner}"),
        )
        .await;
        assert_eq!(found, [] as [Value; 0]);
    }
}

#[actix_web::test]
async fn what_is_used_at_a_gateway_alone_is_used() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let door = "/sandbox/oauth2/verify?scope=orders:read";
        world.get(door, Some(&token)).await;
        let used = format!(
            "SELECT CAST(COALESCE(SUM(used), 0) AS TEXT) AS line FROM scope_usage WHERE client_id = '{}' AND scope = 'orders:read'",
            who.client_id
        );
        world.wait_until(&used, "1").await;
        age_client(&world, &who.client_id, 100);
        let query = format!("kind=unused_scope&partner_id={}", who.partner_id);
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
    }
}

#[actix_web::test]
async fn a_scope_is_held_since_the_grant_that_began_after_the_last_gap() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        age_client(&world, &who.client_id, 200);
        let query = format!("kind=unused_scope&partner_id={}", who.partner_id);
        assert_eq!(scopes(&list(&operator, &query).await), ["orders:read"]);
        let set = |decided: i64, expires: i64| {
            world.execute(&format!(
                "UPDATE scope_grants SET decided_at = '{}', expires_at = '{}'",
                days_away(decided),
                days_away(expires)
            ));
        };
        // A renewal continues what it follows.
        set(-190, 1);
        operator
            .sandbox_grant(&who.partner_id, "orders:read", None)
            .await;
        assert_eq!(scopes(&list(&operator, &query).await), ["orders:read"]);
        // After a gap, in which nobody could use it, it has its time.
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = '{}' WHERE decided_at < '{}'",
            days_away(-150),
            days_away(-100)
        ));
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
    }
}

#[actix_web::test]
async fn clients_that_are_over_and_resource_servers_lose_nothing() {
    for world in worlds().await {
        let operator = world.operator().await;
        let server = operator
            .resource_server("sandbox", "https://stock.example", &["stock:read"], "ES256")
            .await;
        let who = world.sandbox_client(&["orders:read"]).await;
        world.execute(&format!(
            "UPDATE clients SET created_at = '{}'",
            days_away(-100)
        ));
        age_client(&world, &who.client_id, 100);
        let found = list(&operator, "kind=unused_scope&realm=sandbox").await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["client_id"], who.client_id);
        assert_ne!(found[0]["client_id"], server["client_id"]);
        for (column, value) in [
            ("state", "suspended"),
            ("state", "revoked"),
            ("expires_at", "2020-01-01 00:00:00"),
        ] {
            world.execute(&format!(
                "UPDATE clients SET {column} = '{value}' WHERE id = '{}'",
                who.client_id
            ));
            assert_eq!(
                list(&operator, "kind=unused_scope&realm=sandbox").await,
                [] as [Value; 0]
            );
            assert_eq!(
                apply(&operator, &found[0]).await.expect(409)["code"],
                "no_longer_applies"
            );
            world.execute(&format!(
                "UPDATE clients SET state = 'active' WHERE id = '{}'",
                who.client_id
            ));
        }
    }
}
