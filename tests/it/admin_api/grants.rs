//! Partners are approved, and granted what they asked for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{claims, in_future, worlds, worlds_with};

#[actix_web::test]
async fn a_partner_is_applied_for_and_decided_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example" });
        let partner = operator.post("/partners", body.clone()).await.expect(201);
        let id = partner["id"].as_str().unwrap();
        assert!(id.starts_with("ptn_"));
        assert_eq!(partner["state"], "applied");
        assert_eq!(partner["created_by"], world.operator_credential().client_id);
        let approved = operator
            .post(
                &format!("/partners/{id}/approve"),
                json!({ "reason": "signed" }),
            )
            .await
            .expect(200);
        assert_eq!(approved["state"], "approved");
        assert_eq!(
            operator.get(&format!("/partners/{id}")).await.expect(200),
            approved
        );
        for verb in ["approve", "reject"] {
            let again = operator
                .post(&format!("/partners/{id}/{verb}"), json!({}))
                .await;
            assert_snapshot!(again.problem(), @r#"
            409 illegal_transition: the partner is approved; from there: suspended
              state "approved", allowed ["suspended"]
            "#);
        }

        let other = operator.post("/partners", body).await.expect(201);
        let path = format!("/partners/{}", other["id"].as_str().unwrap());
        let rejected = operator
            .post(&format!("{path}/reject"), json!({}))
            .await
            .expect(200);
        assert_eq!(rejected["state"], "rejected");
        let late = operator.post(&format!("{path}/approve"), json!({})).await;
        assert_snapshot!(late.problem(), @r#"
        409 illegal_transition: the partner is rejected; from there: nothing
          state "rejected", allowed []
        "#);
    }
}

#[actix_web::test]
async fn a_sandbox_grant_is_approved_at_once_by_policy() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "sandbox", "orders:read", None)
            .await
            .expect(201);
        assert_eq!(
            (&grant["state"], &grant["decided_by"]),
            (&json!("approved"), &json!("policy"))
        );
        assert_eq!(grant["decided_at"], grant["requested_at"]);
        assert_eq!(grant["resource"], format!("{}/sandbox/v1", world.base));
        assert_eq!(grant["data_classes"], json!(["orders"]));
        let list = operator
            .get(&format!("/partners/{partner}/scope-grants"))
            .await
            .expect(200);
        assert_eq!(list["data"], json!([grant]));
    }
}

#[actix_web::test]
async fn where_the_policy_is_off_a_sandbox_grant_waits_for_a_second_operator() {
    for world in worlds_with(&[("ONYX_SANDBOX_AUTO_APPROVE", "false")]).await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "sandbox", "orders:read", None)
            .await
            .expect(201);
        assert_eq!(
            (&grant["state"], &grant["decided_by"], &grant["decided_at"]),
            (&json!("requested"), &Value::Null, &Value::Null)
        );
        let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["orders:read"] });
        let early = operator
            .post(&format!("/partners/{partner}/clients"), body)
            .await;
        assert_snapshot!(early.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /scopes invalid: not granted to this partner in sandbox: orders:read
        ");
        let path = format!("/scope-grants/{}/approve", grant["id"].as_str().unwrap());
        assert_eq!(operator.post(&path, json!({})).await.status, 403);
        let second = world.second_operator().await;
        second.post(&path, json!({})).await.expect(200);
        operator.client(&partner, "sandbox", &["orders:read"]).await;
    }
}

#[actix_web::test]
async fn who_asks_for_a_live_grant_does_not_decide_it() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        assert_eq!(grant["state"], "requested");
        let path = format!("/scope-grants/{}", grant["id"].as_str().unwrap());
        for verb in ["approve", "deny"] {
            let own = operator.post(&format!("{path}/{verb}"), json!({})).await;
            assert_snapshot!(own.problem(), @"403 four_eyes: who asked does not decide: another operator must");
        }

        let second = world.second_operator().await;
        let approved = second
            .post(&format!("{path}/approve"), json!({}))
            .await
            .expect(200);
        let decided_by = claims(&second.token)["client_id"].clone();
        assert_eq!(
            (&approved["state"], &approved["decided_by"]),
            (&json!("approved"), &decided_by)
        );
        for verb in ["approve", "deny"] {
            let again = second.post(&format!("{path}/{verb}"), json!({})).await;
            assert_snapshot!(again.problem(), @r#"
            409 illegal_transition: the grant is approved; from there: revoked, expired
              state "approved", allowed ["revoked","expired"]
            "#);
        }
    }
}

#[actix_web::test]
async fn a_denied_grant_gives_nothing() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        let path = format!("/scope-grants/{}", grant["id"].as_str().unwrap());
        let denied = second
            .post(&format!("{path}/deny"), json!({}))
            .await
            .expect(200);
        assert_eq!(denied["state"], "denied");
        let late = second.post(&format!("{path}/approve"), json!({})).await;
        assert_snapshot!(late.problem(), @r#"
        409 illegal_transition: the grant is denied; from there: nothing
          state "denied", allowed []
        "#);
        operator.ready_for_live(&second, &partner).await;
        let body = json!({ "realm": "live", "name": "backend", "scopes": ["orders:read"] });
        let answer = operator
            .post(&format!("/partners/{partner}/clients"), body)
            .await;
        assert_snapshot!(answer.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /scopes invalid: not granted to this partner in live: orders:read
        ");
    }
}

#[actix_web::test]
async fn a_grant_is_for_a_known_scope_and_for_a_while() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let days = |days: u64| in_future(Duration::from_secs(days * 24 * 3600));
        let good = json!({ "realm": "live", "scope": "orders:read", "purpose": "orders", "data_classes": [],
                           "retention_days": 0, "expires_at": days(366 - 1) });
        let ask = async |changed: Value| {
            let mut body = good.clone();
            for (name, value) in changed.as_object().unwrap() {
                body[name] = value.clone();
            }
            operator
                .post(&format!("/partners/{partner}/scope-grants"), body)
                .await
        };
        ask(json!({})).await.expect(201);
        ask(json!({ "resource": format!("{}/live/v1", world.base) }))
            .await
            .expect(201);
        let mut told = Vec::new();
        for changed in [
            json!({ "scope": "orders:all" }),
            json!({ "resource": "https://nobody.example" }),
            json!({ "resource": format!("{}/sandbox/v1", world.base) }),
            json!({ "realm": "admin" }),
            json!({ "expires_at": days(367) }),
            json!({ "expires_at": "2020-01-01T00:00:00Z" }),
            json!({ "retention_days": -1 }),
        ] {
            let answer = ask(changed).await.problem();
            told.push(answer.lines().skip(1).collect::<Vec<_>>().join("\n"));
        }
        assert_snapshot!(told.join("\n"), @"
        /scope invalid: must be one of catalogue:read, events:replay, invoices:read, ledger:read, orders:create, orders:read, usage:read, webhooks:manage
        /resource invalid: no resource server is registered under this identifier in the realm
        /resource invalid: no resource server is registered under this identifier in the realm
        /realm invalid: must be one of sandbox, live
        /expires_at invalid: must lie in the future, at most 366 days ahead
        /expires_at invalid: must lie in the future, at most 366 days ahead
        /retention_days invalid: must be a whole number from 0 to 36500
        ");
    }
}

#[actix_web::test]
async fn a_partner_that_is_not_approved_gets_no_grant_and_no_client() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example" });
        let partner = operator.post("/partners", body).await.expect(201);
        let id = partner["id"].as_str().unwrap();
        let grant = operator
            .request_grant(id, "sandbox", "orders:read", None)
            .await;
        assert_snapshot!(grant.problem(), @"409 partner_not_approved: the partner is applied; it must be approved first");
        let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["orders:read"] });
        let client = operator
            .post(&format!("/partners/{id}/clients"), body.clone())
            .await;
        assert_snapshot!(client.problem(), @"409 partner_not_approved: the partner is applied; it must be approved first");
        operator
            .post(&format!("/partners/{id}/reject"), json!({}))
            .await
            .expect(200);
        let client = operator
            .post(&format!("/partners/{id}/clients"), body)
            .await;
        assert_snapshot!(client.problem(), @"409 partner_not_approved: the partner is rejected; it must be approved first");
    }
}

#[actix_web::test]
async fn a_client_holds_only_what_its_partner_was_granted() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        operator.sandbox_grant(&partner, "usage:read", None).await;
        let second = world.second_operator().await;
        operator.ready_for_live(&second, &partner).await;
        let ask = async |body: Value| {
            operator
                .post(&format!("/partners/{partner}/clients"), body)
                .await
        };
        let mut told = Vec::new();
        for body in [
            json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read", "ledger:read", "invoices:read"] }),
            json!({ "realm": "live", "name": "x", "scopes": ["orders:read"] }),
            json!({ "realm": "admin", "name": "x", "scopes": ["orders:read"] }),
            json!({ "realm": "sandbox", "name": "x", "scopes": [] }),
            json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"], "default_scopes": ["usage:read"] }),
            json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"], "expires_at": "2020-01-01T00:00:00Z" }),
        ] {
            let answer = ask(body).await.problem();
            told.push(answer.lines().skip(1).collect::<Vec<_>>().join("\n"));
        }
        assert_snapshot!(told.join("\n"), @"
        /scopes invalid: not granted to this partner in sandbox: invoices:read ledger:read
        /scopes invalid: not granted to this partner in live: orders:read
        /realm invalid: must be one of sandbox, live
        /scopes invalid: must name at least one scope
        /default_scopes invalid: must be among scopes
        /expires_at invalid: must lie in the future
        ");

        let body = json!({ "realm": "sandbox", "name": "x", "scopes": ["usage:read", "orders:read"],
                           "default_scopes": ["orders:read"], "token_ttl": 60 });
        let client = ask(body).await.expect(201);
        let id = client["id"].as_str().unwrap();
        assert!(id.starts_with("cl_sbx_"));
        assert_eq!(
            (&client["kind"], &client["partner_id"], &client["scopes"]),
            (
                &json!("partner"),
                &json!(partner),
                &json!(["orders:read", "usage:read"])
            )
        );
        assert_eq!(
            operator.get(&format!("/clients/{id}")).await.expect(200),
            client
        );
        let who = operator.issue(id).await;
        let token = world.token("sandbox", &who, &[]).await;
        let claims = claims(&token);
        assert_eq!(claims["scope"], "orders:read");
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            60
        );
    }
}
