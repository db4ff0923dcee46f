//! Operators rotate secrets, finish early, and take back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    listed, own_successor, revocations, rotate, rotate_own, status, successor, told, verb,
};
use crate::support::assert_snapshot;
use crate::support::world::{Credential, Operator, in_future, worlds, worlds_with};

#[actix_web::test]
async fn both_secrets_work_while_a_rotation_overlaps_and_the_old_one_ends_by_itself() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        let answer = verb(
            &operator,
            &who.credential_id,
            "rotate",
            json!({ "overlap_seconds": 8 }),
        )
        .await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let rotated = answer.expect(201);
        assert_eq!(
            (&rotated["replaces"], &rotated["state"]),
            (&json!(who.credential_id), &json!("active"))
        );
        let new = successor(&who, &rotated);
        assert_eq!(
            (status(&world, &who).await, status(&world, &new).await),
            (200, 200)
        );
        let old = listed(&operator, &who).await;
        assert_eq!(
            (
                &old["state"],
                &old["usable"],
                &old["replaced_by"],
                &old["accepts_until"]
            ),
            (
                &json!("rotated"),
                &json!(true),
                &rotated["id"],
                &rotated["accepts_until"]
            )
        );
        // A third would be one too many, whichever of the two it is to replace.
        let again = verb(&operator, &who.credential_id, "rotate", json!({})).await;
        assert_snapshot!(again.problem(), @r#"
        409 illegal_transition: the credential is rotated; from there: active, revoked
          state "rotated", allowed ["active","revoked"]
        "#);
        let third = verb(&operator, &new.credential_id, "rotate", json!({})).await;
        assert_snapshot!(third.problem(), @"409 too_many_credentials: the client has two usable secrets; finish its rotation, or revoke one, first");
        // The last second gives no tokens any more: they would be dead on arrival.
        while listed(&operator, &who).await["usable"] == true {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(
            (status(&world, &who).await, status(&world, &new).await),
            (401, 200)
        );
        let old = listed(&operator, &who).await;
        assert_eq!(
            (&old["state"], &old["usable"]),
            (&json!("rotated"), &json!(false))
        );
        let undone = verb(&operator, &who.credential_id, "undo-rotation", json!({})).await;
        assert_eq!(undone.expect(409)["code"], "overlap_ended");
        assert_eq!(revocations(&world, &who), 0);
        assert_eq!(told(&world, &who), ["credential.rotated"]);
        // There is room again.
        rotate(&operator, &new, json!({})).await;
    }
}

#[actix_web::test]
async fn a_rotation_without_overlap_ends_the_old_secret_and_its_tokens_at_once() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        world.token("sandbox", &who, &[]).await;
        let operator = world.operator().await;
        let new = rotate(&operator, &who, json!({ "overlap_seconds": 0 })).await;
        assert_eq!(
            (status(&world, &who).await, status(&world, &new).await),
            (401, 200)
        );
        assert_eq!(revocations(&world, &who), 1);
        let refused = verb(
            &operator,
            &new.credential_id,
            "rotate",
            json!({ "overlap_seconds": 604_801, "expires_at": "soon", "overlap": 1 }),
        )
        .await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /overlap_seconds invalid: must be a whole number from 0 to 604800
          /expires_at invalid: must be a time like 2030-01-31T12:00:00Z (RFC 3339)
          /overlap unknown: is not a member of this request
        ");
    }
}

#[actix_web::test]
async fn a_rotation_is_finished_early_once_the_old_secret_is_quiet() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        world.token("sandbox", &who, &[]).await;
        let new = rotate(&operator, &who, json!({})).await;
        let old = listed(&operator, &who).await;
        assert_eq!(old["safe_to_finish"], false);
        assert_snapshot!(old["advice"].as_str().unwrap(), @"the new secret has not been used yet: do not finish; the rotation can still be undone");
        world.token("sandbox", &new, &[]).await;
        let old = listed(&operator, &who).await;
        assert_eq!(old["safe_to_finish"], false);
        assert!(
            old["advice"]
                .as_str()
                .unwrap()
                .ends_with("tokens live for up to 5 minutes: wait"),
            "{old}"
        );

        // An hour without use, as the database remembers it.
        while listed(&operator, &who).await["use_count"] != 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ago = (chrono::Utc::now() - chrono::TimeDelta::minutes(59)).format("%F %T");
        world.execute(&format!(
            "UPDATE credentials SET first_used_at = '{ago}', last_used_at = '{ago}' WHERE id = '{}'",
            who.credential_id
        ));
        let old = listed(&operator, &who).await;
        assert_eq!(old["safe_to_finish"], true);
        assert_eq!(old["quiet_seconds"].as_i64().unwrap() / 60, 59);
        assert_snapshot!(old["advice"].as_str().unwrap(), @"the old secret has been quiet for 59 minutes: safe to finish");

        let done = verb(&operator, &who.credential_id, "finish-rotation", json!({})).await;
        let done = done.expect(200);
        assert_eq!(
            (&done["state"], &done["revoked_reason"]),
            (&json!("revoked"), &json!("superseded"))
        );
        assert_eq!(
            (status(&world, &who).await, status(&world, &new).await),
            (401, 200)
        );
        assert_eq!(revocations(&world, &who), 1);
        for gone in ["finish-rotation", "undo-rotation", "rotate"] {
            let again = verb(&operator, &who.credential_id, gone, json!({})).await;
            assert_snapshot!(again.problem(), @r#"
            409 illegal_transition: the credential is revoked; from there: nothing
              state "revoked", allowed []
            "#);
        }
        let active = verb(&operator, &new.credential_id, "finish-rotation", json!({})).await;
        assert_eq!(active.expect(409)["state"], "active");
        let unknown = "crd_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(
            verb(&operator, unknown, "finish-rotation", json!({}))
                .await
                .status,
            404
        );
        assert_eq!(
            told(&world, &who),
            ["credential.rotated", "credential.revoked"]
        );
    }
}

#[actix_web::test]
async fn a_rotation_is_taken_back_only_while_its_secret_is_unused() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        let unused = rotate(&operator, &who, json!({})).await;
        let undone = verb(&operator, &who.credential_id, "undo-rotation", json!({})).await;
        let undone = undone.expect(200);
        assert_eq!(
            (
                &undone["state"],
                &undone["accepts_until"],
                &undone["replaced_by"]
            ),
            (&json!("active"), &Value::Null, &Value::Null)
        );
        assert_eq!(
            (status(&world, &who).await, status(&world, &unused).await),
            (200, 401)
        );
        assert_eq!(revocations(&world, &unused), 1);

        let used = rotate(&operator, &who, json!({})).await;
        world.token("sandbox", &used, &[]).await;
        let refused = verb(&operator, &who.credential_id, "undo-rotation", json!({})).await;
        assert_snapshot!(refused.problem(), @r#"
        409 successor_used: the new secret has been used already: whoever uses it would be locked out; finish the rotation instead
          state "rotated", allowed ["revoked"]
        "#);
        assert_eq!(
            (status(&world, &who).await, status(&world, &used).await),
            (200, 200)
        );
        assert_eq!(listed(&operator, &who).await["state"], "rotated");
        // Where it is revoked, the old one is all that there is.
        operator.revoke(&used.credential_id).await.expect(200);
        let refused = verb(&operator, &who.credential_id, "undo-rotation", json!({})).await;
        assert_snapshot!(refused.problem(), @r#"
        409 successor_used: the new secret was used, and is revoked since: do not finish the rotation, for the old secret is all that the client has; issue another before its overlap ends
          state "rotated", allowed ["revoked"]
        "#);
    }
}

#[actix_web::test]
async fn a_compromised_secret_takes_with_it_what_its_holder_made_of_it() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        let one = own_successor(&who, &rotate_own(&world, "sandbox", &who).await.expect(201));
        world.token("sandbox", &one, &[]).await;
        verb(&operator, &who.credential_id, "finish-rotation", json!({}))
            .await
            .expect(200);
        let two = own_successor(&who, &rotate_own(&world, "sandbox", &one).await.expect(201));
        operator.revoke(&one.credential_id).await.expect(200);
        assert_eq!(
            (status(&world, &one).await, status(&world, &two).await),
            (401, 401)
        );
        let row = listed(&operator, &two).await;
        assert_eq!(
            (&row["state"], &row["revoked_reason"]),
            (&json!("revoked"), &json!("compromised"))
        );
        assert_eq!(
            (revocations(&world, &one), revocations(&world, &two)),
            (1, 1)
        );

        // What an operator issued is not the thief's; and another reason takes nothing along.
        let fresh = Credential {
            partner_id: who.partner_id.clone(),
            ..operator.issue(&who.client_id).await
        };
        let given = rotate(&operator, &fresh, json!({})).await;
        operator.revoke(&fresh.credential_id).await.expect(200);
        assert_eq!(status(&world, &given).await, 200);
        let own = own_successor(
            &given,
            &rotate_own(&world, "sandbox", &given).await.expect(201),
        );
        verb(
            &operator,
            &given.credential_id,
            "revoke",
            json!({ "reason": "unused" }),
        )
        .await
        .expect(200);
        assert_eq!(status(&world, &own).await, 200);
    }
}

#[actix_web::test]
async fn no_secret_outlives_the_longest_age_of_its_realm() {
    for world in worlds_with(&[
        ("ONYX_SANDBOX_SECRET_DAYS", "40"),
        ("ONYX_LIVE_SECRET_DAYS", "20"),
    ])
    .await
    {
        let (sandbox, live) = (
            world.sandbox_client(&["orders:read"]).await,
            world.live_client(&["orders:read"]).await,
        );
        let operator = world.operator().await;
        for (who, days) in [(&sandbox, 40), (&live, 20)] {
            let row = listed(&operator, who).await;
            let end: chrono::DateTime<chrono::Utc> =
                row["expires_at"].as_str().unwrap().parse().unwrap();
            let left = (end - chrono::Utc::now()).num_minutes();
            assert!((days * 1440 - 5..=days * 1440).contains(&left), "{row}");
        }
        let too_late = json!({ "kind": "secret", "expires_at": in_future(Duration::from_secs(21 * 24 * 3600)) });
        let path = format!("/clients/{}/credentials", live.client_id);
        let refused = operator.post(&path, too_late.clone()).await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /expires_at invalid: must lie at most 20 days ahead: a secret in live lives no longer
        ");
        let late = json!({ "expires_at": too_late["expires_at"] });
        let refused = verb(&operator, &live.credential_id, "rotate", late).await;
        assert_eq!(refused.expect(422)["errors"][0]["pointer"], "/expires_at");
        // An operator's own secret has no such end.
        let first = world.operator_credential().client_id;
        let list = operator
            .get(&format!("/clients/{first}/credentials"))
            .await
            .expect(200);
        assert_eq!(list["data"][0]["expires_at"], Value::Null);

        // Who comes near the end is told with each token: 20 days are near, 40 are not.
        let far = world.token_answer("sandbox", &sandbox, &[]).await;
        assert_eq!(
            (far.status, far.header("onyx-credential-expires")),
            (200, "")
        );
        let near = world.token_answer("live", &live, &[]).await;
        assert_eq!(
            near.header("onyx-credential-expires"),
            listed(&operator, &live).await["expires_at"]
                .as_str()
                .unwrap()
        );
        rotate(&operator, &sandbox, json!({})).await;
        let ending = world.token_answer("sandbox", &sandbox, &[]).await;
        assert_eq!(
            ending.header("onyx-credential-expires"),
            listed(&operator, &sandbox).await["accepts_until"]
                .as_str()
                .unwrap()
        );
    }
}

#[actix_web::test]
async fn an_operators_secret_is_rotated_by_who_makes_operators_alone() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let made = operator
            .post(
                "/operators",
                json!({ "name": "x", "scopes": ["partners:read"] }),
            )
            .await
            .expect(201);
        let second = operator.issue(made["id"].as_str().unwrap()).await;
        let with = async |scope: &str| Operator {
            world: &world,
            token: world
                .token("admin", &world.operator_credential(), &[("scope", scope)])
                .await,
        };
        let (rotators, makers) = (
            with("credentials:rotate").await,
            with("operators:write").await,
        );
        assert_eq!(
            verb(&rotators, &second.credential_id, "rotate", json!({}))
                .await
                .status,
            403
        );
        assert_eq!(
            verb(&makers, &who.credential_id, "rotate", json!({}))
                .await
                .status,
            403
        );
        let new = rotate(&makers, &second, json!({})).await;
        world.token("admin", &new, &[]).await;
        rotate(&rotators, &who, json!({})).await;
        assert_eq!(
            verb(&rotators, &second.credential_id, "undo-rotation", json!({}))
                .await
                .status,
            403
        );
        verb(&makers, &second.credential_id, "finish-rotation", json!({}))
            .await
            .expect(200);
        let refused = makers.revoke(&who.credential_id).await;
        assert_eq!(refused.expect(403)["code"], "insufficient_scope");
        makers.revoke(&new.credential_id).await.expect(200);
    }
}
