//! What a grant goes through, and what it gives meanwhile.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{act, audit, events, id, requested, revocations};
use crate::support::assert_snapshot;
use crate::support::world::{Operator, in_future, worlds};

#[actix_web::test]
async fn a_revoked_grant_is_gone_from_the_next_token_and_on_record() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
        let list = format!("/partners/{}/scope-grants", who.partner_id);
        let found = operator
            .get(&format!("{list}?scope=orders:read"))
            .await
            .expect(200);
        let grant = id(&found["data"][0]);
        let before = world.token("sandbox", &who, &[]).await;
        world.get("/sandbox/v1/me", Some(&before)).await.expect(200);

        let answer = act(&operator, &grant, "revoke").await.expect(200);
        assert_eq!(
            (
                &answer["state"],
                &answer["ended_by"],
                &answer["ended_reason"]
            ),
            (
                &json!("revoked"),
                &json!(operator.id()),
                &json!("no longer needed")
            )
        );
        assert!(answer["ended_at"].as_str().unwrap() >= answer["decided_at"].as_str().unwrap());

        let refused = world
            .token_answer("sandbox", &who, &[("scope", "orders:read")])
            .await;
        assert_snapshot!(refused.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here, or not among this client's own scopes: orders:read"}"#);
        let left = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(left["scope"], "usage:read");

        let partner = &who.partner_id;
        assert_eq!(
            revocations(&world, "sandbox"),
            [format!("grant {partner} orders:read revoked")]
        );
        assert!(revocations(&world, "live").is_empty());
        assert_eq!(
            audit(&world, &grant),
            [
                format!("{} scope_grant.requested", operator.id()),
                format!("{} scope_grant.revoked", operator.id()),
                "policy scope_grant.approved".to_owned(),
            ]
        );
        let told = format!(
            r#"1 scope_grant.revoked {{"grant_id":"{grant}","reason":"revoked","scope":"orders:read"}}"#
        );
        assert_eq!(events(&world, partner), [told]);

        // A client cannot be configured with what its partner lost; what it holds is shown all the same.
        let body = json!({ "realm": "sandbox", "name": "late", "scopes": ["orders:read"] });
        let late = operator
            .post(&format!("/partners/{partner}/clients"), body)
            .await;
        assert_snapshot!(late.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /scopes invalid: not granted to this partner in sandbox: orders:read
        ");
        // Asked for and approved again, it is held again at once.
        operator.sandbox_grant(partner, "orders:read", None).await;
        let again = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(again["scope"], "orders:read usage:read");
    }
}

#[actix_web::test]
async fn every_grant_keeps_to_the_drawing() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let mut told = String::new();
        for state in ["requested", "approved", "denied", "revoked", "expired"] {
            for verb in ["approve", "deny", "revoke"] {
                let grant = requested(&operator, &partner, "live").await;
                match state {
                    "approved" => drop(act(&second, &grant, "approve").await.expect(200)),
                    "denied" => drop(act(&second, &grant, "deny").await.expect(200)),
                    "revoked" => {
                        act(&second, &grant, "approve").await.expect(200);
                        act(&second, &grant, "revoke").await.expect(200);
                    }
                    "expired" => world.execute(&format!(
                        "UPDATE scope_grants SET state = 'expired', decided_by = 'policy',
                         decided_at = requested_at, ended_by = 'policy' WHERE id = '{grant}'"
                    )),
                    _ => {}
                }
                let entries = revocations(&world, "live").len();
                let answer = act(&second, &grant, verb).await;
                let said = match answer.status {
                    200 => answer.json()["state"].to_string(),
                    _ => answer.problem().replace("\n  state ", ": "),
                };
                told += &format!("{state} {verb}: {said}\n");
                let new = revocations(&world, "live").len() - entries;
                assert_eq!(new, usize::from(answer.status == 200 && verb == "revoke"));
            }
        }
        assert_snapshot!(told, @r#"
        requested approve: "approved"
        requested deny: "denied"
        requested revoke: 409 illegal_transition: the grant is requested; from there: approved, denied: "requested", allowed ["approved","denied"]
        approved approve: 409 illegal_transition: the grant is approved; from there: revoked, expired: "approved", allowed ["revoked","expired"]
        approved deny: 409 illegal_transition: the grant is approved; from there: revoked, expired: "approved", allowed ["revoked","expired"]
        approved revoke: "revoked"
        denied approve: 409 illegal_transition: the grant is denied; from there: nothing: "denied", allowed []
        denied deny: 409 illegal_transition: the grant is denied; from there: nothing: "denied", allowed []
        denied revoke: 409 illegal_transition: the grant is denied; from there: nothing: "denied", allowed []
        revoked approve: 409 illegal_transition: the grant is revoked; from there: nothing: "revoked", allowed []
        revoked deny: 409 illegal_transition: the grant is revoked; from there: nothing: "revoked", allowed []
        revoked revoke: 409 illegal_transition: the grant is revoked; from there: nothing: "revoked", allowed []
        expired approve: 409 illegal_transition: the grant is expired; from there: nothing: "expired", allowed []
        expired deny: 409 illegal_transition: the grant is expired; from there: nothing: "expired", allowed []
        expired revoke: 409 illegal_transition: the grant is expired; from there: nothing: "expired", allowed []
        "#);
        for verb in ["approve", "deny", "revoke"] {
            let unknown = act(&second, "grt_01ARZ3NDEKTSV4RRFFQ69G5FAV", verb).await;
            assert_eq!(
                (unknown.status, &unknown.json()["code"]),
                (404, &json!("not_found"))
            );
        }
        let grant = requested(&operator, &partner, "live").await;
        let path = format!("/scope-grants/{grant}/revoke");
        let told = second.post(&path, json!({ "why": 1 })).await;
        assert_snapshot!(told.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /why unknown: is not a member of this request
        ");
    }
}

#[actix_web::test]
async fn a_scope_with_several_grants_is_held_while_one_stands() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        operator
            .sandbox_grant(&who.partner_id, "orders:read", None)
            .await;
        let list = format!("/partners/{}/scope-grants", who.partner_id);
        let found = operator.get(&list).await.expect(200);
        let grants: Vec<String> = found["data"].as_array().unwrap().iter().map(id).collect();
        assert_eq!(grants.len(), 2);
        act(&operator, &grants[0], "revoke").await.expect(200);
        let held = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(held["scope"], "orders:read");
        act(&operator, &grants[1], "revoke").await.expect(200);
        let gone = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(gone.json()["error"], "invalid_scope");
    }
}

/// Asks until the grant is in this state.
async fn becomes(operator: &Operator<'_>, grant: &str, state: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let shown = operator
            .get(&format!("/scope-grants/{grant}"))
            .await
            .expect(200);
        if shown["state"] == state {
            return shown;
        }
        assert!(Instant::now() < deadline, "{shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn a_grant_whose_end_has_come_expires_by_itself() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let ending = async |scope: &str| {
            let lasts = Duration::from_secs(3600);
            let asked = operator
                .request_grant_until(&partner, "sandbox", scope, None, lasts)
                .await;
            id(&asked.expect(201))
        };
        let (alone, beside) = (ending("orders:read").await, ending("usage:read").await);
        operator.sandbox_grant(&partner, "usage:read", None).await;
        let who = operator
            .client(&partner, "sandbox", &["orders:read", "usage:read"])
            .await;
        // Time passes.
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = requested_at WHERE id IN ('{alone}', '{beside}')"
        ));
        let shown = becomes(&operator, &alone, "expired").await;
        becomes(&operator, &beside, "expired").await;
        assert_eq!(
            (&shown["ended_by"], &shown["ended_reason"]),
            (&json!("policy"), &json!("its end has come"))
        );
        assert!(audit(&world, &alone).contains(&"policy scope_grant.expired".to_owned()));
        // Where another grant stands, tokens of the scope go on.
        assert_eq!(
            revocations(&world, "sandbox"),
            [format!("grant {partner} orders:read expired")]
        );
        let held = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(held["scope"], "usage:read");
        let late = act(&operator, &alone, "revoke").await;
        assert_snapshot!(late.problem(), @r#"
        409 illegal_transition: the grant is expired; from there: nothing
          state "expired", allowed []
        "#);
    }
}

#[actix_web::test]
async fn what_could_never_be_used_is_not_approved() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let grant = requested(&operator, &partner, "live").await;
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = requested_at WHERE id = '{grant}'"
        ));
        let told = act(&second, &grant, "approve").await;
        assert_snapshot!(told.problem(), @"409 grant_overdue: the end that was asked for has passed; deny it, and ask for a new one");
        act(&second, &grant, "deny").await.expect(200);

        let grant = requested(&operator, &partner, "live").await;
        world.execute(&format!(
            "UPDATE partners SET state = 'suspended' WHERE id = '{partner}'"
        ));
        let told = act(&second, &grant, "approve").await;
        assert_snapshot!(told.problem(), @"409 partner_not_approved: the partner is suspended; it must be approved first");
    }
}

#[actix_web::test]
async fn a_grant_may_name_no_data_classes() {
    // As when a scope opens none: then the list says so.
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let body = json!({ "realm": "sandbox", "scope": "catalogue:read", "purpose": "prices", "data_classes": [],
                           "retention_days": 0, "expires_at": in_future(Duration::from_secs(3600)) });
        let path = format!("/partners/{partner}/scope-grants");
        let made = operator.post(&path, body).await.expect(201);
        assert_eq!(made["data_classes"], json!([]));
    }
}
