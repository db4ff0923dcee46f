//! Operators make operators, with no more rights than their own.

use serde_json::json;

use crate::support::assert_snapshot;
use crate::support::world::{Operator, claims, worlds};

#[actix_web::test]
async fn an_operator_makes_another_with_fewer_rights() {
    for world in worlds().await {
        let operator = world.operator().await;
        let made = operator
            .post(
                "/operators",
                json!({ "name": "reader", "scopes": ["partners:read", "clients:read", "partners:read"] }),
            )
            .await
            .expect(201);
        assert!(made["id"].as_str().unwrap().starts_with("cl_adm_"));
        assert_eq!(
            (&made["kind"], &made["state"], &made["scopes"]),
            (
                &json!("operator"),
                &json!("active"),
                &json!(["clients:read", "partners:read"])
            )
        );
        let first = world.operator_credential().client_id;
        assert_eq!(made["created_by"], first);
        let path = format!("/operators/{}", made["id"].as_str().unwrap());
        assert_eq!(operator.get(&path).await.expect(200), made);

        let reader = operator.issue(made["id"].as_str().unwrap()).await;
        let reader = Operator {
            world: &world,
            token: world.token("admin", &reader, &[]).await,
        };
        assert_eq!(claims(&reader.token)["scope"], "clients:read partners:read");
        assert!(claims(&reader.token).get("partner_id").is_none());
        reader.get("/partners").await.expect(200);
        let refused = reader
            .post(
                "/operators",
                json!({ "name": "x", "scopes": ["clients:read"] }),
            )
            .await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope operators:write");

        // A partner's client is no operator, whatever path asks for it.
        let who = world.sandbox_client(&["orders:read"]).await;
        let answer = operator.get(&format!("/operators/{}", who.client_id)).await;
        assert_snapshot!(answer.problem(), @"404 not_found: there is nothing at this path");
    }
}

#[actix_web::test]
async fn an_operator_has_only_admin_scopes() {
    for world in worlds().await {
        let operator = world.operator().await;
        for scopes in [
            json!([]),
            json!(["orders:read"]),
            json!(["partners:read", "root"]),
        ] {
            let answer = operator
                .post("/operators", json!({ "name": "x", "scopes": scopes }))
                .await;
            assert_eq!(answer.status, 422);
            let fault = &answer.json()["errors"][0];
            assert_eq!(fault["pointer"], "/scopes");
            assert!(
                fault["detail"]
                    .as_str()
                    .unwrap()
                    .starts_with("must be one or more of audit:read, billing:write, ")
            );
        }
    }
}

#[actix_web::test]
async fn an_operator_whose_credential_is_revoked_gets_no_token() {
    for world in worlds().await {
        let operator = world.operator().await;
        let second = world.second_operator().await;
        let id = claims(&second.token)["credential_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let client = claims(&second.token)["client_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let fresh = operator.issue(&client).await;
        operator.revoke(&id).await.expect(200);
        world.token("admin", &fresh, &[]).await;
        operator.revoke(&fresh.credential_id).await.expect(200);
        let answer = world.token_answer("admin", &fresh, &[]).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (401, &json!("invalid_client"))
        );
    }
}

#[actix_web::test]
async fn the_actor_of_a_change_is_the_tokens_client_and_no_member_says_otherwise() {
    for world in worlds().await {
        let second = world.second_operator().await;
        let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example",
                           "created_by": "cl_adm_x" });
        assert_eq!(second.post("/partners", body).await.status, 422);
        let partner = second.partner().await;
        let partner = second
            .get(&format!("/partners/{partner}"))
            .await
            .expect(200);
        assert_eq!(partner["created_by"], claims(&second.token)["client_id"]);
    }
}

#[actix_web::test]
async fn only_who_may_make_operators_gets_an_operators_secret() {
    for world in worlds().await {
        let boss = world.operator().await;
        let boss_id = world.operator_credential().client_id;
        let path = format!("/clients/{boss_id}/credentials");

        let body = json!({ "name": "desk", "scopes": ["credentials:issue", "clients:read"] });
        let desk = boss.post("/operators", body).await.expect(201);
        let desk = boss.issue(desk["id"].as_str().unwrap()).await;
        let desk = Operator {
            world: &world,
            token: world.token("admin", &desk, &[]).await,
        };
        let refused = desk.post(&path, json!({ "kind": "secret" })).await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope operators:write");

        // The other way round, making operators is enough to give them their secrets.
        let body = json!({ "name": "hr", "scopes": ["operators:write"] });
        let hr = boss.post("/operators", body).await.expect(201);
        let hr = boss.issue(hr["id"].as_str().unwrap()).await;
        let hr = Operator {
            world: &world,
            token: world.token("admin", &hr, &[]).await,
        };
        let made = hr
            .post(
                "/operators",
                json!({ "name": "new", "scopes": ["partners:read"] }),
            )
            .await
            .expect(201);
        hr.issue(made["id"].as_str().unwrap()).await;
        let partner = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/clients/{}/credentials", partner.client_id);
        let refused = hr.post(&path, json!({ "kind": "secret" })).await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope credentials:issue");
    }
}

#[actix_web::test]
async fn in_live_an_operator_of_ones_own_making_is_no_second_pair_of_eyes() {
    for world in worlds().await {
        let (boss, second) = (world.operator().await, world.second_operator().await);
        let partner = boss.partner().await;
        let body = json!({ "name": "puppet", "scopes": ["grants:decide", "governance:write"] });
        let puppet = boss.post("/operators", body).await.expect(201);
        let puppet = second.issue(puppet["id"].as_str().unwrap()).await;
        let puppet = Operator {
            world: &world,
            token: world.token("admin", &puppet, &[]).await,
        };

        // Asked by the maker, decided by the made, and the other way round; so for who issued.
        for (asker, decider) in [(&boss, &puppet), (&puppet, &boss), (&second, &puppet)] {
            let asked = asker
                .request_grant(&partner, "live", "orders:read", None)
                .await
                .expect(201);
            let path = format!("/scope-grants/{}/approve", asked["id"].as_str().unwrap());
            let refused = decider.post(&path, json!({})).await;
            assert_snapshot!(refused.problem(), @"403 four_eyes: one of the two operators made the other or gave it a credential: in live, a third must decide");
        }
        let asked = boss
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        let path = format!("/scope-grants/{}/approve", asked["id"].as_str().unwrap());
        second.post(&path, json!({})).await.expect(200);
    }
}

/// Another operator, with these scopes alone.
async fn limited<'a>(operator: &Operator<'a>, scopes: &[&str]) -> Operator<'a> {
    let body = json!({ "name": "limited", "scopes": scopes });
    let made = operator.post("/operators", body).await.expect(201);
    let who = operator.issue(made["id"].as_str().unwrap()).await;
    Operator {
        world: operator.world,
        token: operator.world.token("admin", &who, &[]).await,
    }
}

#[actix_web::test]
async fn who_lacks_the_scope_does_not_learn_which_credentials_there_are() {
    for world in worlds().await {
        let operator = world.operator().await;
        let reader = limited(&operator, &["partners:read"]).await;
        let who = world.sandbox_client(&["orders:read"]).await;
        for verb in ["rotate", "finish-rotation", "undo-rotation", "revoke"] {
            let refused = async |id: &str| {
                let path = format!("/credentials/{id}/{verb}");
                reader.post(&path, json!({})).await.problem()
            };
            let known = refused(&who.credential_id).await;
            assert!(known.starts_with("403 insufficient_scope: "), "{known}");
            for unknown in ["crd_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x"] {
                assert_eq!(refused(unknown).await, known, "{verb} {unknown}");
            }
        }
        for id in [who.client_id.as_str(), "x"] {
            let path = format!("/clients/{id}/credentials");
            assert_eq!(reader.get(&path).await.status, 403);
            assert_eq!(reader.post(&path, json!({})).await.status, 403);
        }
    }
}

#[actix_web::test]
async fn who_makes_operators_sees_their_credentials_and_nobody_elses() {
    for world in worlds().await {
        let operator = world.operator().await;
        let maker = limited(&operator, &["operators:write"]).await;
        let own = world.operator_credential().client_id;
        let path = format!("/clients/{own}/credentials");
        let listed = maker.get(&path).await.expect(200);
        assert_eq!(listed["data"].as_array().unwrap().len(), 1);
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/clients/{}/credentials", who.client_id);
        let refused = maker.get(&path).await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope clients:read");
    }
}

#[actix_web::test]
async fn reports_of_leaks_are_seen_by_who_reads_and_by_who_acts() {
    for world in worlds().await {
        let operator = world.operator().await;
        for scope in ["security:read", "security:write"] {
            let other = limited(&operator, &[scope]).await;
            other.get("/leak-reports").await.expect(200);
        }
        let none = limited(&operator, &["partners:read"]).await;
        assert_eq!(none.get("/leak-reports").await.status, 403);
    }
}

#[actix_web::test]
async fn short_lists_have_pages_too() {
    for world in worlds().await {
        let operator = world.operator().await;
        let whole = operator.get("/keys").await.expect(200);
        let mut kids = Vec::new();
        let mut path = "/keys?limit=2".to_owned();
        loop {
            let page = operator.get(&path).await.expect(200);
            let rows = page["data"].as_array().unwrap();
            kids.extend(rows.iter().map(|row| row["kid"].clone()));
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/keys?limit=2&cursor={cursor}"),
                None => break,
            }
        }
        let rows = whole["data"].as_array().unwrap();
        let all: Vec<_> = rows.iter().map(|row| row["kid"].clone()).collect();
        assert_eq!(kids, all);
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/partners/{}/limits?limit=1", who.partner_id);
        let page = operator.get(&path).await.expect(200);
        let path = format!("{path}&cursor={}", page["next_cursor"].as_str().unwrap());
        let rest = operator.get(&path).await.expect(200);
        assert_eq!(rest["next_cursor"], serde_json::Value::Null);
        assert_ne!(rest["data"][0]["realm"], page["data"][0]["realm"]);
    }
}

#[actix_web::test]
async fn a_name_stays_on_its_line() {
    for world in worlds().await {
        let operator = world.operator().await;
        for name in ["a\nb", "a\tb", "a\u{2028}b", "a\u{202e}b", "a\u{7f}b"] {
            let body = json!({ "name": name, "scopes": ["partners:read"] });
            let refused = operator.post("/operators", body).await.expect(422);
            assert_eq!(refused["errors"][0]["pointer"], "/name", "{name:?}");
        }
        let body = json!({ "name": "Zoë & 子 Ltd", "scopes": ["partners:read"] });
        operator.post("/operators", body).await.expect(201);
    }
}
